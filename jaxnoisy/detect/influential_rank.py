"""Influential Rank's selection: examples that bend the model, and whose influence many classes find uneven."""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.detection import Detection
from jaxnoisy.influence.overfitting_scores import OverfittingScores
from jaxnoisy.stats.mixture import Mixture, two_gaussians

_BELOW_ONE = 1 - 2**-40
"""The threshold. No score reaches it without a flag unless n > 2^80, as OSM is at most sqrt(n)."""

_SAMPLE = 1 << 12

OverfittingDetector: TypeAlias = Callable[[OverfittingScores], Detection]


class InfluentialRankInfo(NamedTuple):
    """How the classes voted.

    Attributes:
        candidates: (n,) bool, examples whose OSM is not below the mean.
        votes: (n,) int32, classes that hold the example for mislabeled; 0 for all that are no candidates.
        required: the votes that flag a candidate.
        mixtures: for each of the c classes the mixture fitted to its OSD of the candidates, in the OSD's own units, or
            None for a class that cannot vote.
    """

    candidates: np.ndarray
    votes: np.ndarray
    required: int
    mixtures: tuple[Mixture | None, ...]


def influential_rank(*, gamma: float = 0.8) -> OverfittingDetector:
    """Flag examples of OSM >= 0 that at least ``gamma`` classes vote for.

    Park et al., "Influential Rank: a new perspective of post-training for robust model against noisy labels", section
    3.3 and Algorithm 1, lines 3 to 8. A class votes for the candidates whose OSD is not below the smaller mean of two
    Gaussians fitted to its OSD of the candidates. That alone takes all of the upper component and half of the lower
    one; precision comes from asking many classes. (The text asks for more than gamma votes, Algorithm 1 for at least
    gamma, and gamma = 0 is OSM alone in the appendix; at least gamma it is.) An increasing affine map of a class's OSD
    changes nothing, so scores normalised over examples select what plain deviations do.

    A class can vote unless its OSD are all equal, as they are where it has fewer than two validation examples. With
    fewer than 8 candidates nothing is fitted, and the mean of their OSD stands in. Where all OSM are equal, no example
    stands out and there are no candidates, so none is flagged, even with ``gamma=0``.

    The score is OSM / (1 + |OSM|), which lies between -1 and 1, and 1 more for what is flagged. So flagged examples
    come first, and OSM decides among them and among the others: it does so more finely than the number of votes and,
    on scikit-learn's digits with wrong labels, better.

    Args:
        gamma: a fraction in (0, 1] of the classes that can vote, rounded up; where none can, as with a single
            validation example per class, OSM alone decides. Or a whole number of classes, 0 for OSM alone. The paper
            takes 8 of 10 classes, and 5 of 10 where more than 40 % of the labels are wrong; it gives no number for
            100 classes. 1 is one class, and 1.0 all of them. Fewer classes find more and drop more right labels. With
            a fifth of the labels wrong, 5 of 10 made better models than 8 on digits, and worse ones on images of
            CIFAR-10, where rounds that drop so much were refused in most runs (``benchmarks/influential_rank.py``).

    Returns:
        ``detect(scores) -> Detection`` for :class:`~jaxnoisy.influence.OverfittingScores`, with an
        :class:`InfluentialRankInfo`. Cost: c sorts of the candidates, and c fits of
        :func:`~jaxnoisy.stats.two_gaussians` to at most 4,096 of their quantiles.

    Raises:
        ValueError: a gamma out of range; from ``detect``: fewer than two classes, no validation examples, more votes
            asked for than there are classes that can vote, shapes that do not fit together, scores that are not finite.
        TypeError: a gamma that is no number.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.influence import OverfittingScores
        >>> osm = np.array([-0.6, -0.5, 1.5, 0.4, -0.8])
        >>> osd = np.array([[0.1, 0.1], [0.2, 0.0], [3.0, 2.0], [0.5, 0.4], [0.0, 0.1]])
        >>> found = influential_rank()(OverfittingScores(osm, osd, np.array([5, 5])))
        >>> found.flagged.tolist(), found.scores.round(3).tolist()
        ([False, False, True, False, False], [-0.375, -0.333, 1.6, 0.286, -0.444])
    """
    _checked_gamma(gamma)

    def detect(scores: OverfittingScores) -> Detection:
        osm, osd = _checked_scores(scores, gamma)
        candidates = (osm >= 0) & (np.ptp(osm) > 0)
        can_vote = np.ptp(osd, axis=0) > 0
        votes, mixtures = np.zeros(len(osm), np.int32), []
        for column, able in zip(osd[candidates].T, can_vote):
            fit, given = _vote(column) if able and column.size else (None, 0)
            votes[candidates] += given
            mixtures.append(fit)
        required = _required(gamma, int(can_vote.sum()), some=bool(candidates.any()))
        flagged = candidates & (votes >= required)
        ranked = flagged + np.clip(osm / (1 + np.abs(osm)), -1, _BELOW_ONE)
        return Detection(ranked, flagged, _BELOW_ONE, InfluentialRankInfo(candidates, votes, required, tuple(mixtures)))

    return detect


def _vote(osd: np.ndarray) -> tuple[Mixture, np.ndarray]:
    """A class's mixture, and the candidates it votes for."""
    low, span = float(osd.min()), float(np.ptp(osd))
    unit = (osd - low) / (span or 1.0)
    fit = two_gaussians(_evenly(np.sort(unit)))
    in_units = Mixture(low + span * fit.means, span**2 * fit.variances, fit.weights, low + span * fit.threshold)
    # Rounding must not decide about an example that lies at the mean.
    return in_units, unit >= fit.means[0] - 1e-9


def _evenly(ordered: np.ndarray) -> np.ndarray:
    """Evenly spaced quantiles, where there are so many values that a fit for every class would take minutes."""
    n = len(ordered)
    return ordered if n <= _SAMPLE else ordered[((np.arange(_SAMPLE) + 0.5) * (n / _SAMPLE)).astype(int)]


def _required(gamma: float, voters: int, *, some: bool) -> int:
    if isinstance(gamma, (int, np.integer)):
        if some and gamma > voters:
            raise ValueError(
                f"gamma asks for the votes of {gamma} classes, but only {voters} can vote: a class needs two different "
                "validation examples; give more of them, or gamma as a fraction of the classes that can"
            )
        return int(gamma)
    # 0.7 * 10 is a little more than 7.
    return math.ceil(gamma * voters - 1e-9)


def _checked_gamma(gamma: float) -> None:
    if isinstance(gamma, (int, np.integer)) and not isinstance(gamma, bool):
        check.positive_int(int(gamma), name="gamma", minimum=0)
    elif isinstance(gamma, (float, np.floating)):
        if not 0 < gamma <= 1:
            raise ValueError(
                f"gamma must be a fraction of the classes in (0, 1] or a whole number of them, 0 for OSM alone, but is "
                f"{gamma!r}"
            )
    else:
        raise TypeError(f"gamma must be a fraction or a whole number of classes, but is {type(gamma).__name__}")


def _checked_scores(scores: OverfittingScores, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    osm, osd, queries = (check.values(a) for a in scores)
    if osm.ndim != 1 or len(osm) == 0 or osd.ndim != 2 or len(osd) != len(osm) or queries.shape != osd.shape[1:]:
        raise ValueError(
            "osm (n,), osd (n, c) and queries (c,) must share n >= 1 examples and c classes, but have shapes "
            f"{osm.shape}, {osd.shape} and {queries.shape}"
        )
    classes = osd.shape[1]
    if classes < 2:
        raise ValueError(f"mislabeled examples need at least two classes, but osd has {classes}")
    if not queries.any():
        raise ValueError(
            "there are no validation examples, by which classes vote: score again with some of clean labels"
        )
    if isinstance(gamma, (int, np.integer)) and gamma > classes:
        raise ValueError(f"gamma asks for the votes of {gamma} classes, but there are only {classes}")
    for name, a in (("osm", osm), ("osd", osd)):
        check.finite(a, name=f"{name} (did training diverge, or a solver fail? See the info beside the scores)")
    return osm.astype(np.float64), osd.astype(np.float64)
