"""The small residual networks made for CIFAR, with shortcuts that have no parameters: ResNet-20, -32, -44, -56."""

from collections.abc import Iterator
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxnoisy import check
from jaxnoisy.models import boundary
from jaxnoisy.models.classifier import Classifier, linear_head
from jaxnoisy.models.layers import BatchNorm, conv, global_average, last
from jaxnoisy.types import Array, ArrayLike


class PaddedBlock(nnx.Module):
    """Two 3x3 convolutions, added to the input subsampled and padded with zero channels (option A)."""

    def __init__(self, in_channels: int, width: int, *, stride: int, dtype: DTypeLike, rngs: nnx.Rngs):
        self.stride = stride
        self.new_channels = width - in_channels
        self.conv1 = conv(in_channels, width, kernel=3, stride=stride, dtype=dtype, rngs=rngs)
        self.norm1 = BatchNorm(width, rngs=rngs)
        self.conv2 = conv(width, width, kernel=3, dtype=dtype, rngs=rngs)
        self.norm2 = BatchNorm(width, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Map (n, h, w, in_channels) to (n, ceil(h/stride), ceil(w/stride), width)."""
        y = jax.nn.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        kept = x[:, :: self.stride, :: self.stride]
        return jax.nn.relu(y + jnp.pad(kept, ((0, 0), (0, 0), (0, 0), (0, self.new_channels))))


class CifarResNet(Classifier):
    """Three stages of widths 16, 32 and 64 with ``depth`` blocks each: 6 depth + 2 layers.

    Take :class:`ResNet20`, :class:`ResNet32`, :class:`ResNet44` or :class:`ResNet56`, or name another depth in a
    subclass. Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2.

    Attributes:
        depth: the blocks in each stage; the second and third stage halve the image.

    Args:
        num_classes: c.
        in_channels: the channels of the images, of 4 pixels and more, meant for 32.
        dtype: the compute dtype, float32 or bfloat16; parameters and batch statistics are float32.
        rngs: where the kernels' random numbers come from.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> from flax import nnx
        >>> from jaxnoisy.models import ResNet20
        >>> model = nnx.eval_shape(lambda: ResNet20(num_classes=10, rngs=nnx.Rngs(0)))  # shapes only
        >>> model.head.kernel.shape
        (64, 10)
    """

    depth: ClassVar[int]
    min_size = 4

    def __init__(self, *, num_classes: int, in_channels: int = 3, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.in_channels = check.positive_int(in_channels, name="in_channels")
        self.dtype = boundary.compute_dtype(dtype)
        check.positive_int(num_classes, name="num_classes", minimum=2)
        self.conv = conv(in_channels, 16, kernel=3, dtype=self.dtype, rngs=rngs)
        self.norm = BatchNorm(16, rngs=rngs)
        blocks, channels = [], 16
        for width in (16, 32, 64):
            for _ in range(self.depth):
                stride = 1 if width == channels else 2
                blocks.append(PaddedBlock(channels, width, stride=stride, dtype=self.dtype, rngs=rngs))
                channels = width
        self.blocks = nnx.List(blocks)
        self.head = linear_head(channels, num_classes, rngs=rngs)

    def features(self, x: ArrayLike) -> Array:
        """Return the average over pixels of the last stage, float32 of shape (n, 64)."""
        return global_average(last(self._maps(x)))

    def stages(self, x: ArrayLike) -> tuple[Array, ...]:
        """Return the averages over pixels of the three stages, float32 of shapes (n, 16), (n, 32) and (n, 64)."""
        return tuple(global_average(y) for y in self._maps(x))

    def _maps(self, x: ArrayLike) -> Iterator[Array]:
        x = boundary.images(
            x, in_channels=self.in_channels, min_size=self.min_size, dtype=self.dtype, model=type(self).__name__
        )
        y = jax.nn.relu(self.norm(self.conv(x)))
        for i, block in enumerate(self.blocks, start=1):
            y = block(y)
            if i % self.depth == 0:
                yield y


class ResNet20(CifarResNet):
    """ResNet-20; 269,722 parameters at 3 channels and 10 classes. See :class:`CifarResNet`."""

    depth = 3


class ResNet32(CifarResNet):
    """ResNet-32; 464,154 parameters at 3 channels and 10 classes. See :class:`CifarResNet`."""

    depth = 5


class ResNet44(CifarResNet):
    """ResNet-44; 658,586 parameters at 3 channels and 10 classes. See :class:`CifarResNet`."""

    depth = 7


class ResNet56(CifarResNet):
    """ResNet-56; 853,018 parameters at 3 channels and 10 classes. See :class:`CifarResNet`."""

    depth = 9
