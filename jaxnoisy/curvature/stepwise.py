"""A matrix whose products run one compiled program at a time, called from the host."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnoisy import check
from jaxnoisy.curvature.operator import Operator, as_operator
from jaxnoisy.types import PyTree


def stepwise(matrix: Operator | Callable[[PyTree], PyTree], *, at_once: int = 8) -> Operator:
    """The same matrix, for which solvers loop on the host.

    Inside a loop on the device XLA runs convolutions on a CPU by slow code and one thread, many times slower than
    outside. Products with convolutional models on CPUs belong outside: solvers then call one compiled product per step,
    here on at most ``at_once`` vectors together, where a product would otherwise loop over parts of a large block. On
    accelerators, and for models without convolutions, there is nothing to gain.

    Args:
        matrix: an operator, or a function of one vector. For the gain, it must not itself loop over microbatches: give
            :func:`gauss_newton` enough ``memory`` to linearise over all data, or a :class:`Stream`, which needs no
            wrapping.
        at_once: vectors per product, which bounds the memory; the last ones are filled up with zeros.

    Returns:
        An operator that cannot be traced.

    Raises:
        ValueError: ``at_once`` below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnoisy.curvature import cg
        >>> x, info = cg(damping=1.0)(stepwise(lambda v: 3 * v), jnp.array([[4.0, 8.0]]))
        >>> x.tolist(), info.converged.tolist()
        ([[1.0, 2.0]], [True])
    """
    most = check.positive_int(at_once, name="at_once")
    operator = as_operator(matrix)
    if operator.streamed:
        return operator
    compiled = jax.jit(lambda operator, part: operator.block(part))

    def product(vectors: Any) -> Any:
        k = len(jax.tree.leaves(vectors)[0])
        size = -(-k // -(-k // most))
        parts = []
        for first in range(0, k, size):
            last = min(first + size, k)
            fill = [(0, first + size - last)]
            part = jax.tree.map(lambda a: jnp.pad(a[first:last], fill + [(0, 0)] * (a.ndim - 1)), vectors)  # noqa: B023
            parts.append(compiled(operator, part))
        return jax.tree.map(lambda *found: jnp.concatenate(found)[:k], *parts)

    return Operator(product, streamed=True)
