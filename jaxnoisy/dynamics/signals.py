"""Signals: what a trace says of each example in each epoch, as (n, t) arrays with NaN where nothing was recorded.

All are elementwise functions of an :class:`~jaxnoisy.dynamics.observation.Observation`, work on NumPy and JAX arrays
alike, and compute in float32 whatever the storage. ``gap_filled`` and ``resampled`` then make rows comparable in time.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.dynamics.observation import Observation


def probability(seen: Observation) -> Any:
    """p_y, the probability of the given label, in [0, 1]."""
    return _numpy(seen).exp(_wide(seen.log_p_given))


def loss(seen: Observation) -> Any:
    """-log p_y, the cross entropy in nats."""
    return -_wide(seen.log_p_given)


def margin(seen: Observation) -> Any:
    """z_y - max over k != y of z_k, the given logit less the largest other (Pleiss et al. 2020, eq. 1)."""
    return _wide(seen.log_p_given) - _wide(seen.log_p_other)


def probability_margin(seen: Observation) -> Any:
    """p_y - max over k != y of p_k, in [-1, 1]."""
    xp = _numpy(seen)
    return xp.exp(_wide(seen.log_p_given)) - xp.exp(_wide(seen.log_p_other))


def quantised_margin(seen: Observation) -> Any:
    """The sign of the margin, +1 where the given label's logit is the largest (a tie counts as +1), else -1."""
    xp = _numpy(seen)
    m = margin(seen)
    return xp.where(xp.isnan(m), xp.nan, xp.where(m >= 0, 1.0, -1.0)).astype(xp.float32)


def error_norm(seen: Observation) -> Any:
    """||p - onehot(y)||_2, the EL2N score of one epoch (Paul et al. 2021), in [0, sqrt 2]."""
    return _numpy(seen).sqrt(_wide(seen.squared_error))


SIGNALS = {
    "probability": probability,
    "loss": loss,
    "margin": margin,
    "probability-margin": probability_margin,
    "quantised-margin": quantised_margin,
    "error-norm": error_norm,
}


def correctness(seen: Observation, labels: Any) -> Any:
    """(n, t) float32: 1 where the prediction is the given label, 0 where it is not, NaN where nothing was recorded."""
    xp = _numpy(seen)
    right = (seen.argmax == labels[:, None]).astype(xp.float32)
    return xp.where(seen.argmax < 0, xp.nan, right).astype(xp.float32)


def last_recorded(values: np.ndarray) -> np.ndarray:
    """(n,) the last entry of each row of (n, t) that is not NaN; NaN for an empty row."""
    recorded = ~np.isnan(values)
    last = values.shape[1] - 1 - recorded[:, ::-1].argmax(axis=1)
    return values[np.arange(len(values)), last]


def mean_recorded(values: np.ndarray) -> np.ndarray:
    """(n,) the mean of each row over its recorded entries; NaN for an empty row."""
    recorded = ~np.isnan(values)
    count = recorded.sum(axis=1)
    total = np.where(recorded, values, 0).sum(axis=1, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def gap_filled(values: np.ndarray) -> np.ndarray:
    """Fill NaN by linear interpolation along time, per example; before the first and after the last entry, hold it.

    Args:
        values: (n, t) floats.

    Raises:
        ValueError: a row has no entry at all.

    Example:
        >>> import numpy as np
        >>> gap_filled(np.array([[np.nan, 1.0, np.nan, 3.0]])).tolist()
        [[1.0, 1.0, 2.0, 3.0]]
    """
    values = np.asarray(values)
    known = ~np.isnan(values)
    if known.all():
        return values
    never = ~known.any(axis=1)
    if never.any():
        raise ValueError(
            f"{int(never.sum())} of {len(values)} examples were never recorded, the first at row "
            f"{int(never.argmax())}: leave them out with trace.take(rows), or record them"
        )
    columns = np.arange(values.shape[1])
    before = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, columns, values.shape[1])[:, ::-1], axis=1)[:, ::-1]
    before, after = np.where(before < 0, after, before), np.where(after == values.shape[1], before, after)
    low, high = np.take_along_axis(values, before, 1), np.take_along_axis(values, after, 1)
    share = (columns - before) / np.maximum(after - before, 1)
    return np.where(known, values, low + (high - low) * share).astype(values.dtype)


def resampled(values: np.ndarray, epochs: int) -> np.ndarray:
    """Stretch or squeeze (n, t) along time to (n, epochs) by linear interpolation; first and last columns are kept.

    Raises:
        ValueError: NaN entries (fill the gaps first), or fewer than one epoch asked for.
    """
    check.positive_int(epochs, name="epochs")
    values = np.asarray(values)
    if np.isnan(values).any():
        raise ValueError("values with missing entries cannot be resampled: call gap_filled first")
    t = values.shape[1]
    position = np.linspace(0, t - 1, epochs) if epochs > 1 else np.array([t - 1.0])
    low = np.minimum(position.astype(int), max(t - 2, 0))
    share = position - low
    high = np.minimum(low + 1, t - 1)
    return (values[:, low] * (1 - share) + values[:, high] * share).astype(values.dtype)


def _numpy(seen: Observation) -> Any:
    return np if isinstance(seen.log_p_given, np.ndarray) else jnp


def _wide(field: Any) -> Any:
    return field if field.dtype == np.float64 else field.astype(np.float32)
