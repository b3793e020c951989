"""Gradients of queries, and of any other functions of the parameters, as blocks of vectors."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnoisy import check, tree
from jaxnoisy.curvature import examples, rowwise
from jaxnoisy.curvature.operator import Block
from jaxnoisy.curvature.products import Loss, scalar_loss, whole
from jaxnoisy.types import Array, PyTree


def gradients(loss: Loss, *, batch_size: int = 64) -> Callable[..., Block]:
    """Gradients of the loss of each of k examples: queries, or training examples few enough to hold their gradients.

    Args:
        loss: ``loss(params, example) -> scalar``; for queries it need not be the loss that was trained with.
        batch_size: examples that are differentiated at once.

    Returns:
        ``gradients(params, examples, *, frozen=None) -> block``: a tree shaped as the parameters with a leading axis of
        k on every leaf, in the parameters' dtypes. Examples are a tree of arrays with one leading axis of k, on the
        host or on devices. Cost: k gradient passes.

    Raises:
        ValueError: a batch size below 1; from the function: no examples, arrays of different lengths, values that are
            not finite.
        TypeError: from the function: parameters that are not floating point, a loss that is not a real scalar.

    Example:
        >>> import jax.numpy as jnp
        >>> square = lambda w, x: 0.5 * (x @ w) ** 2
        >>> gradients(square)(jnp.array([1.0, 2.0]), jnp.array([[1.0, 0.0], [1.0, 1.0]])).tolist()
        [[1.0, 0.0], [3.0, 3.0]]
    """
    size = check.positive_int(batch_size, name="batch_size")

    def of(params: PyTree, data: PyTree, *, frozen: PyTree = None) -> Block:
        tree.real_parameters(params)
        examples.count(data)
        scalar_loss(loss, params, data, frozen)
        each = jax.tree_util.Partial(PerExample(loss), params, frozen)
        return jax.tree.map(jnp.asarray, rowwise.each(each, (data,), block_size=size, names="examples"))

    return of


@dataclasses.dataclass(frozen=True)
class PerExample:
    """``(params, frozen, b examples) -> block`` of b gradients, at the highest matrix precision."""

    loss: Loss

    def __call__(self, params: PyTree, frozen: PyTree, batch: PyTree) -> Block:
        """Differentiate."""
        with jax.default_matmul_precision("highest"):
            return jax.vmap(lambda e: jax.grad(lambda p: self.loss(whole(p, frozen), e))(params))(batch)


def scalar_gradients(*functions: Callable[[PyTree], Array]) -> Callable[..., Block]:
    """Gradients of functions of the parameters that need not be losses of examples: a norm, a margin, a mean, a bias.

    Args:
        functions: each ``f(params) -> scalar``, of all parameters, frozen ones included.

    Returns:
        ``gradients(params, *, frozen=None) -> block`` with one vector per function, to be solved for and given to
        :func:`~jaxnoisy.influence.pairwise` like those of queries. Blocks are joined by
        ``jax.tree.map(lambda *a: jnp.concatenate(a), *blocks)``. Cost: one gradient of each.

    Raises:
        ValueError: no functions.
        TypeError: something that is not a function; from the function returned: a result that is not a real scalar, or
            parameters that are not floating point.

    Example:
        >>> import jax.numpy as jnp
        >>> scalar_gradients(lambda w: w.sum(), lambda w: w[0] * w[1])(jnp.array([2.0, 3.0])).tolist()
        [[1.0, 1.0], [3.0, 2.0]]
    """
    if not functions:
        raise ValueError("no functions were given: name at least one function of the parameters")
    for f in functions:
        if not callable(f):
            raise TypeError(f"each of the functions must be callable as f(params), but one is {type(f).__name__}")

    def of(params: PyTree, *, frozen: PyTree = None) -> Block:
        tree.real_parameters(params)
        rows = []
        for number, f in enumerate(functions):

            def value(p: PyTree, f: Callable[[PyTree], Array] = f) -> Array:
                return f(whole(p, frozen))

            made = jax.eval_shape(value, params)
            if getattr(made, "shape", None) != () or not jnp.issubdtype(made.dtype, jnp.floating):
                raise TypeError(f"function {number} must return a real scalar of the parameters, but returns {made}")
            with jax.default_matmul_precision("highest"):
                rows.append(jax.grad(value)(params))
        return jax.tree.map(lambda *a: jnp.stack(a), *rows)

    return of
