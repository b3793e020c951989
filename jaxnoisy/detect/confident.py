"""Confident learning as a detector on the mean probabilities of a trace."""

from typing import NamedTuple

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.confident_joint import (
    calibrated_counts,
    checked,
    class_thresholds,
    confident_class,
    confident_counts,
)
from jaxnoisy.detect.detection import Detection, Detector
from jaxnoisy.detect.label_quality import SCORES, label_quality
from jaxnoisy.detect.prune import issues_from_counts, prune_choices
from jaxnoisy.detect.reduce import require_recorded
from jaxnoisy.dynamics.trace import Trace


class ConfidentInfo(NamedTuple):
    """What confident learning estimated on its way; rows are given labels, columns true ones.

    Attributes:
        thresholds: (c,) float64 mean self-confidence of each class; 2 for a class without examples.
        counts: (c, c) int64 confident joint.
        joint: (c, c) float64 joint distribution, from the counts calibrated to the given labels.
        noise_rate: 1 - the trace of the joint.
    """

    thresholds: np.ndarray
    counts: np.ndarray
    joint: np.ndarray
    noise_rate: float


def confident_learning(
    *,
    prune: str = "prune_by_noise_rate",
    rank: str = "self_confidence",
    frac_noise: float = 1.0,
    min_examples_per_class: int = 1,
    collisions: str = "argmax",
    keep_agreeing: bool = True,
) -> Detector:
    """Flag by the confident joint, rank by label quality (Northcutt et al. 2021).

    The score is 1 - :func:`~jaxnoisy.detect.label_quality.label_quality`; the flagged examples are
    :func:`~jaxnoisy.detect.prune.label_issues`, which is not a cut of the score, so the threshold is None. The
    probabilities are the trace's mean over the recorded epochs. The method was made for cross-validated probabilities;
    averaging over epochs stands in for them, as early epochs have not memorised the labels yet.

    Args:
        prune: rule of :func:`~jaxnoisy.detect.prune.label_issues`.
        rank: "self_confidence", "normalized_margin" or "confidence_weighted_entropy".
        frac_noise: see :func:`~jaxnoisy.detect.prune.label_issues`, as for the three below.
        min_examples_per_class: how many examples of a class stay.
        collisions: "argmax" or "confident".
        keep_agreeing: whether an example whose given class is the predicted one is never flagged.

    Returns:
        ``detect(trace) -> Detection`` with a :class:`ConfidentInfo`; cost O(n c), plus sorts within classes.

    Raises:
        ValueError: from the constructor on bad choices; from ``detect`` on a trace without probabilities, or with an
            example that was never recorded.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.dynamics import from_probabilities
        >>> probs = np.array([[0.9, 0.1]] * 4 + [[0.1, 0.9]] * 4)
        >>> found = confident_learning()(from_probabilities(probs, np.array([0, 0, 0, 1, 1, 1, 1, 1])))
        >>> found.flagged.nonzero()[0].tolist(), found.info.noise_rate
        ([3], 0.125)
    """
    prune_choices(prune, frac_noise, min_examples_per_class, collisions)
    check.one_of(rank, SCORES, name="rank")

    def detect(trace: Trace) -> Detection:
        if trace.mean_probs is None:
            raise ValueError(
                "confident learning needs class probabilities, and this trace holds none: record it with "
                "probabilities=True, or make one of pred_probs with dynamics.from_probabilities"
            )
        require_recorded(trace)
        given, probs = checked(trace.labels, trace.mean_probs)
        thresholds = class_thresholds(given, probs)
        confident = confident_class(probs, thresholds, collisions=collisions)
        counts = confident_counts(given, confident, probs.shape[1])
        calibrated = calibrated_counts(counts, given)
        flagged = issues_from_counts(
            given,
            probs,
            confident,
            calibrated,
            prune=prune,
            frac_noise=frac_noise,
            min_examples_per_class=min_examples_per_class,
            keep_agreeing=keep_agreeing,
        )
        joint = calibrated / calibrated.sum()
        info = ConfidentInfo(thresholds, counts, joint, float(1 - np.trace(joint)))
        return Detection(1 - label_quality(given, probs, score=rank), flagged, None, info)

    return detect
