"""A network with a hidden layer between its features and a new head, to keep the head small."""

import jax
from flax import nnx

from jaxnoisy import check
from jaxnoisy.models.classifier import Classifier, linear_head
from jaxnoisy.types import Array, ArrayLike


class Narrowed(Classifier):
    """The features of a network, one hidden layer of ReLU, the head.

    The exact curvature of a head of c classes on d features takes memory for (c d)^2 numbers. Park et al., "Influential
    Rank", appendix B, therefore train networks of many classes with such a layer: of 50 units for CIFAR-100, of 100 for
    WebVision and for the clips of HMDB-51.

    Args:
        body: a network, which is taken over: its own head goes.
        width: units of the hidden layer.
        rngs: where the new kernels' random numbers come from.

    Raises:
        ValueError: a width below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnoisy.models import MLP
        >>> body = MLP(num_classes=10, in_features=4, rngs=nnx.Rngs(0))
        >>> model = Narrowed(body, 20, rngs=nnx.Rngs(1))
        >>> model.features(jnp.ones((2, 4))).shape, model(jnp.ones((2, 4))).shape
        ((2, 20), (2, 10))
    """

    def __init__(self, body: Classifier, width: int, *, rngs: nnx.Rngs):
        check.positive_int(width, name="penultimate")
        old = body.head
        self.min_size = body.min_size
        self.hidden = nnx.Linear(old.in_features, width, kernel_init=jax.nn.initializers.he_normal(), rngs=rngs)
        self.head = linear_head(width, old.out_features, rngs=rngs)
        del body.head
        self.body = body

    def features(self, x: ArrayLike) -> Array:
        """Return the hidden layer, float32 of shape (n, width)."""
        return jax.nn.relu(self.hidden(self.body.features(x)))

    def stages(self, x: ArrayLike) -> tuple[Array, ...]:
        """Return the stages of the network, and the hidden layer for the last."""
        stages = self.body.stages(x)
        return *stages, jax.nn.relu(self.hidden(stages[-1]))
