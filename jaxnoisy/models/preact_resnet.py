"""The residual network with batch norm and ReLU before each convolution: PreAct-ResNet-18."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxnoisy import check
from jaxnoisy.models import boundary
from jaxnoisy.models.classifier import Classifier, linear_head
from jaxnoisy.models.layers import BatchNorm, conv, global_average, last
from jaxnoisy.types import Array, ArrayLike


class PreActBlock(nnx.Module):
    """Two 3x3 convolutions, each after batch norm and ReLU, added to the shortcut (He et al. 2016b, figure 1b).

    Where the shape changes, the shortcut is a strided 1x1 convolution of the input after the first norm and ReLU.
    """

    def __init__(self, in_channels: int, width: int, *, stride: int, dtype: DTypeLike, rngs: nnx.Rngs):
        self.norm1 = BatchNorm(in_channels, rngs=rngs)
        self.conv1 = conv(in_channels, width, kernel=3, stride=stride, dtype=dtype, rngs=rngs)
        self.norm2 = BatchNorm(width, rngs=rngs)
        self.conv2 = conv(width, width, kernel=3, dtype=dtype, rngs=rngs)
        changes = stride != 1 or in_channels != width
        self.shortcut = conv(in_channels, width, kernel=1, stride=stride, dtype=dtype, rngs=rngs) if changes else None

    def __call__(self, x: Array) -> Array:
        """Map (n, h, w, in_channels) to (n, ceil(h/stride), ceil(w/stride), width)."""
        y = jax.nn.relu(self.norm1(x))
        kept = x if self.shortcut is None else self.shortcut(y)
        y = self.conv1(y)
        y = self.conv2(jax.nn.relu(self.norm2(y)))
        return y + kept


class PreActResNet18(Classifier):
    """PreAct-ResNet-18 for CIFAR; 11,171,146 parameters at 3 channels and 10 classes.

    A 3x3 convolution, two blocks in each of four stages of widths 64 to 512, the average over pixels, the head. As in
    the network that label noise papers train under this name (DivideMix and those after it), nothing stands between
    the last sum and the average; He et al. put one more batch norm and ReLU there.

    Source: He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016.

    Args:
        num_classes: c.
        in_channels: the channels of the images, of 8 pixels and more, meant for 32.
        dtype: the compute dtype, float32 or bfloat16; parameters and batch statistics are float32.
        rngs: where the kernels' random numbers come from.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> from flax import nnx
        >>> from jaxnoisy.models import PreActResNet18
        >>> model = nnx.eval_shape(lambda: PreActResNet18(num_classes=10, rngs=nnx.Rngs(0)))  # shapes only
        >>> model.head.kernel.shape
        (512, 10)
    """

    min_size = 8

    def __init__(self, *, num_classes: int, in_channels: int = 3, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.in_channels = check.positive_int(in_channels, name="in_channels")
        self.dtype = boundary.compute_dtype(dtype)
        check.positive_int(num_classes, name="num_classes", minimum=2)
        self.conv = conv(in_channels, 64, kernel=3, dtype=self.dtype, rngs=rngs)
        blocks, channels = [], 64
        for width in (64, 128, 256, 512):
            stride = 1 if width == channels else 2
            blocks.append(PreActBlock(channels, width, stride=stride, dtype=self.dtype, rngs=rngs))
            blocks.append(PreActBlock(width, width, stride=1, dtype=self.dtype, rngs=rngs))
            channels = width
        self.blocks = nnx.List(blocks)
        self.head = linear_head(channels, num_classes, rngs=rngs)

    def features(self, x: ArrayLike) -> Array:
        """Return the average over pixels of the last sum, float32 of shape (n, 512); entries may be negative."""
        return global_average(last(self._maps(x)))

    def stages(self, x: ArrayLike) -> tuple[Array, ...]:
        """Return the averages over pixels of the four stages, float32 of shapes (n, 64), ..., (n, 512)."""
        return tuple(global_average(y) for y in self._maps(x))

    def _maps(self, x: ArrayLike) -> Iterator[Array]:
        x = boundary.images(
            x, in_channels=self.in_channels, min_size=self.min_size, dtype=self.dtype, model=type(self).__name__
        )
        y = self.conv(x)
        for i, block in enumerate(self.blocks):
            y = block(y)
            if i % 2:
                yield y
