"""Layers and blocks against NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnoisy.models import layers
from jaxnoisy.models.preact_resnet import PreActBlock
from jaxnoisy.models.resnet import BasicBlock, Bottleneck
from jaxnoisy.models.resnet_cifar import PaddedBlock

# Compiles several times faster than the default generator, once for every shape of a kernel.
KEY = jax.random.key(0, impl="rbg")


def draw(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def convolved(x, kernel, stride):
    """Cross-correlation with (k - 1) / 2 zeros on every side, in float64."""
    size = kernel.shape[0]
    pad = size // 2
    padded = np.pad(x.astype(np.float64), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height, width = ((length - 1) // stride + 1 for length in x.shape[1:3])
    out = np.zeros((len(x), height, width, kernel.shape[3]))
    for i in range(size):
        for j in range(size):
            window = padded[:, i : i + stride * (height - 1) + 1 : stride, j : j + stride * (width - 1) + 1 : stride]
            out += window @ kernel[i, j].astype(np.float64)
    return out


def normalised(x, norm):
    """Batch norm of the batch itself."""
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) / np.sqrt(var + 1e-5) * np.asarray(norm.scale[...]) + np.asarray(norm.bias[...])


def rectified(x):
    return np.maximum(x, 0)


def randomised(block):
    """Give the norms scales and shifts other than one and zero, so that leaving one out shows."""
    graphdef, params, rest = nnx.split(block, nnx.Param, ...)
    leaves, tree = jax.tree.flatten(params)
    moved = [leaf + 0.3 * draw(leaf.shape, seed=i) if leaf.ndim == 1 else leaf for i, leaf in enumerate(leaves)]
    return nnx.merge(graphdef, jax.tree.unflatten(tree, moved), rest)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("size", [(8, 8), (7, 6)])
def test_conv_pads_both_sides_alike(kernel, stride, size):
    layer = layers.conv(3, 4, kernel=kernel, stride=stride, dtype=jnp.float32, rngs=nnx.Rngs(KEY))
    x = draw((2, *size, 3))
    np.testing.assert_allclose(layer(x), convolved(x, np.asarray(layer.kernel[...]), stride), rtol=1e-4, atol=1e-4)


def test_conv_kernels_start_as_he_normal_by_fan_out():
    kernel = np.asarray(layers.conv(64, 128, kernel=3, dtype=jnp.float32, rngs=nnx.Rngs(KEY)).kernel[...])
    expected = np.sqrt(2 / (9 * 128))
    # The standard error of the deviation of 73,728 draws is 0.26 %.
    np.testing.assert_allclose(kernel.std(), expected, rtol=0.015)
    assert np.abs(kernel).max() > 3.5 * expected  # not truncated at two deviations


@pytest.mark.parametrize(("stride", "channels"), [(1, 4), (1, 8), (2, 4), (2, 8)])
@pytest.mark.parametrize("size", [(6, 6), (5, 7)])
def test_basic_block(stride, channels, size):
    block = randomised(BasicBlock(4, channels, stride=stride, dtype=jnp.float32, rngs=nnx.Rngs(KEY)))
    x = draw((3, *size, 4))
    y = rectified(normalised(convolved(x, np.asarray(block.conv1.kernel[...]), stride), block.norm1))
    y = normalised(convolved(y, np.asarray(block.conv2.kernel[...]), 1), block.norm2)
    if stride == 1 and channels == 4:
        assert block.shortcut is None
        kept = x
    else:
        kept = normalised(convolved(x, np.asarray(block.shortcut.conv.kernel[...]), stride), block.shortcut.norm)
    np.testing.assert_allclose(block(jnp.asarray(x)), rectified(y + kept), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("stride", "channels"), [(1, 16), (1, 4), (2, 8)])
def test_bottleneck(stride, channels):
    block = randomised(Bottleneck(channels, 4, stride=stride, dtype=jnp.float32, rngs=nnx.Rngs(KEY)))
    x = draw((3, 6, 6, channels))
    y = rectified(normalised(convolved(x, np.asarray(block.conv1.kernel[...]), 1), block.norm1))
    y = rectified(normalised(convolved(y, np.asarray(block.conv2.kernel[...]), stride), block.norm2))
    y = normalised(convolved(y, np.asarray(block.conv3.kernel[...]), 1), block.norm3)
    if stride == 1 and channels == 16:
        assert block.shortcut is None
        kept = x
    else:
        kept = normalised(convolved(x, np.asarray(block.shortcut.conv.kernel[...]), stride), block.shortcut.norm)
    np.testing.assert_allclose(block(jnp.asarray(x)), rectified(y + kept), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("stride", "channels"), [(1, 4), (2, 8)])
def test_padded_block(stride, channels):
    block = randomised(PaddedBlock(4, channels, stride=stride, dtype=jnp.float32, rngs=nnx.Rngs(KEY)))
    x = draw((3, 7, 6, 4))
    y = rectified(normalised(convolved(x, np.asarray(block.conv1.kernel[...]), stride), block.norm1))
    y = normalised(convolved(y, np.asarray(block.conv2.kernel[...]), 1), block.norm2)
    y[..., :4] += x[:, ::stride, ::stride]
    np.testing.assert_allclose(block(jnp.asarray(x)), rectified(y), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("stride", "channels"), [(1, 4), (1, 8), (2, 8)])
def test_preact_block(stride, channels):
    block = randomised(PreActBlock(4, channels, stride=stride, dtype=jnp.float32, rngs=nnx.Rngs(KEY)))
    x = draw((3, 6, 6, 4))
    first = rectified(normalised(x, block.norm1))
    y = normalised(convolved(first, np.asarray(block.conv1.kernel[...]), stride), block.norm2)
    y = convolved(rectified(y), np.asarray(block.conv2.kernel[...]), 1)
    if stride == 1 and channels == 4:
        assert block.shortcut is None
        kept = x
    else:
        kept = convolved(first, np.asarray(block.shortcut.kernel[...]), stride)
    np.testing.assert_allclose(block(jnp.asarray(x)), y + kept, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [(4, 6), (5, 6), (4, 7), (7, 7), (1, 1)])
def test_max_pool_keeps_the_largest_of_each_window(size):
    x = draw((2, *size, 3)) - 5  # all negative: zeros from a padding would win
    expected = np.stack(
        [
            np.stack([x[:, i : i + 2, j : j + 2].max((1, 2)) for j in range(0, size[1], 2)], axis=1)
            for i in range(0, size[0], 2)
        ],
        axis=1,
    )
    np.testing.assert_array_equal(layers.max_pool_2x2(jnp.asarray(x)), expected)


def test_max_pool_sends_the_gradient_to_the_largest():
    x = draw((2, 5, 5, 3))
    gradient = jax.grad(lambda x: layers.max_pool_2x2(x).sum())(jnp.asarray(x))
    chosen = np.zeros_like(x)
    for i in range(0, 5, 2):
        for j in range(0, 5, 2):
            window = x[:, i : i + 2, j : j + 2]
            chosen[:, i : i + 2, j : j + 2] = window == window.max((1, 2), keepdims=True)
    np.testing.assert_array_equal(gradient, chosen)


def test_space_to_depth_puts_each_patch_in_one_pixel():
    x = draw((2, 4, 6, 3))
    y = np.asarray(layers.space_to_depth(jnp.asarray(x), 2))
    assert y.shape == (2, 2, 3, 12)
    for i in range(2):
        for j in range(3):
            np.testing.assert_array_equal(y[:, i, j], x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].reshape(2, 12))


def test_space_to_depth_fills_up_odd_sizes_with_zeros():
    x = draw((1, 5, 7, 2))
    filled = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    deep = functools.partial(layers.space_to_depth, block=2)
    np.testing.assert_array_equal(deep(jnp.asarray(x)), deep(jnp.asarray(filled)))


def test_batch_norm_keeps_running_averages_as_pytorch_does():
    norm = layers.BatchNorm(3, rngs=nnx.Rngs(KEY))
    x = 2 * draw((8, 4, 4, 3)) + 1
    norm(jnp.asarray(x))
    np.testing.assert_allclose(norm.mean[...], 0.1 * x.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.var[...], 0.9 + 0.1 * x.var((0, 1, 2)), rtol=1e-4)


def test_batch_norm_in_bfloat16_reads_its_statistics_in_float32():
    norm = layers.BatchNorm(1, rngs=nnx.Rngs(KEY))
    norm.eval()
    # 256 and 257 are the same number in bfloat16: rounded statistics would return 0 here.
    norm.mean[...] = jnp.array([257.0])
    x = jnp.full((1, 1), 256.0, jnp.bfloat16)
    y = norm(x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), [[-1.0]], rtol=1e-2)


def test_global_average_sums_in_float32():
    # Summed in bfloat16, 1024 ones and a half would stop growing at 256.
    x = jnp.full((1, 32, 32, 1), 1.5, jnp.bfloat16)
    average = layers.global_average(x)
    assert average.dtype == jnp.float32
    np.testing.assert_array_equal(average, [[1.5]])
