"""Diagonals of curvature matrices: of the empirical Fisher matrix exactly, of any operator by random probes."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check, tree
from jaxnoisy.curvature import examples
from jaxnoisy.curvature.operator import Operator, as_operator
from jaxnoisy.curvature.products import Loss, scalar_loss, whole
from jaxnoisy.curvature.stream import Stream
from jaxnoisy.types import Array, ArrayLike, Key, PyTree


def fisher_diagonal(loss: Loss, *, batch_size: int = 64) -> Callable[..., PyTree]:
    """The diagonal of the empirical Fisher matrix: the mean square of per-example gradients.

    Args:
        loss: ``loss(params, example) -> scalar``.
        batch_size: examples whose gradients are held at once, each as large as the parameters.

    Returns:
        ``diagonal(params, data, *, weights=None, frozen=None)``, a tree of nonnegative numbers shaped as the
        parameters, with arguments and errors as in :mod:`jaxnoisy.curvature.products`. Cost: one gradient pass over the
        data.

    Example:
        >>> import jax.numpy as jnp
        >>> fisher_diagonal(lambda w, x: x @ w)(jnp.zeros(2), jnp.array([[1.0, 2.0], [3.0, 0.0]])).tolist()
        [5.0, 2.0]
    """
    size = check.positive_int(batch_size, name="batch_size")

    def diagonal(
        params: PyTree, data: PyTree | Stream, *, weights: ArrayLike | None = None, frozen: PyTree = None
    ) -> PyTree:
        tree.real_parameters(params)
        if not isinstance(data, Stream):
            examples.finite(data)
            w = examples.weights(weights, examples.count(data))
            scalar_loss(loss, params, data, frozen)
            return _squares(loss, size, params, data, w, frozen)
        if weights is not None:
            raise ValueError("the weights of a stream are given to it: Stream(batches, weights=...)")
        total, weight = tree.zeros_like(params), 0.0
        for batch, each in data:
            scalar_loss(loss, params, batch, frozen)
            total = tree.axpy(1.0, _squares_compiled(loss, size, params, batch, each, frozen), total)
            weight += float(each.sum(dtype=np.float64))
        return tree.scale(1 / weight, total)

    return diagonal


def _squares(loss: Loss, size: int, params: PyTree, data: PyTree, weights: Array, frozen: PyTree) -> PyTree:
    batches = examples.microbatches(data, weights, size)

    def add(total: PyTree, j: Array) -> tuple[PyTree, None]:
        batch, w = batches.at(j)
        with jax.default_matmul_precision("highest"):
            gradients = jax.vmap(jax.grad(lambda p, e: loss(whole(p, frozen), e)), (None, 0))(params, batch)
        squares = jax.tree.map(lambda g: jnp.tensordot(w, g * g, 1, precision="highest"), gradients)
        return tree.axpy(1.0, squares, total), None

    return jax.lax.scan(add, tree.zeros_like(params), jnp.arange(batches.number))[0]


_squares_compiled = functools.partial(jax.jit, static_argnums=(0, 1))(_squares)


def diagonal_estimate(
    key: Key, matrix: Operator | Callable[[PyTree], PyTree], like: PyTree, *, probes: int = 32
) -> PyTree:
    """Estimate a matrix's diagonal as the mean of z * (A z) over random signs z.

    Unbiased; the variance of entry i is the sum of the squares of the row's other entries, divided by ``probes``
    (Bekas, Kokiopoulou and Saad 2007, "An estimator for the diagonal of a matrix", section 2).

    Args:
        key: typed key.
        matrix: an operator, or a function of one vector.
        like: a vector: parameters, or their shapes.
        probes: how many z; they share one product with a block.

    Returns:
        A tree shaped as ``like``. Entries may be negative, by chance or because A is indefinite.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> diagonal_estimate(jax.random.key(0), lambda v: jnp.array([2.0, 3.0]) * v, jnp.zeros(2)).tolist()
        [2.0, 3.0]
    """
    check.typed_key(key)
    k = check.positive_int(probes, name="probes")
    z = tree.random_like(
        key, jax.tree.map(lambda a: jax.ShapeDtypeStruct((k, *a.shape), a.dtype), like), draw=jax.random.rademacher
    )
    return jax.tree.map(lambda a, b: jnp.mean(a * b, axis=0), z, as_operator(matrix).block(z))
