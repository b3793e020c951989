"""EL2N: the error norm early in training."""

import math

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.contested import contested_rule
from jaxnoisy.detect.detection import Detection, Detector
from jaxnoisy.detect.reduce import decided, reduced
from jaxnoisy.detect.rules import Rule, log_odds
from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.trace import Trace

_SCALE = log_odds(0.0, math.sqrt(2))


def el2n(*, epochs: int | None = 10, rule: Rule | None = None) -> Detector:
    """The score is the mean of ||p - onehot(y)||_2 over the first ``epochs`` recorded epochs of each example.

    Paul, Ganguli and Dziugaite (2021), "Deep learning on a data diet", definition 2.2. The paper averages the norm at
    one early epoch over ten runs; one run's first epochs are what a trace holds. The default rule fits a mixture to the
    log odds of the score within [0, sqrt 2], with a fallback on as many examples as are contested, see
    :func:`~jaxnoisy.detect.rules.mixture`.

    Args:
        epochs: how many recorded epochs count, fewer where fewer were recorded; None for all.
        rule: how scores are flagged, instead of the default.

    Returns:
        ``detect(trace) -> Detection``; cost O(n t). From a trace stored in half precision, norms near 0 are good to
        0.03, as they are roots of a difference.

    Raises:
        ValueError: from the constructor for ``epochs`` below 1; from ``detect`` when an example was never recorded.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.dynamics import from_probabilities
        >>> trace = from_probabilities(np.array([[0.7, 0.3], [0.0, 1.0]]), np.array([0, 0]))
        >>> (el2n()(trace).scores ** 2).round(3).tolist()
        [0.18, 2.0]
    """
    first = None if epochs is None else check.positive_int(epochs, name="epochs")

    def statistic(part: Trace) -> np.ndarray:
        norms = signals.error_norm(part.seen)
        if first is not None:
            norms = np.where(np.cumsum(part.recorded, axis=1) <= first, norms, np.nan)
        return signals.mean_recorded(norms)

    def detect(trace: Trace) -> Detection:
        scores = reduced(trace, statistic)
        return decided(scores, rule or contested_rule(trace, scores, scale=_SCALE))

    return detect
