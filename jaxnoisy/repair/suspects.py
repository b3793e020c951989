"""Which examples a repair in one pass takes: a given share, those above a threshold, or those that are flagged."""

from collections.abc import Callable

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.detection import Detection, ranking


def suspects(*, fraction: float | None = None, threshold: float | None = None) -> Callable[[Detection], Detection]:
    """Flag anew, by a share or a threshold of one's own.

    Jia et al. (2023), "Learning from training dynamics", section 4.2, removes those of a probability above one half, or
    a given share of all; appendix B.3 relabels the most suspicious 5 or 10 %.

    Args:
        fraction: in (0, 1): the round(fraction n) most suspicious, in the order of
            :func:`jaxnoisy.detect.ranking`, so that ties go by their rows and the count is exact.
        threshold: scores above it, in the units of the scores. Without either, the detector's own flags stay.

    Returns:
        ``choose(detection) -> Detection``, the same scores under other flags.

    Raises:
        ValueError: both, or one out of range.

    Example:
        >>> import numpy as np
        >>> scores = np.array([0.9, 0.2, 0.7, 0.1])
        >>> detection = Detection(scores, scores > 0.8, 0.8)
        >>> suspects(fraction=0.5)(detection).flagged.tolist()
        [True, False, True, False]
        >>> suspects(threshold=0.15)(detection).flagged.tolist()
        [True, True, True, False]
    """
    if fraction is not None and threshold is not None:
        raise ValueError("give a fraction or a threshold, not both: either decides alone how many examples are taken")
    if fraction is not None and not 0 < fraction < 1:
        raise ValueError(f"fraction must lie in (0, 1), the share of examples to take, but is {fraction!r}")
    if threshold is not None and not np.isfinite(threshold):
        raise ValueError(f"threshold must be finite, but is {threshold!r}")

    def choose(detection: Detection) -> Detection:
        scores = np.asarray(detection.scores, np.float64)
        check.finite(scores, name="scores")
        if threshold is not None:
            return detection._replace(flagged=scores > threshold, threshold=float(threshold))
        if fraction is None:
            return detection
        flagged = np.zeros(len(scores), bool)
        flagged[ranking(detection)[: round(fraction * len(scores))]] = True
        return detection._replace(flagged=flagged, threshold=None)

    return choose
