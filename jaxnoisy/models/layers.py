"""The layers that the convolutional networks here are made of."""

import functools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxnoisy.types import Array

he_normal_fan_out = jax.nn.initializers.variance_scaling(2.0, "fan_out", "normal")
"""Gaussian of variance 2 / (kernel area × output channels), not truncated (He et al. 2015, section 2.2, backward)."""


def conv(
    in_channels: int,
    out_channels: int,
    *,
    kernel: int,
    stride: int = 1,
    use_bias: bool = False,
    dtype: DTypeLike,
    rngs: nnx.Rngs,
) -> nnx.Conv:
    """Return a square convolution padded by ``(kernel - 1) / 2`` on each side; ``kernel`` is odd.

    The padding is the same on both sides at any stride. ``"SAME"`` would pad only the far side of an even image at
    stride 2, which shifts the grid by a pixel against the published networks.
    """
    return nnx.Conv(
        in_channels,
        out_channels,
        (kernel, kernel),
        strides=(stride, stride),
        padding=kernel // 2,
        use_bias=use_bias,
        dtype=dtype,
        kernel_init=he_normal_fan_out,
        rngs=rngs,
    )


class BatchNorm(nnx.BatchNorm):
    """Batch norm computed in float32 that returns the dtype it was given; momentum 0.9, epsilon 1e-5.

    Flax casts the running statistics to its ``dtype``: at bfloat16 a mean or variance would keep eight bits. Momentum
    0.9 weighs the old average, as PyTorch's 0.1 weighs the new value. The running variance is the biased one.
    """

    def __init__(self, num_features: int, *, rngs: nnx.Rngs):
        super().__init__(num_features, momentum=0.9, epsilon=1e-5, dtype=jnp.float32, rngs=rngs)

    def __call__(self, x: Array, use_running_average: bool | None = None, *, mask: Array | None = None) -> Array:
        """Normalise ``x`` of shape (..., num_features) over all its leading axes."""
        return super().__call__(x, use_running_average, mask=mask).astype(x.dtype)


def max_pool_2x2(x: Array) -> Array:
    """Return the maximum over 2x2 windows at stride 2; an odd last row or column makes a window of its own.

    (n, h, w, ch) -> (n, ceil(h/2), ceil(w/2), ch). Written with strided slices because the gradient of a windowed
    reduction is many times slower than this on a CPU; accelerators fuse the slices.
    """
    height, width = x.shape[1:3]
    if height % 2 or width % 2:
        x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), constant_values=-jnp.inf)
    return functools.reduce(jnp.maximum, (x[:, i::2, j::2] for i in range(2) for j in range(2)))


def space_to_depth(x: Array, block: int) -> Array:
    """Move each ``block`` x ``block`` patch of pixels into the channels, filling up with zeros at the far edges.

    (n, h, w, ch) -> (n, ceil(h/block), ceil(w/block), block·block·ch). Zero is the mean pixel of normalised images.
    """
    n, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, -height % block), (0, -width % block), (0, 0)))
    rows, columns = x.shape[1] // block, x.shape[2] // block
    patches = x.reshape(n, rows, block, columns, block, channels).transpose(0, 1, 3, 2, 4, 5)
    return patches.reshape(n, rows, columns, block * block * channels)


def last(stages: Iterable[Array]) -> Array:
    """Return the last of a network's stages, holding on to none of those before it."""
    for x in stages:
        y = x
    return y


def global_average(x: Array) -> Array:
    """Return the mean over the pixels of (n, h, w, ch), summed in float32: (n, ch)."""
    return jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
