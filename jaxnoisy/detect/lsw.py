"""Learned weights as a detector: what a model trained without an example's help is held for mislabeled."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.detection import Detection
from jaxnoisy.types import ArrayLike
from jaxnoisy.weights import THRESHOLD

WeightDetector: TypeAlias = Callable[..., Detection]
"""``detect(weights (n,), used=None) -> Detection``."""


class LearnedWeightsInfo(NamedTuple):
    """The weights that a detection was made from.

    Attributes:
        weights: (n,) float64.
        used: (n, t) the weight by which each example was trained on in each epoch, NaN where it was not; None where
            that is not known.
    """

    weights: np.ndarray
    used: np.ndarray | None


def learned_weights(*, threshold: float = THRESHOLD) -> WeightDetector:
    """The score is 1 - weight, and weights below a threshold are flagged.

    Hoang et al., "Revisiting sample weights based method for noisy-label detection and classification", section 4.1:
    examples of weight 0.3 or more are kept.

    Args:
        threshold: in (0, 1).

    Returns:
        ``detect(weights, used=None) -> Detection`` for weights (n,) in [0, 1], as :func:`jaxnoisy.weights.lsw` learns
        them, with a :class:`LearnedWeightsInfo`. Cost O(n).

    Raises:
        ValueError: a threshold out of range; from ``detect``: weights that are not finite, out of range or not of
            shape (n,), or ``used`` of another number of examples.

    Example:
        >>> import numpy as np
        >>> found = learned_weights()(np.array([0.75, 0.125, 0.3]))
        >>> found.scores.tolist(), found.flagged.tolist()
        ([0.25, 0.875, 0.7], [False, True, False])
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must lie in (0, 1), but is {threshold!r}")

    def detect(weights: ArrayLike, used: ArrayLike | None = None) -> Detection:
        w = check.values(weights).astype(np.float64)
        if w.ndim != 1 or len(w) == 0:
            raise ValueError(f"weights must have shape (n,), one per example, with n >= 1, but have shape {w.shape}")
        check.finite(w, name="weights")
        if w.min() < 0 or w.max() > 1:
            worst = int(np.argmax(np.abs(w - 0.5)))
            raise ValueError(f"weights must lie in [0, 1], but weights[{worst}] is {w[worst]:g}")
        history = None if used is None else check.values(used)
        if history is not None and (history.ndim != 2 or len(history) != len(w)):
            raise ValueError(
                f"used must have shape (n, t) for {len(w)} examples and t epochs, but has shape {history.shape}"
            )
        scores, above = 1 - w, 1 - threshold
        return Detection(scores, scores > above, above, LearnedWeightsInfo(w, history))

    return detect
