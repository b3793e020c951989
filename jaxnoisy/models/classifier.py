"""What every model here has in common: features, one linear head on them, and the views Flax offers."""

import abc

import jax.numpy as jnp
from flax import nnx

from jaxnoisy.types import Array, ArrayLike


class Classifier(nnx.Module):
    """A network that ends in one linear layer, ``head``, on the vector ``features(x)``.

    ``model(x)`` is ``model.head(model.features(x))``, always: methods that look at the last layer only (influence,
    nearest neighbours in feature space, class-wise Gaussians) rely on it.

    A new model is in training mode: batch norm uses the statistics of the batch and updates its running averages.
    ``model.eval()`` and ``model.train()`` switch it in place; ``nnx.view(model, deterministic=True,
    use_running_average=True)`` gives an evaluation view that shares the parameters. A subclass without batch norm
    behaves alike in both modes.

    Attributes:
        head: the last layer, in float32 whatever the compute dtype.
        min_size: the smallest image height and width the network can take; 1 for models of flat features.

    Example:
        A loss as a pure function of the parameters, for one example, at the running batch statistics:

        >>> import jax, jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnoisy.models import build
        >>> model = build("mlp", input_shape=(4,), num_classes=3, key=jax.random.key(0), hidden=(8,))
        >>> model.eval()
        >>> graphdef, params, rest = nnx.split(model, nnx.Param, ...)
        >>> def loss(params, example):
        ...     x, label = example
        ...     logits = nnx.merge(graphdef, params, rest)(x[None])[0]
        ...     return -jax.nn.log_softmax(logits)[label]
        >>> examples = jnp.ones((5, 4)), jnp.zeros(5, int)
        >>> jax.vmap(loss, in_axes=(None, 0))(params, examples).shape
        (5,)

        A training pass returns what batch norm has written. ``copy=True`` gives the module variables of its own:
        without it the running averages would be written into ``rest`` itself, which Flax refuses under ``jax.grad``.

        >>> @jax.jit
        ... def forward(params, rest, x):
        ...     model = nnx.merge(graphdef, params, rest, copy=True)
        ...     model.train()
        ...     logits = model(x)
        ...     return logits, nnx.split(model, nnx.Param, ...)[2]
        >>> logits, rest = forward(params, rest, examples[0])
    """

    head: nnx.Linear
    min_size: int = 1

    @abc.abstractmethod
    def features(self, x: ArrayLike) -> Array:
        """Return the input of ``head``: float32 of shape (n, d) for n examples.

        Args:
            x: floats of shape (n, h, w, channels), or (n, d) for models of flat features, already normalised.

        Raises:
            TypeError: ``x`` is not floating point.
            ValueError: ``x`` has another shape than the model was made for, or images smaller than ``min_size``.
        """

    def stages(self, x: ArrayLike) -> tuple[Array, ...]:
        """Return one vector per example from every stage of the network: float32 arrays of shape (n, d_l), in order.

        The last one is ``features(x)``. Stages are those the networks are described in: the groups of residual blocks
        of one width, the convolutions up to a pool, each convolution of the small CNN, each hidden layer of an MLP.
        Images are averaged over their pixels. A model that names no stages has its features alone.

        Args:
            x: as for :meth:`features`, which raises the same errors.

        Cost: one forward pass, and in training mode one update of the batch statistics, as of ``features`` alone.

        Example:
            >>> import jax.numpy as jnp
            >>> from flax import nnx
            >>> from jaxnoisy.models import CNN
            >>> model = CNN(num_classes=10, in_channels=1, widths=(8, 16), rngs=nnx.Rngs(0))
            >>> [stage.shape for stage in model.stages(jnp.ones((2, 8, 8, 1)))]
            [(2, 8), (2, 16)]
        """
        return (self.features(x),)

    def __call__(self, x: ArrayLike) -> Array:
        """Return the logits of ``x``, float32 of shape (n, c); see :meth:`features` for ``x`` and the errors."""
        return self.head(self.features(x))

    def set_view(self, deterministic: bool | None = None, use_running_average: bool | None = None) -> None:
        """Accept the two switches of :func:`flax.nnx.view`, which layers below may or may not have.

        ``nnx.view`` refuses a switch that no module knows. Without this, the one call that makes an evaluation view
        would work on some models and raise on those that have no batch norm or no dropout.

        Args:
            deterministic: whether dropout is off.
            use_running_average: whether batch norm uses its running statistics.
        """


def linear_head(features: int, num_classes: int, *, rngs: nnx.Rngs) -> nnx.Linear:
    """Return the last layer: Flax's default kernel (LeCun normal) and bias (zero), computed in float32."""
    return nnx.Linear(features, num_classes, dtype=jnp.float32, rngs=rngs)
