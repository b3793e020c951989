"""Convolutions over time as pure functions of their arrays, without Flax: detectors read training dynamics by them.

A convolution is one matrix product of the inputs beside their neighbours in time. XLA's own convolutions are many
times slower on a CPU once they stand in a loop, and a whole training here is one loop.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnoisy import check
from jaxnoisy.types import Array, ArrayLike, Key


class ConvLayer(NamedTuple):
    """The arrays of one layer.

    Attributes:
        kernel: (w, d, h): what each of w neighbouring steps adds. w is odd.
        bias: (h,).
    """

    kernel: ArrayLike
    bias: ArrayLike


def init(key: Key, *, features: int, widths: Sequence[int], window: int = 3) -> tuple[ConvLayer, ...]:
    """Draw a stack of layers in float32: He normal kernels, as rectifiers follow, and biases of zero.

    Args:
        key: a typed key.
        features: d, the values of a step.
        widths: the width h of each layer.
        window: w, how many steps a layer sees at once, an odd number.

    Raises:
        TypeError: not a typed key.
        ValueError: sizes below 1, no layer, or an even window.

    Example:
        >>> import jax
        >>> [layer.kernel.shape for layer in init(jax.random.key(0), features=1, widths=(16, 32))]
        [(3, 1, 16), (3, 16, 32)]
    """
    check.typed_key(key)
    check.positive_int(features, name="features")
    if not widths or not window % 2:
        raise ValueError(f"there must be a layer and an odd window, but widths are {tuple(widths)}, window is {window}")
    for value in (*widths, window):
        check.positive_int(value, name="a width or window")
    normal = jax.nn.initializers.he_normal()
    keys = jax.random.split(key, len(widths))
    shapes = itertools.pairwise((features, *widths))
    return tuple(ConvLayer(normal(k, (window, d, h)), jnp.zeros(h)) for k, (d, h) in zip(keys, shapes, strict=True))


def convolved(layer: ConvLayer, inputs: Array) -> Array:
    """The cross-correlation of each sequence with the layer's kernels, zeros standing beyond both ends.

    Args:
        layer: of d features and width h.
        inputs: (n, t, d) floats.

    Returns:
        (n, t, h). Cost: n t w d h multiply-adds.
    """
    window, features, width = layer.kernel.shape
    t = inputs.shape[1]
    padded = jnp.pad(inputs, ((0, 0), (window // 2, window // 2), (0, 0)))
    beside = jnp.concatenate([padded[:, i : i + t] for i in range(window)], axis=-1)
    return beside @ layer.kernel.reshape(window * features, width) + layer.bias


def rectified(layers: Sequence[ConvLayer], inputs: Array) -> Array:
    """All layers in turn, max(0, .) after each.

    Args:
        layers: from :func:`init`; each takes what the one before gives.
        inputs: (n, t, d) floats.

    Returns:
        (n, t, h) of the last layer.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> rectified(init(jax.random.key(0), features=1, widths=(16, 32)), jnp.ones((4, 7, 1))).shape
        (4, 7, 32)
    """
    for layer in layers:
        inputs = jnp.maximum(convolved(layer, inputs), 0)
    return inputs
