"""Rules that turn scores into a decision: ``scores -> (flagged, threshold, info)``.

The rules and defaults were chosen by ``benchmarks/flag_rules.py``, on training traces of small data sets from clean
labels to 40 % noise. The failure to avoid is the plain mixture: scores of right labels are skewed, so on clean data it
parts the easy examples from the middling ones, and at low noise it flags several times too many. :func:`mixture` says
what mended it.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from jaxnoisy import check
from jaxnoisy.stats.mixture import Mixture, two_gaussians


class Flags(NamedTuple):
    """A rule's decision.

    Attributes:
        flagged: (n,) bool, exactly the examples whose score lies above the threshold.
        threshold: in the units of the scores.
        info: what the rule found on its way (:class:`MixtureInfo`), or None.
    """

    flagged: np.ndarray
    threshold: float
    info: "MixtureInfo | None" = None


class MixtureInfo(NamedTuple):
    """What :func:`mixture` saw.

    Attributes:
        fit: the mixture, on the stretched scale; None where too few examples lie above the floor to start one.
        floor: where the mixture started, in the units of the scores; None for a plain mixture.
        trusted: whether the mixture parts right labels from wrong ones and set the threshold; otherwise the fallback
            did, or the count of a detector that reads more than the scores.
    """

    fit: Mixture | None
    floor: float | None
    trusted: bool


Rule: TypeAlias = Callable[[np.ndarray], Flags]


class Scale(NamedTuple):
    """An increasing map from scores to the whole line, where two Gaussians fit better, and its inverse."""

    stretch: Callable[[np.ndarray], np.ndarray]
    shrink: Callable[[float], float]


# Beyond these odds a probability in single precision is noise, and the atom of saturated scores would be an outlier.
_EDGE = 1e-6

LINEAR = Scale(lambda scores: scores, float)
"""Scores as they are: logit margins."""


def log_odds(low: float = 0.0, high: float = 1.0) -> Scale:
    """Scores in [low, high] as log(share / (1 - share)), with share = (score - low) / (high - low) kept off 0 and 1."""
    if not low < high:
        raise ValueError(f"low must lie below high, but low is {low!r} and high is {high!r}")

    def stretch(scores: np.ndarray) -> np.ndarray:
        share = np.clip((scores - low) / (high - low), _EDGE, 1 - _EDGE)
        return np.log(share) - np.log1p(-share)

    def shrink(odds: float) -> float:
        # The logistic function, in a form that overflows on neither side.
        return low + (high - low) * 0.5 * (1 + math.tanh(odds / 2))

    return Scale(stretch, shrink)


def _loss_stretch(losses: np.ndarray) -> np.ndarray:
    losses = np.maximum(losses, _EDGE)
    return losses + np.log(-np.expm1(-losses))


LOSS_ODDS = Scale(_loss_stretch, lambda odds: float(np.logaddexp(0.0, odds)))
"""Cross entropies in nats as the log odds against the given label, log((1 - p) / p) with p = exp(-loss)."""


def above(value: float) -> Rule:
    """Flag scores above ``value``.

    Example:
        >>> import numpy as np
        >>> above(0.5)(np.array([0.2, 0.7])).flagged.tolist()
        [False, True]
    """
    threshold = float(value)
    if not math.isfinite(threshold):
        raise ValueError(f"value must be finite, but is {value!r}")

    def rule(scores: np.ndarray) -> Flags:
        return Flags(scores > threshold, threshold)

    return rule


def top_fraction(rate: float) -> Rule:
    """Flag the ``rate`` n highest scores (rounded), for a noise rate that is known.

    Examples that tie with the first one left out are left out too, so that no order of the rows decides; constant
    scores flag none. With ``rate=1`` all are flagged.

    Raises:
        ValueError: ``rate`` outside [0, 1].

    Example:
        >>> import numpy as np
        >>> top_fraction(0.5)(np.array([3.0, 1.0, 2.0, 0.0])).flagged.tolist()
        [True, False, True, False]
    """
    rate = check.fraction(rate, name="rate")

    def rule(scores: np.ndarray) -> Flags:
        threshold = rank_threshold(scores, round(rate * len(scores)))
        return Flags(scores > threshold, threshold)

    return rule


def rank_threshold(scores: np.ndarray, count: int) -> float:
    """The (count + 1)-th highest score: at most ``count`` lie above it, exactly so many where none ties with it."""
    n = len(scores)
    if count >= n:
        return float(np.nextafter(scores.min(), -np.inf))
    return float(np.partition(scores, n - 1 - count)[n - 1 - count])


def mixture(
    *, floor: float | None = None, fallback: float | None = None, scale: Scale = LINEAR, cut: str = "crossing"
) -> Rule:
    """Flag by a mixture of two Gaussians, distrusted where it does not describe right and wrong labels.

    ``floor`` is the score that an example reaches where another class does as well as the given one: 0 for margins. The
    mixture starts from the split at the floor, and its crossing point becomes the threshold when three things hold:

    - the suspicious component's mean lies above the floor: as a group, another class wins;
    - the components are apart: Ashman's D of at least 2;
    - the suspicious component holds at least half as many examples as lie above the floor: it is the group in
      question, not its far tail.

    Otherwise ``fallback`` is the threshold. A long training that memorises wrong labels pulls their average below the
    floor: the rule then errs on the side of flagging too few, nearly all of them wrong. Scores alone do not show it;
    detectors that hold a trace put back what was memorised, see :func:`~jaxnoisy.detect.contested.with_memorised`.

    Args:
        floor: in the units of the scores. None takes the crossing as it is, the usual reading of the literature; it
            suits data known to hold many wrong labels.
        fallback: the threshold where the mixture is distrusted; the floor by default, which flags whatever the model
            itself gets wrong.
        scale: where the mixture is fitted, :data:`LINEAR` for logit margins, :func:`log_odds` for bounded scores,
            :data:`LOSS_ODDS` for cross entropies. Rescaling the scores linearly, to [0, 1] say, changes nothing.
        cut: where a trusted mixture cuts: "crossing", or "floor", for scores whose floor is itself the usual threshold.

    Raises:
        ValueError: a fallback below the floor or without one, or another cut.

    Returns:
        ``rule(scores) -> Flags`` with a :class:`MixtureInfo`. Equal scores flag none unless they all exceed the floor.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> margins = np.concatenate([rng.normal(6, 1, 95), rng.normal(-4, 1, 5)])
        >>> flags = mixture(floor=0.0)(-margins)
        >>> int(flags.flagged.sum()), flags.info.trusted
        (5, True)
    """
    check.one_of(cut, ("crossing", "floor"), name="cut")
    if fallback is not None and (floor is None or fallback < floor):
        raise ValueError(f"fallback must be at least the floor ({floor}), but is {fallback}")

    def rule(scores: np.ndarray) -> Flags:
        values = scale.stretch(scores)
        if floor is None:
            fit = two_gaussians(values)
            threshold = scale.shrink(fit.threshold) if fit.weights[1] > 0 else float(scores.max())
            return Flags(scores > threshold, threshold, MixtureInfo(fit, None, True))
        count = int((scores > floor).sum())
        start = float(scale.stretch(np.asarray(floor, np.float64)))
        found = two_gaussians(values, split=start) if min(count, len(scores) - count) >= 2 else None
        trusted = (
            found is not None
            and bool(found.means[1] > start)
            and found.separation >= 2
            and bool(found.weights[1] * len(scores) >= count / 2)
        )
        if found is not None and trusted:
            threshold = scale.shrink(found.threshold) if cut == "crossing" else float(floor)
        else:
            threshold = float(floor if fallback is None else fallback)
        return Flags(scores > threshold, threshold, MixtureInfo(found, float(floor), trusted))

    return rule
