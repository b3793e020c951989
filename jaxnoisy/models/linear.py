"""Softmax regression."""

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxnoisy import check
from jaxnoisy.models import boundary
from jaxnoisy.models.classifier import Classifier, linear_head
from jaxnoisy.types import Array, ArrayLike


class SoftmaxRegression(Classifier):
    """One linear layer on the flattened input: ``features`` is the input itself. p = (d + 1) c.

    Args:
        in_features: d, the number of values per example.
        num_classes: c.
        dtype: float32 or bfloat16; in bfloat16 the input is rounded to it, the product stays float32.
        rngs: where the kernel's random numbers come from.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnoisy.models import SoftmaxRegression
        >>> model = SoftmaxRegression(in_features=64, num_classes=10, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((2, 8, 8, 1))).shape
        (2, 10)
    """

    def __init__(self, *, in_features: int, num_classes: int, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.in_features = check.positive_int(in_features, name="in_features")
        self.dtype = boundary.compute_dtype(dtype)
        check.positive_int(num_classes, name="num_classes", minimum=2)
        self.head = linear_head(in_features, num_classes, rngs=rngs)

    def features(self, x: ArrayLike) -> Array:
        """Return the inputs flattened, float32 of shape (n, d)."""
        flat = boundary.flat(x, in_features=self.in_features, dtype=self.dtype, model=type(self).__name__)
        return flat.astype(jnp.float32)
