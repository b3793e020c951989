"""Average margin and a two-component mixture, the "Avg.Encoder" baseline of the DynaCor paper."""

from jaxnoisy import check
from jaxnoisy.detect.contested import margin_rule
from jaxnoisy.detect.detection import Detection, Detector
from jaxnoisy.detect.reduce import decided, mean_over_epochs
from jaxnoisy.detect.rules import LINEAR, Rule, Scale, above, log_odds
from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.trace import Trace

_SCALES: dict[str, Scale | None] = {
    "margin": LINEAR,
    "probability-margin": log_odds(-1.0, 1.0),
    # The share of epochs won takes t + 1 values with most examples at the ends, which no pair of Gaussians describes.
    "quantised-margin": None,
}


def margin_mixture(*, signal: str = "margin", rule: Rule | None = None) -> Detector:
    """The score is minus the mean over the recorded epochs of a margin, the given class against the best other one.

    Kim et al. (2024), "Learning discriminative dynamics with label corruption for noisy label detection" (DynaCor),
    section 4.1, baseline "Avg.Encoder". The paper takes the mixture's decision as it is (``rule=rules.mixture()``); the
    default distrusts it where it does not part right labels from wrong ones, see
    :func:`~jaxnoisy.detect.rules.mixture`, and then flags as many as are confidently contested, see
    :func:`~jaxnoisy.detect.contested.confidently_contested`.

    Args:
        signal: "margin" of logits; "probability-margin", bounded, so that a few very confident epochs weigh no more
            than others; or "quantised-margin", the sign, flagged where another class wins in most epochs.
        rule: how scores are flagged, instead of the default.

    Returns:
        ``detect(trace) -> Detection`` whose info is a :class:`~jaxnoisy.detect.rules.MixtureInfo`; cost O(n t).

    Raises:
        ValueError: from the constructor on another signal; from ``detect`` when an example was never recorded.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.dynamics import from_probabilities
        >>> trace = from_probabilities(np.array([[0.75, 0.25], [0.25, 0.75]]), np.array([0, 0]))
        >>> margin_mixture(signal="probability-margin")(trace).scores.round(6).tolist()
        [-0.5, 0.5]
    """
    check.one_of(signal, tuple(_SCALES), name="signal")
    scale = _SCALES[signal]

    def detect(trace: Trace) -> Detection:
        scores = -mean_over_epochs(trace, signals.SIGNALS[signal])
        default = above(0.0) if scale is None else margin_rule(trace, scores, scale=scale)
        return decided(scores, rule or default)

    return detect
