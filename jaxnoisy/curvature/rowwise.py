"""Functions of rows, over rows that lie on the host, on disk, or on devices, a block at a time."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.curvature import examples
from jaxnoisy.types import Array, ArrayLike, PyTree


def total(
    function: Callable[..., PyTree], start: PyTree, rows: tuple[ArrayLike, ...], *, block_size: int, names: str
) -> PyTree:
    """Add up ``function(total, *block) -> total`` over blocks of rows; rows of zeros must add nothing.

    Args:
        function: a compiled function of one shape of block, as a ``jax.tree_util.Partial``.
        start: the total to begin with.
        rows: arrays of (n, ...). NumPy arrays, memory-mapped ones too, are read a block at a time.
        block_size: rows per block.
        names: what to call the arrays where they are refused.
    """
    if _on_host(rows):
        for block, _ in _host_blocks(rows, block_size, names):
            start = function(start, *block)
        return start
    examples.finite(rows, name=names)
    return _total_on_devices(function, start, rows, block_size)


def each(function: Callable[..., Array], rows: tuple[ArrayLike, ...], *, block_size: int, names: str) -> ArrayLike:
    """``function(*block) -> (b, ...)`` over blocks of rows, put together as (n, ...); on the host for rows there."""
    if _on_host(rows):
        found = [np.asarray(function(*block))[:count] for block, count in _host_blocks(rows, block_size, names)]
        return np.concatenate(found)
    examples.finite(rows, name=names)
    return _each_on_devices(function, rows, block_size)


@functools.partial(jax.jit, static_argnums=3)
def _total_on_devices(function: Callable[..., PyTree], start: PyTree, rows: tuple[Array, ...], size: int) -> PyTree:
    def add(function: Callable[..., PyTree], start: PyTree, *rows: Array) -> PyTree:
        block, number = _device_blocks(rows, size)
        return jax.lax.fori_loop(0, number, lambda j, s: function(s, *block(j)), start)

    return _auto(add, rows, split=False)(function, start, *rows)


@functools.partial(jax.jit, static_argnums=2)
def _each_on_devices(function: Callable[..., Array], rows: tuple[Array, ...], size: int) -> Array:
    def apply(function: Callable[..., Array], *rows: Array) -> Array:
        block, number = _device_blocks(rows, size)
        values = jax.lax.map(lambda j: function(*block(j)), jnp.arange(number))
        # Blocks take every m-th row, so that each device has its share of all of them.
        return jnp.moveaxis(values, 0, 1).reshape(-1, *values.shape[2:])[: len(rows[0])]

    return _auto(apply, rows, split=True)(function, *rows)


def _on_host(rows: tuple[Any, ...]) -> bool:
    return all(isinstance(a, np.ndarray) for a in rows)


def _host_blocks(rows: tuple[Any, ...], size: int, names: str) -> Iterator[tuple[list[np.ndarray], int]]:
    """Blocks of one shape, the last one filled up with zeros, and how many rows of each count."""
    n = len(rows[0])
    size = min(size, n)
    for first in range(0, n, size):
        block = [np.asarray(a[first : first + size]) for a in rows]
        count = len(block[0])
        for a in block:
            check.finite(a, name=f"{names}, from row {first} on,")
        if count < size:
            block = [np.concatenate([a, np.zeros((size - count, *a.shape[1:]), a.dtype)]) for a in block]
        yield block, count


def _device_blocks(rows: tuple[Array, ...], size: int) -> tuple[Callable[[Array], list[Array]], int]:
    """The function that gives block j, and how many there are; zeros fill up what n leaves over."""
    n = len(rows[0])
    number = -(-n // size)
    depth = -(-n // number)

    def lay(a: Array) -> Array:
        if depth * number > n:
            a = jnp.pad(a, [(0, depth * number - n)] + [(0, 0)] * (a.ndim - 1))
        return a.reshape(depth, number, *a.shape[1:])

    laid = [lay(a) for a in rows]
    return lambda j: [jax.lax.dynamic_index_in_dim(a, j, axis=1, keepdims=False) for a in laid], number


def _auto(function: Callable[..., Any], rows: tuple[Any, ...], *, split: bool) -> Callable[..., Any]:
    """The function with the axes of an Explicit mesh handed to the compiler, which knows how to split its products."""
    axes = examples.split_over(rows[0])
    if axes is None:
        return function
    return jax.sharding.auto_axes(function, out_sharding=jax.P(axes) if split else jax.P())
