"""NLNL: after negative learning, right labels are likely and wrong ones are not."""

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.detection import Detection, Detector
from jaxnoisy.detect.reduce import decided, reduced
from jaxnoisy.detect.rules import above
from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.trace import Trace


def nlnl(*, keep_above: float = 0.5, last: int = 10) -> Detector:
    """The score is one less the mean probability of the given label over the last epochs of selective training.

    Kim et al. (2019), "NLNL: Negative learning for noisy labels" (ICCV): examples whose label is at most ``keep_above``
    likely are left out by the last stage, which learns from the others alone, and are what the paper filters out. The
    trace must come from that stage (``robust.selective_positive``, after ``robust.negative_learning`` and
    ``robust.selective_negative``): from plain training, in which wrong labels are learned too, it flags few.

    Args:
        keep_above: in (0, 1), the paper's gamma; labels not likelier than it are flagged.
        last: over so many epochs, or as many as there are, probabilities are averaged, as the authors' code does.

    Returns:
        ``detect(trace) -> Detection`` with threshold ``1 - keep_above``; cost O(n t).

    Raises:
        ValueError: from the constructor on choices out of range; from ``detect`` when an example was never recorded.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.dynamics import from_probabilities
        >>> trace = from_probabilities(np.array([[0.75, 0.25], [0.75, 0.25]]), np.array([0, 1]))
        >>> nlnl()(trace).flagged.tolist()
        [False, True]
    """
    if not 0 < keep_above < 1:
        raise ValueError(f"keep_above must lie in (0, 1), but is {keep_above!r}")
    check.positive_int(last, name="last")

    def late(part: Trace) -> np.ndarray:
        after = np.cumsum(part.recorded[:, ::-1], axis=1)[:, ::-1]
        return signals.mean_recorded(np.where(after <= last, signals.probability(part.seen), np.nan))

    def detect(trace: Trace) -> Detection:
        return decided(1 - reduced(trace, late), above(1 - keep_above))

    return detect
