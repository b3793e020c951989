"""Going once through a data set in microbatches: in a loop on the host, or on the device where values are traced."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.curvature import examples
from jaxnoisy.curvature.stream import Stream
from jaxnoisy.types import Array, ArrayLike, PyTree


class Batch(NamedTuple):
    """One microbatch.

    Attributes:
        data: b examples. Copies of one of them may fill up the last places.
        weights: (b,), 0 for what fills up.
        places: (b,) int32, the examples' numbers in the data set.
    """

    data: PyTree
    weights: ArrayLike
    places: ArrayLike


def prepare(data: PyTree | Stream, weights: ArrayLike | None) -> Array | None:
    """Check arrays and return their weights, which sum to 1; None for a stream, which has its own.

    Raises:
        ValueError: as in :mod:`jaxnoisy.curvature.products`.
    """
    if isinstance(data, Stream):
        if weights is not None:
            raise ValueError("the weights of a stream are given to it: Stream(batches, weights=...)")
        return None
    examples.finite(data)
    return examples.weights(weights, examples.count(data))


def total(step: Callable[[PyTree, Batch], PyTree], start: PyTree, data: PyTree, weights: Array, size: int) -> PyTree:
    """``step(total, batch) -> total`` over all microbatches of arrays, for ``step`` that is traced: one loop in it."""
    batches = _laid(data, weights, size)
    if batches.number == 1:
        return step(start, _at(batches, 0))
    return jax.lax.scan(lambda s, j: (step(s, _at(batches, j)), None), start, jnp.arange(batches.number))[0]


def each(function: Callable[[Batch], Array], data: PyTree, weights: Array, size: int) -> Array:
    """``function(batch) -> (b,)`` over all microbatches of arrays, put together as (n,), for values that are traced."""
    batches = _laid(data, weights, size)
    found = jax.lax.map(lambda j: function(_at(batches, j)), jnp.arange(batches.number))
    index = jnp.moveaxis(batches.data[1], 1, 0)
    return jnp.zeros(len(weights), found.dtype).at[index.reshape(-1)].set(found.reshape(-1))


def on_host(data: PyTree | Stream, weights: Array | None, size: int) -> Iterator[Batch]:
    """The microbatches one after another.

    A loop on the host calls one compiled step for each: inside a loop on the device, XLA runs convolutions on a CPU
    by one thread. Arrays on the host, memory-mapped ones too, are read as they are needed.
    """
    if weights is None:
        start = 0
        for batch, w in data:
            for part in _pieces(batch, w, size):
                yield part._replace(places=part.places + start)
            start += len(w)
    else:
        yield from _pieces(data, weights, size)


def unsplit(function: Callable[..., Any], batch: Batch) -> Callable[..., Any]:
    """The function with an Explicit mesh's axes handed to the compiler, if examples are split; results are whole."""
    if all(examples.split_over(a) is None for a in jax.tree.leaves(batch)):
        return function
    return jax.sharding.auto_axes(function, out_sharding=jax.P())


def traced(*trees: PyTree) -> bool:
    """Whether values are traced anywhere in these."""
    return not all(check.is_concrete(a) for a in jax.tree.leaves(trees))


def _pieces(data: PyTree, weights: ArrayLike, size: int) -> Iterator[Batch]:
    n = len(weights)
    if not all(isinstance(a, np.ndarray) for a in jax.tree.leaves(data)):
        batches = _laid_compiled(data, jnp.asarray(weights), size)
        yield from (_at_compiled(batches, j) for j in range(batches.number))
        return
    number = -(-n // size)
    size = -(-n // number)
    w = np.asarray(weights)
    for first in range(0, n, size):
        index = np.minimum(np.arange(first, first + size), n - 1)
        rows = slice(first, first + size) if first + size <= n else index
        counted = np.where(np.arange(first, first + size) < n, w[index], 0).astype(w.dtype)
        yield Batch(jax.tree.map(lambda a, rows=rows: a[rows], data), counted, index.astype(np.int32))


def _laid(data: PyTree, weights: Array, size: int) -> examples.Microbatches:
    return examples.microbatches((data, jnp.arange(len(weights), dtype=jnp.int32)), weights, size)


def _at(batches: examples.Microbatches, j: Any) -> Batch:
    (data, index), weights = batches.at(j)
    return Batch(data, weights, index)


_laid_compiled = jax.jit(_laid, static_argnums=2)
_at_compiled = jax.jit(_at)
