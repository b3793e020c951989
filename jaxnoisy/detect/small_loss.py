"""Small loss: right labels are learned first, so examples of large cross entropy are suspicious."""

from jaxnoisy import check
from jaxnoisy.detect.contested import contested_rule
from jaxnoisy.detect.detection import Detection, Detector
from jaxnoisy.detect.reduce import decided, last_epoch, mean_over_epochs
from jaxnoisy.detect.rules import LOSS_ODDS, Rule, top_fraction
from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.trace import Trace


def small_loss(*, over: str = "mean", noise_rate: float | None = None, rule: Rule | None = None) -> Detector:
    """The score is the cross entropy -log p_y, in nats.

    Arazo et al. (2019), "Unsupervised label noise modeling and loss correction", and Li et al. (2020), "DivideMix",
    section 3.1, fit a two-component mixture to losses scaled to [0, 1]; ``rule=rules.mixture()`` does that (a mixture
    of Gaussians does not see a linear scaling). Losses of right labels are skewed, however, and that mixture flags
    far too many digits at low noise and on clean data. The default therefore fits it to
    the log odds against the given label, an increasing function of the loss, and falls back on flagging as many
    examples as are contested, those in which another class has the larger logit on average: see
    :func:`~jaxnoisy.detect.rules.mixture`.

    Args:
        over: "mean" over the recorded epochs, or the "last" recorded one. A network that has memorised its labels has
            small losses everywhere at last; the mean still remembers the way there.
        noise_rate: the share of wrong labels if it is known; then that share of highest losses is flagged.
        rule: how scores are flagged, instead of the default.

    Returns:
        ``detect(trace) -> Detection``; cost O(n t).

    Raises:
        ValueError: from the constructor on bad choices; from ``detect`` when an example was never recorded.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.dynamics import from_probabilities
        >>> trace = from_probabilities(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]))
        >>> np.exp(-small_loss()(trace).scores).round(3).tolist()
        [0.9, 0.2]
    """
    check.one_of(over, ("mean", "last"), name="over")
    if noise_rate is not None and rule is not None:
        raise ValueError("give noise_rate or rule, not both: a known rate is itself a rule")
    chosen = top_fraction(check.fraction(noise_rate, name="noise_rate")) if noise_rate is not None else rule

    def detect(trace: Trace) -> Detection:
        scores = (mean_over_epochs if over == "mean" else last_epoch)(trace, signals.loss)
        return decided(scores, chosen or contested_rule(trace, scores, scale=LOSS_ODDS))

    return detect
