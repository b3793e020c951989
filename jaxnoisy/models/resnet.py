"""Residual networks with batch norm after each convolution: ResNet-18, -34 and -50."""

import itertools
from collections.abc import Iterator
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxnoisy import check
from jaxnoisy.models import boundary
from jaxnoisy.models.classifier import Classifier, linear_head
from jaxnoisy.models.layers import BatchNorm, conv, global_average, last
from jaxnoisy.types import Array, ArrayLike


class Projection(nnx.Module):
    """The shortcut of a block that changes the shape: a strided 1x1 convolution and batch norm (option B)."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, dtype: DTypeLike, rngs: nnx.Rngs):
        self.conv = conv(in_channels, out_channels, kernel=1, stride=stride, dtype=dtype, rngs=rngs)
        self.norm = BatchNorm(out_channels, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Map (n, h, w, in_channels) to (n, ceil(h/stride), ceil(w/stride), out_channels)."""
        return self.norm(self.conv(x))


class BasicBlock(nnx.Module):
    """Two 3x3 convolutions, added to the shortcut (He et al. 2016, figure 5 left)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, *, stride: int, dtype: DTypeLike, rngs: nnx.Rngs):
        self.conv1 = conv(in_channels, width, kernel=3, stride=stride, dtype=dtype, rngs=rngs)
        self.norm1 = BatchNorm(width, rngs=rngs)
        self.conv2 = conv(width, width, kernel=3, dtype=dtype, rngs=rngs)
        self.norm2 = BatchNorm(width, rngs=rngs)
        self.shortcut = _shortcut(in_channels, width, stride=stride, dtype=dtype, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Map (n, h, w, in_channels) to (n, ceil(h/stride), ceil(w/stride), width)."""
        y = jax.nn.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return jax.nn.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class Bottleneck(nnx.Module):
    """1x1, 3x3 and 1x1 convolutions, added to the shortcut (He et al. 2016, figure 5 right).

    The stride sits at the 3x3 convolution, as in all common code since; the paper puts it at the first 1x1.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, *, stride: int, dtype: DTypeLike, rngs: nnx.Rngs):
        out = width * self.expansion
        self.conv1 = conv(in_channels, width, kernel=1, dtype=dtype, rngs=rngs)
        self.norm1 = BatchNorm(width, rngs=rngs)
        self.conv2 = conv(width, width, kernel=3, stride=stride, dtype=dtype, rngs=rngs)
        self.norm2 = BatchNorm(width, rngs=rngs)
        self.conv3 = conv(width, out, kernel=1, dtype=dtype, rngs=rngs)
        self.norm3 = BatchNorm(out, rngs=rngs)
        self.shortcut = _shortcut(in_channels, out, stride=stride, dtype=dtype, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Map (n, h, w, in_channels) to (n, ceil(h/stride), ceil(w/stride), 4 width)."""
        y = jax.nn.relu(self.norm1(self.conv1(x)))
        y = jax.nn.relu(self.norm2(self.conv2(y)))
        y = self.norm3(self.conv3(y))
        return jax.nn.relu(y + (x if self.shortcut is None else self.shortcut(x)))


def _shortcut(
    in_channels: int, out_channels: int, *, stride: int, dtype: DTypeLike, rngs: nnx.Rngs
) -> Projection | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return Projection(in_channels, out_channels, stride=stride, dtype=dtype, rngs=rngs)


class ResNet(Classifier):
    """Four stages of residual blocks, of widths 64, 128, 256 and 512 times the block's expansion.

    Take :class:`ResNet18`, :class:`ResNet34` or :class:`ResNet50`, or name another block or other depths in a subclass.
    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1.

    Attributes:
        block: :class:`BasicBlock` or :class:`Bottleneck`.
        depths: the number of blocks in each stage; every stage but the first halves the image.

    Args:
        num_classes: c.
        in_channels: the channels of the images.
        stem: ``"cifar"``, a 3x3 convolution at stride 1 (images of 8 pixels and more, meant for 32), or
            ``"imagenet"``, a 7x7 convolution and a 3x3 max pool, both at stride 2 (32 pixels and more, meant for 224).
        dtype: the compute dtype, float32 or bfloat16; parameters and batch statistics are float32.
        rngs: where the kernels' random numbers come from.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> from flax import nnx
        >>> from jaxnoisy.models import ResNet18
        >>> model = nnx.eval_shape(lambda: ResNet18(num_classes=10, rngs=nnx.Rngs(0)))  # shapes only, nothing computed
        >>> model.head.kernel.shape
        (512, 10)
    """

    block: ClassVar[type[BasicBlock] | type[Bottleneck]]
    depths: ClassVar[tuple[int, int, int, int]]

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        stem: Literal["cifar", "imagenet"] = "cifar",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.stem = check.one_of(stem, ("cifar", "imagenet"), name="stem")
        self.in_channels = check.positive_int(in_channels, name="in_channels")
        self.dtype = boundary.compute_dtype(dtype)
        check.positive_int(num_classes, name="num_classes", minimum=2)
        kernel, stride, self.min_size = (3, 1, 8) if stem == "cifar" else (7, 2, 32)
        self.conv = conv(in_channels, 64, kernel=kernel, stride=stride, dtype=self.dtype, rngs=rngs)
        self.norm = BatchNorm(64, rngs=rngs)
        blocks, channels = [], 64
        for stage, depth in enumerate(self.depths):
            width = 64 * 2**stage
            for i in range(depth):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(self.block(channels, width, stride=stride, dtype=self.dtype, rngs=rngs))
                channels = width * self.block.expansion
        self.blocks = nnx.List(blocks)
        self.head = linear_head(channels, num_classes, rngs=rngs)

    def features(self, x: ArrayLike) -> Array:
        """Return the average over pixels of the last stage, float32 of shape (n, 512 times the expansion)."""
        return global_average(last(self._maps(x)))

    def stages(self, x: ArrayLike) -> tuple[Array, ...]:
        """Return the averages over pixels of the four stages, float32 of shapes (n, 64 times the expansion), ..."""
        return tuple(global_average(y) for y in self._maps(x))

    def _maps(self, x: ArrayLike) -> Iterator[Array]:
        x = boundary.images(
            x, in_channels=self.in_channels, min_size=self.min_size, dtype=self.dtype, model=type(self).__name__
        )
        y = jax.nn.relu(self.norm(self.conv(x)))
        if self.stem == "imagenet":
            y = nnx.max_pool(y, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        blocks = iter(self.blocks)
        for depth in self.depths:
            for block in itertools.islice(blocks, depth):
                y = block(y)
            yield y


class ResNet18(ResNet):
    """ResNet-18; 11,173,962 parameters at the CIFAR stem, 3 channels and 10 classes. See :class:`ResNet`."""

    block = BasicBlock
    depths = (2, 2, 2, 2)


class ResNet34(ResNet):
    """ResNet-34; 21,282,122 parameters at the CIFAR stem, 3 channels and 10 classes. See :class:`ResNet`."""

    block = BasicBlock
    depths = (3, 4, 6, 3)


class ResNet50(ResNet):
    """ResNet-50; 23,520,842 parameters at the CIFAR stem, 3 channels and 10 classes. See :class:`ResNet`."""

    block = Bottleneck
    depths = (3, 4, 6, 3)
