"""Checks of what a model is made with and called with."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxnoisy import check
from jaxnoisy.types import Array, ArrayLike


def compute_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return ``dtype`` if models compute in it: float32, or bfloat16, which needs no loss scaling."""
    given = jnp.dtype(dtype)
    if given not in (jnp.float32, jnp.bfloat16):
        raise ValueError(f"dtype must be float32 or bfloat16, but is {given.name}")
    return given


def widths(sizes: tuple[int, ...], *, name: str) -> tuple[int, ...]:
    """Return layer widths as a tuple of positive whole numbers."""
    if isinstance(sizes, (int, np.integer)):
        raise TypeError(f"{name} must be a tuple of layer widths, such as ({sizes},), but is {sizes!r}")
    return tuple(check.positive_int(size, name=f"{name}[{i}]") for i, size in enumerate(sizes))


def _floats(x: ArrayLike, *, model: str) -> None:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"{model} takes floating point inputs, but was given {x.dtype}: "
            "normalise them first, for instance (x - mean) / std in float32"
        )


def flat(x: ArrayLike, *, in_features: int, dtype: DTypeLike, model: str) -> Array:
    """Return a batch as (n, in_features) in ``dtype``, flattening what each example has beyond one axis."""
    _floats(x, model=model)
    if x.ndim < 2 or math.prod(x.shape[1:]) != in_features:
        raise ValueError(
            f"{model} was made for {in_features} values per example and takes (n, {in_features}) or an array that "
            f"flattens to it, but was given shape {x.shape}"
        )
    return jnp.asarray(x, dtype).reshape(x.shape[0], in_features)


def images(x: ArrayLike, *, in_channels: int, min_size: int, dtype: DTypeLike, model: str) -> Array:
    """Return a batch of images (n, h, w, in_channels) in ``dtype``."""
    _floats(x, model=model)
    if x.ndim != 4 or x.shape[3] != in_channels:
        raise ValueError(
            f"{model} was made for images with {in_channels} channels and takes shape (n, h, w, {in_channels}), "
            f"but was given shape {x.shape}{_axis_hint(x.shape, in_channels)}"
        )
    large_enough(x.shape[1], x.shape[2], min_size=min_size, model=model)
    return jnp.asarray(x, dtype)


def sequences(x: ArrayLike, *, in_features: int, dtype: DTypeLike, model: str) -> Array:
    """Return a batch of sequences (n, t, in_features) in ``dtype``."""
    _floats(x, model=model)
    if x.ndim != 3 or x.shape[1] < 1 or x.shape[2] != in_features:
        hint = ": add the axis of signals with x[..., None]" if x.ndim == 2 and in_features == 1 else ""
        raise ValueError(
            f"{model} was made for {in_features} values per step and takes shape (n, t, {in_features}) with t >= 1, "
            f"but was given shape {x.shape}{hint}"
        )
    return jnp.asarray(x, dtype)


def _axis_hint(shape: tuple[int, ...], in_channels: int) -> str:
    if len(shape) == 3 and shape[2] == in_channels:
        return ": for one image, add the batch axis with x[None]"
    if len(shape) == 3 and in_channels == 1:
        return ": add the channel axis with x[..., None]"
    if len(shape) == 4 and shape[1] == in_channels:
        return ": the channels come last here, x.transpose(0, 2, 3, 1)"
    return ""


def large_enough(height: int, width: int, *, min_size: int, model: str) -> None:
    """Refuse images that a network's halvings would reduce to nothing."""
    if min(height, width) < min_size:
        raise ValueError(
            f"{model} halves images until {min_size}x{min_size} becomes one pixel, and takes none smaller, "
            f"but was given {height}x{width}: enlarge them, or take a network for smaller images"
        )
