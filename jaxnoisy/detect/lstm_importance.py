"""Which epochs a learned detector judged an example by."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.lstm_detector import LSTMDetector
from jaxnoisy.detect.lstm_network import LSTMWeights, logits
from jaxnoisy.types import Array, ArrayLike

_BLOCK = 64


def epoch_importance(
    detector: LSTMDetector, sequences: ArrayLike, *, baseline: ArrayLike | None = None, steps: int = 32
) -> np.ndarray:
    """Say how much each epoch of an example adds to the log odds that its label is wrong, by integrated gradients.

    Jia et al. (2023), section 4.4, ask LIME which epochs matter. The network is differentiable, so that its own
    gradient can be asked, without a surrogate and without random numbers (Sundararajan et al. 2017, "Axiomatic
    attribution for deep networks", equation 1)::

        (x - x0) * integral over a from 0 to 1 of the gradient at x0 + a (x - x0)

    by the midpoint rule. Summed over epochs and signals this is logit(x) - logit(x0), up to the error of the rule.

    Args:
        detector: a :class:`~jaxnoisy.detect.lstm_detector.LSTMDetector` of t epochs and s signals.
        sequences: (n, t, s) floats, as :func:`jaxnoisy.dynamics.inputs.sequences` reads them for the detector.
        baseline: x0, (t, s): what examples are compared with. By default the mean of ``sequences``; that of the whole
            data set tells why an example is not like most.
        steps: points of the rule.

    Returns:
        (n, t, s) float32, positive where the epoch speaks for a wrong label. Cost: ``steps`` gradients of n sequences.

    Raises:
        ValueError: shapes that do not fit the detector, values that are not finite, or steps below 1.

    Example:
        >>> import jax, numpy as np
        >>> from jaxnoisy.detect import LSTMDetector, lstm_network
        >>> weights = lstm_network.init(jax.random.key(0), signals=1, hidden=4, layers=2)
        >>> detector = LSTMDetector(weights, ("probability",), 5)
        >>> epoch_importance(detector, np.zeros((3, 5, 1)), baseline=np.ones((5, 1))).shape
        (3, 5, 1)
    """
    shape = (detector.epochs, len(detector.signals))
    values = np.asarray(sequences, np.float32)
    if values.ndim != 3 or values.shape[1:] != shape or len(values) == 0:
        raise ValueError(f"sequences must have shape (n, {shape[0]}, {shape[1]}) with n >= 1, but have {values.shape}")
    start = values.mean(axis=0) if baseline is None else np.asarray(baseline, np.float32)
    if start.shape != shape:
        raise ValueError(f"baseline must have shape {shape}, one value per epoch and signal, but has {start.shape}")
    check.finite(values, name="sequences")
    check.finite(start, name="baseline")
    check.positive_int(steps, name="steps")
    found = []
    for first in range(0, len(values), _BLOCK):
        block = values[first : first + _BLOCK]
        filled = np.concatenate([block, np.broadcast_to(start, (_BLOCK - len(block), *shape))])
        found.append(np.asarray(_integrated(detector.weights, filled, start, steps=steps))[: len(block)])
    return np.concatenate(found)


@functools.partial(jax.jit, static_argnames="steps")
def _integrated(weights: LSTMWeights, values: Array, start: Array, *, steps: int) -> Array:
    gradient = jax.grad(lambda x: logits(weights, x).sum())
    away = values - start

    def add(total: Array, share: Array) -> tuple[Array, None]:
        return total + gradient(start + share * away), None

    shares = (jnp.arange(steps, dtype=values.dtype) + 0.5) / steps
    total, _ = jax.lax.scan(add, jnp.zeros_like(values), shares)
    return away * total / steps
