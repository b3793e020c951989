"""Data maps: the mean and the spread over epochs of the probability given to the label."""

import numpy as np

from jaxnoisy.detect.contested import contested_rule
from jaxnoisy.detect.detection import Detection, Detector
from jaxnoisy.detect.reduce import decided, mean_over_epochs, reduced, require_epochs
from jaxnoisy.detect.rules import Rule, log_odds
from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.trace import Trace


def confidence(*, rule: Rule | None = None) -> Detector:
    """The score is 1 - the mean over the recorded epochs of p_y, the probability of the given label.

    Swayamdipta et al. (2020), "Dataset cartography", section 2: the hard-to-learn examples, of low confidence, are
    where wrong labels lie. The default rule fits a mixture to the log odds of the score and falls back on as many
    examples as are contested, see :func:`~jaxnoisy.detect.rules.mixture`.

    Args:
        rule: how scores are flagged, instead of the default.

    Returns:
        ``detect(trace) -> Detection``; cost O(n t).

    Raises:
        ValueError: from ``detect`` when an example was never recorded.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.dynamics import from_probabilities
        >>> trace = from_probabilities(np.array([[0.75, 0.25], [0.25, 0.75]]), np.array([0, 0]))
        >>> confidence()(trace).scores.round(6).tolist()
        [0.25, 0.75]
    """

    def detect(trace: Trace) -> Detection:
        scores = 1 - mean_over_epochs(trace, signals.probability)
        return decided(scores, rule or contested_rule(trace, scores, scale=log_odds()))

    return detect


def variability(*, rule: Rule | None = None) -> Detector:
    """The score is the standard deviation over the recorded epochs of p_y (divided by their number, not one less).

    Swayamdipta et al. (2020), section 2. High variability marks the *ambiguous* examples. Whether wrong labels are
    among them depends on the training: one that memorises them moves their p_y from 0 to 1 late, and variability then
    ranks them well (area under the ROC curve 0.86 to 1.00 on digits after 80 epochs); one that does not leaves p_y near
    0 throughout, low in both confidence and variability, the paper's hard-to-learn corner, and the ranking turns around
    (0.02 to 0.65). The score alone does not tell the two apart. Without a rule nothing is flagged, therefore, and the
    threshold is None. Read it beside :func:`confidence`.

    Args:
        rule: how scores are flagged; by default nothing is.

    Returns:
        ``detect(trace) -> Detection``; cost O(n t).

    Raises:
        ValueError: from ``detect`` on a trace of one epoch, or when an example was never recorded.
    """

    def detect(trace: Trace) -> Detection:
        require_epochs(trace, "variability")
        scores = reduced(trace, lambda part: _deviation(signals.probability(part.seen)))
        if rule is None:
            return Detection(scores, np.zeros(len(scores), bool), None)
        return decided(scores, rule)

    return detect


def _deviation(values: np.ndarray) -> np.ndarray:
    """(n,) population standard deviation of each row over its recorded entries; NaN for an empty row."""
    centred = values - signals.mean_recorded(values)[:, None]
    return np.sqrt(signals.mean_recorded(centred**2))
