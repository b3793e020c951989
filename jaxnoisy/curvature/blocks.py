"""Rows cut into blocks of one length, wherever they lie: on the host or on disk, in a stream, on devices."""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.curvature import examples
from jaxnoisy.curvature.stream import Stream
from jaxnoisy.types import Array, PyTree

Rows: TypeAlias = tuple[PyTree | Stream, ...]
"""Trees of arrays with one leading axis in common; in place of one a stream, whose order the others then follow."""


class Block(NamedTuple):
    """Rows ``first`` to ``first + number``; what follows them in the arrays fills up the length."""

    rows: tuple[PyTree, ...]
    first: int
    number: int


def stream_of(rows: Rows) -> Stream | None:
    """The stream among the rows, if there is one."""
    return next((r for r in rows if isinstance(r, Stream)), None)


def on_host(rows: Rows) -> bool:
    """Whether rows are read on the host: a stream, or NumPy arrays and nothing else."""
    return stream_of(rows) is not None or all(isinstance(a, np.ndarray) for a in jax.tree.leaves(rows))


def cut(rows: Rows, size: int, *, names: str | None, repeat: bool) -> Iterator[Block]:
    """Blocks of at most ``size`` rows, in order.

    Args:
        rows: concrete.
        size: rows per block; a multiple of the devices, or a little less, where rows are split over several.
        names: what to call the arrays where they are refused; None takes values that are not finite too.
        repeat: what fills up the last block: other rows, or zeros.

    Raises:
        ValueError: arrays of different lengths, or values that are not finite.
    """
    if stream_of(rows) is not None:
        yield from _from_stream(rows, size, repeat)
    elif on_host(rows):
        yield from _from_host(rows, size, names, repeat)
    else:
        if names is not None:
            examples.finite(rows, name=names)
        yield from _from_devices(jax.tree.map(jnp.asarray, rows), size, repeat)


def _from_host(rows: Rows, size: int, names: str | None, repeat: bool) -> Iterator[Block]:
    n = examples.count(rows)
    size = min(size, n)
    for first in range(0, n, size):
        block = _slice(rows, first, first + size)
        for a in jax.tree.leaves(block) if names is not None else ():
            check.finite(a, name=f"{names}, from row {first} on,")
        yield Block(_filled(block, size, repeat), first, min(size, n - first))


def _from_stream(rows: Rows, size: int, repeat: bool) -> Iterator[Block]:
    stream, at = stream_of(rows), next(i for i, r in enumerate(rows) if isinstance(r, Stream))
    beside = (*rows[:at], *rows[at + 1 :])
    n = examples.count(beside) if beside else None
    first, length = 0, 0
    for batch, _ in stream or ():
        b = examples.count(batch)
        if n is not None and first + b > n:
            raise ValueError(f"the arrays beside the stream have {n} rows, but the stream has more examples")
        # One length for all blocks is one program; batches may be shorter than what is asked for.
        length = max(length, min(b, size))
        for start in range(0, b, length):
            stop = min(start + length, b)
            others = _slice(beside, first + start, first + stop)
            block = (*others[:at], _slice(batch, start, stop), *others[at:])
            yield Block(_filled(block, length, repeat), first + start, stop - start)
        first += b
    if n is not None and first != n:
        raise ValueError(f"the arrays beside the stream have {n} rows, but the stream has {first} examples")


def _slice(rows: PyTree, start: int, stop: int) -> PyTree:
    return jax.tree.map(lambda a: np.asarray(a[start:stop]), rows)


def _filled(block: PyTree, size: int, repeat: bool) -> PyTree:
    def one(a: np.ndarray) -> np.ndarray:
        missing = size - len(a)
        if missing == 0:
            return a
        more = np.repeat(a[-1:], missing, axis=0) if repeat else np.zeros((missing, *a.shape[1:]), a.dtype)
        return np.concatenate([a, more])

    return jax.tree.map(one, block)


def _from_devices(rows: Rows, size: int, repeat: bool) -> Iterator[Block]:
    n = examples.count(rows)
    split = _sharding(rows)
    # Each block is dealt out over all devices; the few that hold its rows would otherwise work on it alone.
    pieces = 1 if split is None else n // split.shard_shape((n,))[0]
    size = min(-(-size // pieces) * pieces, n)
    for first in range(0, n, size):
        yield Block(_cut(rows, first, size, split, repeat), first, min(size, n - first))


def _sharding(rows: Rows) -> jax.NamedSharding | None:
    """How the rows are split over devices, along their leading axis alone."""
    for a in jax.tree.leaves(rows):
        s = a.sharding
        if isinstance(s, jax.NamedSharding) and len(s.spec) and s.spec[0] is not None:
            return jax.NamedSharding(s.mesh, jax.P(s.spec[0]))
    return None


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _cut(rows: Rows, first: Array, size: int, split: jax.NamedSharding | None, repeat: bool) -> tuple[PyTree, ...]:
    def cut(rows: Rows, first: Array) -> Any:
        def one(a: Array) -> Array:
            start = jnp.minimum(first, len(a) - size)
            block = jnp.roll(jax.lax.dynamic_slice_in_dim(a, start, size), start - first, axis=0)
            if repeat:
                return block
            inside = jnp.arange(size) < len(a) - first
            return jnp.where(inside.reshape(-1, *[1] * (a.ndim - 1)), block, 0)

        return jax.tree.map(one, rows)

    if explicit_axes(rows) is not None:
        return jax.sharding.auto_axes(cut, out_sharding=jax.P(explicit_axes(rows)))(rows, first)
    block = cut(rows, first)
    return block if split is None else jax.lax.with_sharding_constraint(block, split)


def explicit_axes(rows: PyTree) -> Any:
    """The axes of an Explicit mesh over which rows are split, or None."""
    return next((axes for a in jax.tree.leaves(rows) if (axes := examples.split_over(a)) is not None), None)
