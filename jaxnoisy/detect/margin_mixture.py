"""Average margin and a two-component mixture, the "Avg.Encoder" baseline of the DynaCor paper."""

from jaxnoisy import check
from jaxnoisy.detect.detection import Detection, Detector
from jaxnoisy.detect.reduce import decided, mean_over_epochs
from jaxnoisy.detect.rules import LINEAR, Rule, above, log_odds, mixture
from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.trace import Trace

_DEFAULTS: dict[str, Rule] = {
    "margin": mixture(floor=0.0, scale=LINEAR),
    "probability-margin": mixture(floor=0.0, scale=log_odds(-1.0, 1.0)),
    # The share of epochs won takes t + 1 values with most examples at the ends, which no pair of Gaussians describes.
    "quantised-margin": above(0.0),
}


def margin_mixture(*, signal: str = "margin", rule: Rule | None = None) -> Detector:
    """The score is minus the mean over the recorded epochs of a margin, the given class against the best other one.

    Kim et al. (2024), "Learning discriminative dynamics with label corruption for noisy label detection" (DynaCor),
    section 4.1, baseline "Avg.Encoder". The paper takes the mixture's decision as it is (``rule=rules.mixture()``); the
    default distrusts it where it does not part right labels from wrong ones, see
    :func:`~jaxnoisy.detect.rules.mixture`.

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
    check.one_of(signal, tuple(_DEFAULTS), name="signal")
    chosen = rule or _DEFAULTS[signal]

    def detect(trace: Trace) -> Detection:
        return decided(-mean_over_epochs(trace, signals.SIGNALS[signal]), chosen)

    return detect
