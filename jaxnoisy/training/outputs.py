"""A trained network's outputs for many examples, computed and kept block by block."""

import functools
import os
import tempfile
from collections.abc import Callable

import jax
import numpy as np

from jaxnoisy.types import Array, PyTree

BLOCK = 512
IN_MEMORY = 1 << 30
"""Bytes from which on outputs are kept in a file instead of in memory."""


def outputs(
    function: Callable[[PyTree, PyTree, Array], Array],
    params: PyTree,
    rest: PyTree,
    inputs: np.ndarray,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """``function(params, rest, block of inputs)`` for all n inputs, (n, m) float32.

    Large ones lie in a temporary file that has no name and goes with the array, so that memory does not grow with n.

    Args:
        function: of parameters, other state and a block of inputs (b, ...), to (b, m): a field of
            :class:`~jaxnoisy.training.trained.Pure`.
        params: trainable parameters.
        rest: batch statistics and other state.
        inputs: as stored, perhaps a memory map, which is read by blocks.
        rows: (k,) which inputs; the result is then (k, m). All by default.

    Raises:
        OSError: no room for that file.
        FloatingPointError: values that are not finite, which a model has after training diverged.
    """
    n = len(inputs) if rows is None else len(rows)
    block = min(BLOCK, n)
    kept = None
    for start in range(0, n, block):
        part = slice(start, start + block)
        batch = np.asarray(inputs[part if rows is None else rows[part]])
        if len(batch) < block:  # one shape, one program
            batch = np.concatenate([batch, np.repeat(batch[-1:], block - len(batch), axis=0)])
        values = np.asarray(_compiled(function)(params, rest, batch), np.float32)[: n - start]
        if not np.isfinite(values).all():
            raise FloatingPointError("the model gives values that are not finite: its training has diverged")
        if kept is None:
            kept = _room(n, values.shape[1])
        kept[start : start + block] = values
    assert kept is not None
    return kept


def predictions(logits: np.ndarray) -> np.ndarray:
    """(n,) int32 classes of (n, c) logits, read by blocks."""
    parts = [np.asarray(logits[i : i + BLOCK]).argmax(axis=1) for i in range(0, len(logits), BLOCK)]
    return np.concatenate(parts).astype(np.int32)


def _room(n: int, width: int) -> np.ndarray:
    if 4 * n * width <= IN_MEMORY:
        return np.empty((n, width), np.float32)
    with tempfile.TemporaryFile(prefix="jaxnoisy-") as file:
        if hasattr(os, "posix_fallocate"):
            # A disk that fills up is an error here; while the mapped file is written to, it would kill the process.
            os.posix_fallocate(file.fileno(), 0, 4 * n * width)
        return np.memmap(file, np.float32, "w+", shape=(n, width))


@functools.lru_cache(maxsize=4)  # a program per model, without holding on to every model ever explained
def _compiled(function):  # type: ignore[no-untyped-def]
    return jax.jit(function)
