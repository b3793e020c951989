"""A long short-term memory network over sequences, such as training dynamics."""

import jax.numpy as jnp
from flax import nnx

from jaxnoisy import check, recurrence
from jaxnoisy.models import boundary
from jaxnoisy.models.classifier import Classifier, linear_head
from jaxnoisy.types import Array, ArrayLike


class LSTMLayer(nnx.Module):
    """The parameters of one layer, see :class:`~jaxnoisy.recurrence.LSTMLayer`."""

    def __init__(self, arrays: recurrence.LSTMLayer):
        self.kernel = nnx.Param(arrays.kernel)
        self.recurrent = nnx.Param(arrays.recurrent)
        self.bias = nnx.Param(arrays.bias)

    def arrays(self) -> recurrence.LSTMLayer:
        """Return the parameters as plain arrays."""
        return recurrence.LSTMLayer(self.kernel[...], self.recurrent[...], self.bias[...])


class LSTM(Classifier):
    """Stacked LSTM layers; the state after the last step goes through the head.

    The default is the network of Jia et al. (2023), "Learning from training dynamics": two layers of 64 over one
    scalar per epoch, and one logit, of being mislabeled. How it is drawn and computed: :mod:`jaxnoisy.recurrence`. It
    gives what a pair of Flax's ``nnx.RNN(nnx.OptimizedLSTMCell(...))`` with the same parameters gives, in less time on
    a CPU (``benchmarks/lstm_speed.py``).

    Args:
        in_features: signals per step.
        outputs: logits; 1 for a binary decision.
        hidden: the width of every layer.
        layers: how many.
        rngs: where the parameters' random numbers come from.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnoisy.models import LSTM
        >>> model = LSTM(in_features=1, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((3, 20, 1))).shape
        (3, 1)
    """

    def __init__(self, *, in_features: int = 1, outputs: int = 1, hidden: int = 64, layers: int = 2, rngs: nnx.Rngs):
        self.in_features = in_features
        check.positive_int(outputs, name="outputs")
        drawn = recurrence.init(rngs.params(), features=in_features, hidden=hidden, layers=layers)
        self.layers = nnx.List(LSTMLayer(layer) for layer in drawn)
        self.head = linear_head(hidden, outputs, rngs=rngs)

    def features(self, x: ArrayLike) -> Array:
        """Return the last layer's state after the last step: float32 of shape (n, hidden).

        Args:
            x: (n, t, in_features) floats, t >= 1.

        Raises:
            TypeError: ``x`` is not floating point.
            ValueError: ``x`` has another shape.
        """
        steps = boundary.sequences(x, in_features=self.in_features, dtype=jnp.float32, model=type(self).__name__)
        return recurrence.last_state([layer.arrays() for layer in self.layers], steps)
