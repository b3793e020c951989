"""A small convolutional network that trains quickly on a CPU."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxnoisy import check
from jaxnoisy.models import boundary
from jaxnoisy.models.classifier import Classifier, linear_head
from jaxnoisy.models.layers import BatchNorm, global_average, he_normal_fan_out, last, max_pool_2x2, space_to_depth
from jaxnoisy.types import Array, ArrayLike


class CNN(Classifier):
    """Convolutions with batch norm, 2x2 max pools between them, the maximum over pixels, the head.

    The first layer folds ``patch`` x ``patch`` pixels into the channels and runs a 2x2 convolution on them: at
    ``patch=2`` this is a 4x4 convolution at stride 2, several times cheaper than a full-resolution layer. The others
    are 3x3, and so is the first at ``patch=1``. Max pools learn faster than averages here, between the layers as well
    as over the last pixels.

    Args:
        num_classes: c.
        in_channels: the channels of the images.
        widths: the output channels of each convolution, at least one.
        patch: the side of the patches; 1 keeps full resolution, for images of about 8 pixels.
        batch_norm: whether to normalise after each convolution; without it the convolutions have biases, and the
            output for one example never depends on others.
        dtype: the compute dtype, float32 or bfloat16; parameters and batch statistics are float32.
        rngs: where the kernels' random numbers come from.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnoisy.models import CNN
        >>> model = CNN(num_classes=10, in_channels=1, widths=(8,), rngs=nnx.Rngs(0))
        >>> model.features(jnp.ones((2, 8, 8, 1))).shape
        (2, 8)
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        widths: tuple[int, ...] = (32, 64, 128),
        patch: int = 2,
        batch_norm: bool = True,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.in_channels = check.positive_int(in_channels, name="in_channels")
        self.patch = check.positive_int(patch, name="patch")
        self.dtype = boundary.compute_dtype(dtype)
        check.positive_int(num_classes, name="num_classes", minimum=2)
        sizes = boundary.widths(widths, name="widths")
        if not sizes:
            raise ValueError("widths must name at least one convolution, but is empty")
        self.min_size = patch * 2 ** (len(sizes) - 1)
        self.convs = nnx.List(
            nnx.Conv(
                before,
                after,
                (2, 2) if i == 0 and patch > 1 else (3, 3),
                use_bias=not batch_norm,
                dtype=self.dtype,
                kernel_init=he_normal_fan_out,
                rngs=rngs,
            )
            for i, (before, after) in enumerate(zip((in_channels * patch**2, *sizes[:-1]), sizes, strict=True))
        )
        self.norms = nnx.List(BatchNorm(size, rngs=rngs) for size in sizes if batch_norm)
        self.head = linear_head(sizes[-1], num_classes, rngs=rngs)

    def features(self, x: ArrayLike) -> Array:
        """Return the maximum over pixels of the last convolution after its ReLU, float32 of shape (n, widths[-1])."""
        return self._seen(last(self._convolved(x)))

    def stages(self, x: ArrayLike) -> tuple[Array, ...]:
        """Return the average over pixels of every convolution after its pool and ReLU, and ``features`` for the last.

        float32 of shapes (n, widths[0]), (n, widths[1]), ...
        """
        *before, end = self._convolved(x)
        return *(global_average(jax.nn.relu(y)) for y in before), self._seen(end)

    @staticmethod
    def _seen(y: Array) -> Array:
        return jax.nn.relu(y.max(axis=(1, 2))).astype(jnp.float32)

    def _convolved(self, x: ArrayLike) -> Iterator[Array]:
        """The convolutions pooled and normalised, before their ReLU."""
        x = boundary.images(
            x, in_channels=self.in_channels, min_size=self.min_size, dtype=self.dtype, model=type(self).__name__
        )
        y = space_to_depth(x, self.patch)
        for i, layer in enumerate(self.convs):
            # Pooling commutes with ReLU, which then works on a quarter of the pixels; likewise the norm comes after
            # the pool, so that its statistics are those of the values that go on.
            y = layer(y if i == 0 else jax.nn.relu(y))
            if i < len(self.convs) - 1:
                y = max_pool_2x2(y)
            if self.norms:
                y = self.norms[i](y)
            yield y
