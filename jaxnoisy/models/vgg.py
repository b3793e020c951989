"""VGG-16 with batch norm, in the form used on CIFAR."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxnoisy import check
from jaxnoisy.models import boundary
from jaxnoisy.models.classifier import Classifier, linear_head
from jaxnoisy.models.layers import BatchNorm, conv, global_average, last, max_pool_2x2
from jaxnoisy.types import Array, ArrayLike

_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16(Classifier):
    """VGG-16 (configuration D) with batch norm; 14,728,266 parameters at 3 channels and 10 classes.

    Thirteen 3x3 convolutions in five stages, each ended by a 2x2 max pool, then the average over the pixels left and
    one linear head in the place of the three dense layers made for ImageNet. The convolutions keep their biases, as
    in the published networks, although batch norm cancels them: in training mode their gradients are zero.

    Source: Simonyan and Zisserman, "Very Deep Convolutional Networks", ICLR 2015, table 1, column D.

    Args:
        num_classes: c.
        in_channels: the channels of the images, of 32 pixels and more.
        dtype: the compute dtype, float32 or bfloat16; parameters and batch statistics are float32.
        rngs: where the kernels' random numbers come from.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> from flax import nnx
        >>> from jaxnoisy.models import VGG16
        >>> model = nnx.eval_shape(lambda: VGG16(num_classes=10, rngs=nnx.Rngs(0)))  # shapes only
        >>> len(model.convs), model.head.kernel.shape
        (13, (512, 10))
    """

    min_size = 32

    def __init__(self, *, num_classes: int, in_channels: int = 3, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.in_channels = check.positive_int(in_channels, name="in_channels")
        self.dtype = boundary.compute_dtype(dtype)
        check.positive_int(num_classes, name="num_classes", minimum=2)
        widths = [width for stage in _STAGES for width in stage]
        self.convs = nnx.List(
            conv(before, after, kernel=3, use_bias=True, dtype=self.dtype, rngs=rngs)
            for before, after in zip((in_channels, *widths[:-1]), widths, strict=True)
        )
        self.norms = nnx.List(BatchNorm(width, rngs=rngs) for width in widths)
        self.head = linear_head(widths[-1], num_classes, rngs=rngs)

    def features(self, x: ArrayLike) -> Array:
        """Return the average over the pixels of the last pool, float32 of shape (n, 512)."""
        return global_average(last(self._maps(x)))

    def stages(self, x: ArrayLike) -> tuple[Array, ...]:
        """Return the averages over pixels of the five pools, float32 of shapes (n, 64), (n, 128), ..., (n, 512)."""
        return tuple(global_average(y) for y in self._maps(x))

    def _maps(self, x: ArrayLike) -> Iterator[Array]:
        y = boundary.images(
            x, in_channels=self.in_channels, min_size=self.min_size, dtype=self.dtype, model=type(self).__name__
        )
        layers = zip(self.convs, self.norms, strict=True)
        for stage in _STAGES:
            for _ in stage:
                conv_layer, norm = next(layers)
                y = jax.nn.relu(norm(conv_layer(y)))
            y = max_pool_2x2(y)
            yield y
