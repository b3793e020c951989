"""A matrix as the weighted mean of parts, of which one at a time is drawn: those of microbatches, for example."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnoisy import check, tree
from jaxnoisy.curvature import examples
from jaxnoisy.curvature.operator import Block, Operator
from jaxnoisy.curvature.products import Build
from jaxnoisy.curvature.stream import Stream
from jaxnoisy.types import Array, ArrayLike, PyTree


@functools.partial(jax.tree_util.register_dataclass, data_fields=("part", "weights"), meta_fields=("streamed",))
@dataclasses.dataclass(frozen=True)
class Parts:
    """A symmetric matrix A = sum_j weights[j] A_j / sum_j weights[j], of (p, p): a pytree.

    Attributes:
        part: ``part(j, V) -> A_j V`` for a block of vectors; ``j`` is a scalar array.
        weights: (m,) nonnegative.
        streamed: whether a product reads data on the host, such as batch ``int(j)`` of a file. It cannot be traced
            then, and solvers loop in Python instead of on the device.
    """

    part: Callable[[Array, Block], Block]
    weights: Array
    streamed: bool = False

    @property
    def number(self) -> int:
        """How many parts there are, m."""
        return int(self.weights.shape[0])

    @property
    def shares(self) -> Array:
        """(m,) weights that sum to 1, with which parts are drawn."""
        return self.weights / self.weights.sum()

    def at(self, j: Array | int) -> Operator:
        """A_j."""
        return Operator(jax.tree_util.Partial(self.part, jnp.asarray(j)), self.streamed)

    def whole(self) -> Operator:
        """A. A product takes one product with each part."""
        return Operator(_Whole(self) if self.streamed else jax.tree_util.Partial(_mean, self), self.streamed)


def parts(
    build: Build,
    params: PyTree,
    data: PyTree,
    *,
    batch_size: int,
    weights: ArrayLike | None = None,
    frozen: PyTree = None,
) -> Parts:
    """The matrices of the microbatches of a data set, whose weighted mean is that of all of it.

    Args:
        build: from :func:`hessian`, :func:`gauss_newton` or :func:`fisher`.
        params: as for ``build``.
        data: a tree of arrays with one leading axis of n examples.
        batch_size: the most examples in a part; the parts differ by one example at most.
        weights: as for ``build``; a part counts by the sum of its examples' weights.
        frozen: as for ``build``.

    Raises:
        ValueError: a batch size below 1, and what ``build`` raises.
        TypeError: a :class:`Stream`, which is read in its own order: give a :class:`Parts` whose ``part`` reads batch
            ``j``, and say ``streamed=True``.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnoisy.curvature import hessian
        >>> x = jnp.array([1.0, 2.0, 3.0])
        >>> split = parts(hessian(lambda w, x: 0.5 * (w * x) ** 2), jnp.float32(0), x, batch_size=2)
        >>> [float(split.at(j)(jnp.float32(1))) for j in range(split.number)], (3 * split.shares).round().tolist()
        ([5.0, 4.0], [2.0, 1.0])
    """
    if isinstance(data, Stream):
        raise TypeError(
            "the parts of a stream cannot be drawn, as it is read in its own order: give "
            "Parts(part, weights, streamed=True) with a function part(j, vectors) that reads batch j"
        )
    size = check.positive_int(batch_size, name="batch_size")
    tree.real_parameters(params)
    examples.finite(data)
    batches = examples.microbatches(data, examples.weights(weights, examples.count(data)), size)
    return Parts(jax.tree_util.Partial(_Part(build), params, frozen, batches), batches.weights.sum(axis=0))


@dataclasses.dataclass(frozen=True)
class _Part:
    """Compares equal for one ``build``, so that programs are found again."""

    build: Build

    def __call__(
        self, params: PyTree, frozen: PyTree, batches: examples.Microbatches, j: Array, vectors: Block
    ) -> Block:
        data, weights = batches.at(j)
        return self.build(params, data, weights=weights, frozen=frozen).block(vectors)


class _Whole:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def __call__(self, vectors: Block) -> Block:
        total = tree.zeros_like(vectors)
        for j, share in enumerate(self.parts.shares):
            if float(share):
                total = tree.axpy(share, self.parts.at(j).block(vectors), total)
        return total


def _mean(parts: Parts, vectors: Block) -> Block:
    shares = parts.shares

    def add(j: Array, total: Block) -> Block:
        # A part without weight has no mean, and may be NaN.
        return jax.lax.cond(
            shares[j] > 0, lambda: tree.axpy(shares[j], parts.at(j).block(vectors), total), lambda: total
        )

    return jax.lax.fori_loop(0, parts.number, add, tree.zeros_like(vectors))
