"""Forgetting events: how often training unlearns an example."""

import numpy as np

from jaxnoisy.detect.contested import credible_count
from jaxnoisy.detect.detection import Detection, Detector
from jaxnoisy.detect.reduce import decided, reduced, require_epochs
from jaxnoisy.detect.rules import Rule, above, rank_threshold
from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.trace import Trace


def forgetting(*, rule: Rule | None = None) -> Detector:
    """The score counts the times an example was predicted right at one recorded epoch and wrong at the next.

    Toneva et al. (2019), "An empirical study of example forgetting during deep neural network learning", section 3.
    Epochs in which an example was not recorded are passed over. An example never predicted right counts as forgotten t
    times, t the recorded epochs of the trace, more than any example can be (the paper sets infinity). Counts tie
    often, most of all those never predicted right; the mean of 1 - p_y, at most 1, is added to each and orders them.

    Flagged by default are as many examples as the mean margin flags, those of highest score: counts are not described
    by a mixture of Gaussians, and the paper gives no cut.

    Args:
        rule: how scores are flagged, instead of the default.

    Returns:
        ``detect(trace) -> Detection``; cost O(n t).

    Raises:
        ValueError: from ``detect`` on a trace of one epoch, or when an example was never recorded.

    Example:
        >>> import numpy as np
        >>> forgetting_events(np.array([[1, 0, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0], [1, np.nan, 0, 0]])).tolist()
        [2, 0, 4, 1]
    """

    def detect(trace: Trace) -> Detection:
        require_epochs(trace, "forgetting")
        scores = reduced(trace, _scores)
        chosen = rule or above(rank_threshold(scores, credible_count(trace)))
        return decided(scores, chosen)

    return detect


def forgetting_events(correct: np.ndarray) -> np.ndarray:
    """(n,) int64 counts of :func:`forgetting`, from (n, t) correctness: 1, 0, or NaN where nothing was recorded."""
    known = ~np.isnan(correct)
    columns = np.arange(correct.shape[1])
    latest = np.maximum.accumulate(np.where(known, columns, 0), axis=1)
    held = np.take_along_axis(correct, latest, axis=1)
    # A gap repeats the entry before it, which makes no transition; before the first entry it stays NaN.
    events = ((held[:, :-1] == 1) & (held[:, 1:] == 0)).sum(axis=1)
    return np.where((correct == 1).any(axis=1), events, correct.shape[1])


def _scores(part: Trace) -> np.ndarray:
    doubt = 1 - signals.mean_recorded(signals.probability(part.seen))
    return forgetting_events(signals.correctness(part.seen, part.labels)) + doubt
