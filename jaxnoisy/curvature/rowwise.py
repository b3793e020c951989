"""Functions of rows, over rows that lie on the host, on disk, in a stream, or on devices, a block at a time.

Outside ``jit`` each block is one call of a compiled function, also for rows on devices: XLA on CPUs runs a convolution
inside a loop many times slower than outside (jax-ml/jax issue 12868), and elsewhere a call costs little next to a
block. Inside ``jit`` the blocks are a compiled loop.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.curvature import blocks, examples
from jaxnoisy.curvature.blocks import Rows
from jaxnoisy.types import Array, PyTree


def total(
    function: Callable[..., PyTree],
    start: PyTree,
    rows: Rows,
    *,
    block_size: int,
    names: str | None,
    numbered: bool = False,
) -> PyTree:
    """Add up ``function(total, *block) -> total`` over blocks of rows; rows of zeros must add nothing.

    Args:
        function: traceable, as a ``jax.tree_util.Partial``.
        start: the total to begin with, of which the memory is used again.
        rows: trees of arrays of (n, ...), or a stream of them. NumPy arrays, memory-mapped ones too, are read a block
            at a time.
        block_size: rows per block.
        names: what to call the arrays where they are refused; None takes values that are not finite too.
        numbered: whether to call ``function(total, numbers, *block)``, with the rows' numbers, (b,) int32: from 1 on,
            and 0 for the rows of zeros.
    """
    if not _concrete(function, start, rows):
        return _total_traced(function, start, _on_devices(rows), block_size, numbered)
    for block in blocks.cut(rows, block_size, names=names, repeat=False):
        inputs = block.rows
        if numbered:
            place = np.arange(examples.count(inputs), dtype=np.int32)
            inputs = (np.where(place < block.number, block.first + 1 + place, 0).astype(np.int32), *inputs)
        start = _add(function, start, *inputs)
    return start


def each(
    function: Callable[..., PyTree], rows: Rows, *, block_size: int, names: str | None, by_compiler: bool = True
) -> PyTree:
    """``function(*block) -> (b, ...)`` over blocks of rows, put together as (n, ...); on the host for rows there.

    Args:
        function: a tree of arrays with one row for every row, as a ``jax.tree_util.Partial`` to be compiled; another
            function is called as it is. It may be given rows more than once.
        rows: as for :func:`total`.
        block_size: rows per block.
        names: as for :func:`total`.
        by_compiler: whether the compiler is left to split the function's work over an Explicit mesh. Otherwise the
            function sees how a block is split, and what it returns must be the same on all devices.
    """
    if not _concrete(function, rows):
        return _each_traced(function, _on_devices(rows), block_size, by_compiler)
    if blocks.on_host(rows):
        found = list(in_order(function, rows, block_size=block_size, names=names))
        return jax.tree.map(lambda *parts: np.concatenate(parts), *found)
    parts = [values for values, _ in _values(function, rows, block_size, names, by_compiler)]
    return _join(parts, examples.count(rows))


def in_order(function: Callable[..., PyTree], rows: Rows, *, block_size: int, names: str | None) -> Iterator[PyTree]:
    """What :func:`each` puts together, block after block, as NumPy arrays; rows must have values."""
    if not _concrete(function, rows):
        raise TypeError("blocks are taken to the host one by one, which cannot be done inside jit: call it outside")
    waiting = None
    for values, count in _values(function, rows, block_size, names):
        # The next block is under way while this one is waited for.
        if waiting is not None:
            yield _fetched(*waiting)
        waiting = values, count
    if waiting is not None:
        yield _fetched(*waiting)


def _values(
    function: Callable[..., PyTree], rows: Rows, block_size: int, names: str | None, by_compiler: bool = True
) -> Iterator[tuple[PyTree, int]]:
    compiled = isinstance(function, jax.tree_util.Partial)
    for block in blocks.cut(rows, block_size, names=names, repeat=True):
        yield _apply(by_compiler, function, *block.rows) if compiled else function(*block.rows), block.number


def _fetched(values: PyTree, count: int) -> PyTree:
    return jax.tree.map(lambda a: check.values(a)[:count], values)


def _concrete(*things: Any) -> bool:
    return all(check.is_concrete(a) for a in jax.tree.leaves(things))


def _on_devices(rows: Rows) -> Rows:
    if blocks.stream_of(rows) is not None:
        raise TypeError(
            "a stream is read on the host, which cannot be done inside jit: call it outside, or give arrays"
        )
    return jax.tree.map(jnp.asarray, rows)


@functools.partial(jax.jit, donate_argnums=1)
def _add(function: Callable[..., PyTree], start: PyTree, *rows: PyTree) -> PyTree:
    return _auto(lambda f, s, *rows: f(s, *rows), rows, split=False)(function, start, *rows)


@functools.partial(jax.jit, static_argnums=0)
def _apply(by_compiler: bool, function: Callable[..., PyTree], *rows: PyTree) -> PyTree:
    apply = lambda f, *rows: f(*rows)  # noqa: E731
    return (_auto(apply, rows, split=True) if by_compiler else apply)(function, *rows)


@functools.partial(jax.jit, static_argnums=1)
def _join(parts: list[PyTree], n: int) -> PyTree:
    def join(parts: list[PyTree]) -> PyTree:
        return jax.tree.map(lambda *a: jnp.concatenate(a)[:n], *parts)

    return _auto(join, parts, split=True)(parts)


def _total_traced(function: Callable[..., PyTree], start: PyTree, rows: Rows, size: int, numbered: bool) -> PyTree:
    def add(function: Callable[..., PyTree], start: PyTree, *rows: PyTree) -> PyTree:
        n = examples.count(rows)
        if numbered:
            rows = (jnp.arange(1, n + 1, dtype=jnp.int32), *rows)
        batches = examples.microbatches(rows, jnp.ones(n, bool), size)

        def block(j: Array) -> Rows:
            given, inside = batches.at(j)
            return jax.tree.map(lambda a: jnp.where(inside.reshape(-1, *[1] * (a.ndim - 1)), a, 0), given)

        return jax.lax.fori_loop(0, batches.number, lambda j, s: function(s, *block(j)), start)

    return _auto(add, rows, split=False)(function, start, *rows)


def _each_traced(function: Callable[..., PyTree], rows: Rows, size: int, by_compiler: bool) -> PyTree:
    def apply(function: Callable[..., PyTree], *rows: PyTree) -> PyTree:
        n = examples.count(rows)
        batches = examples.microbatches(rows, jnp.ones(n, bool), size)
        values = jax.lax.map(lambda j: function(*batches.at(j)[0]), jnp.arange(batches.number))
        return jax.tree.map(lambda a: batches.back(a, n), values)

    return (_auto(apply, rows, split=True) if by_compiler else apply)(function, *rows)


def _auto(function: Callable[..., Any], rows: PyTree, *, split: bool) -> Callable[..., Any]:
    """The function with the axes of an Explicit mesh handed to the compiler, which knows how to split its products."""
    axes = blocks.explicit_axes(rows)
    if axes is None:
        return function
    return jax.sharding.auto_axes(function, out_sharding=jax.P(axes) if split else jax.P())
