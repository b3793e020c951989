"""Standardising inputs: images per channel, features per column."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxnoisy.types import Array


class Moments(NamedTuple):
    """Mean and standard deviation over the training set, float32, of shape (channels,) or (d,)."""

    mean: np.ndarray
    std: np.ndarray


_VALUES = 1 << 25  # 256 MiB in float64


def moments(inputs: np.ndarray, *, block: int = 4096) -> Moments:
    """Mean and standard deviation of the last axis, over all others, in float64 and in one pass over blocks.

    Args:
        inputs: (n, ..., k) numbers, perhaps a memory map.
        block: rows held in float64 at a time, fewer where they are large.

    Returns:
        :class:`Moments` of shape (k,). A channel or column that is constant to the precision of float32 gets standard
        deviation 1.
    """
    axes = tuple(range(inputs.ndim - 1))
    shift = np.asarray(inputs[0], np.float64).mean(axis=axes[:-1]) if inputs.ndim > 2 else np.asarray(inputs[0], float)
    total, squares, count = np.zeros_like(shift), np.zeros_like(shift), 0
    block = max(1, min(block, _VALUES // (inputs.size // len(inputs))))
    for start in range(0, len(inputs), block):
        # Shifted by one example: the difference of large sums would otherwise cancel.
        part = np.asarray(inputs[start : start + block], np.float64) - shift
        total += part.sum(axis=axes)
        squares += (part**2).sum(axis=axes)
        count += part.size // part.shape[-1]
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    flat = std <= np.maximum(np.finfo(np.float32).tiny, np.finfo(np.float32).eps * np.abs(mean + shift))
    return Moments((mean + shift).astype(np.float32), np.where(flat, 1.0, std).astype(np.float32))


def normalize(inputs: Array, scale: Moments) -> Array:
    """(inputs - mean) / std in float32, on the device."""
    return (inputs.astype(jnp.float32) - scale.mean) / scale.std
