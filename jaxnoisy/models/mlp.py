"""The multilayer perceptron."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxnoisy import check
from jaxnoisy.models import boundary
from jaxnoisy.models.classifier import Classifier, linear_head
from jaxnoisy.models.layers import BatchNorm, last
from jaxnoisy.types import Array, ArrayLike


class MLP(Classifier):
    """Linear layers with ReLU on the flattened input, then the head.

    The default, one hidden layer of 512, is the classifier usual on frozen image features.

    Args:
        in_features: the number of values per example.
        num_classes: c.
        hidden: the width of each hidden layer, at least one.
        batch_norm: whether to normalise before each ReLU; the layers then have no bias, which the norm would cancel.
        dtype: the compute dtype of the hidden layers, float32 or bfloat16; parameters are float32.
        rngs: where the kernels' random numbers come from. Hidden kernels are He normal (fan in).

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnoisy.models import MLP
        >>> model = MLP(in_features=64, num_classes=10, hidden=(32, 16), rngs=nnx.Rngs(0))
        >>> model.features(jnp.ones((2, 64))).shape
        (2, 16)
    """

    def __init__(
        self,
        *,
        in_features: int,
        num_classes: int,
        hidden: tuple[int, ...] = (512,),
        batch_norm: bool = False,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.in_features = check.positive_int(in_features, name="in_features")
        self.dtype = boundary.compute_dtype(dtype)
        check.positive_int(num_classes, name="num_classes", minimum=2)
        sizes = boundary.widths(hidden, name="hidden")
        if not sizes:
            raise ValueError("hidden must name at least one layer, but is empty: for none, use SoftmaxRegression")
        self.layers = nnx.List(
            nnx.Linear(
                before,
                after,
                use_bias=not batch_norm,
                kernel_init=nnx.initializers.he_normal(),
                dtype=self.dtype,
                rngs=rngs,
            )
            for before, after in zip((in_features, *sizes[:-1]), sizes, strict=True)
        )
        self.norms = nnx.List(BatchNorm(size, rngs=rngs) for size in sizes if batch_norm)
        self.head = linear_head(sizes[-1], num_classes, rngs=rngs)

    def features(self, x: ArrayLike) -> Array:
        """Return the last hidden layer after its ReLU, float32 of shape (n, hidden[-1])."""
        return last(self._hidden(x)).astype(jnp.float32)

    def stages(self, x: ArrayLike) -> tuple[Array, ...]:
        """Return every hidden layer after its ReLU, float32 of shapes (n, hidden[0]), (n, hidden[1]), ..."""
        return tuple(h.astype(jnp.float32) for h in self._hidden(x))

    def _hidden(self, x: ArrayLike) -> Iterator[Array]:
        h = boundary.flat(x, in_features=self.in_features, dtype=self.dtype, model=type(self).__name__)
        for i, layer in enumerate(self.layers):
            h = layer(h)
            if self.norms:
                h = self.norms[i](h)
            h = jax.nn.relu(h)
            yield h
