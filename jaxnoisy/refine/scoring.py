"""Scores of a classifier's training examples, by how it overfits to them or by their loss, and what they flag."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from jaxnoisy.data.dataset import Dataset
from jaxnoisy.detect import Detection, influential_rank
from jaxnoisy.influence import OverfittingScores
from jaxnoisy.refine import heads
from jaxnoisy.refine.heads import SOLVERS, HeadTask
from jaxnoisy.refine.subject import Subject, Weights, head_data, head_params, losses

METHODS = ("influential-rank", "small-loss")
"""What :func:`jaxnoisy.refine.refine` can find suspicious examples by."""


class Scored(NamedTuple):
    """What one round finds.

    Attributes:
        detection: over the (k,) rows that were scored, with an
            :class:`~jaxnoisy.detect.influential_rank.InfluentialRankInfo`.
        scores: that it comes from.
        losses: (k,) float32, cross entropy of the given labels.
        said: how the linear systems were solved, or "" where there were none.
        influences: of some of the k examples on some validation examples; both are named by their places.
    """

    detection: Detection
    scores: OverfittingScores
    losses: np.ndarray
    said: str
    influences: Callable[[np.ndarray, np.ndarray], np.ndarray]


def scorer(
    subject: Subject,
    data: Dataset,
    validation: Dataset,
    *,
    method: str,
    gamma: float,
    damping: float,
    solver: str,
    hessian_examples: int | None,
    seed: int,
) -> Callable[[Weights, np.ndarray], Scored]:
    """Make ``score(weights, rows) -> Scored``, which looks at those rows only.

    "influential-rank" takes the overfitting scores of the last layer, with the curvature of all rows or of a sample of
    them. "small-loss" puts the loss in the place of both scores (the paper's Table 6): standardised for OSM, and as it
    is for OSD, on which all classes then agree.
    """
    select = influential_rank(gamma=gamma)
    of = SOLVERS[solver]

    def score(weights: Weights, rows: np.ndarray) -> Scored:
        train, clean = head_data(subject, weights, data, rows), head_data(subject, weights, validation)
        sample = _sample(seed, len(rows), hessian_examples)

        def bent() -> heads.HeadInfluence:
            return of(HeadTask(train, clean, sample, damping, head_params(subject, weights)))

        own = losses(np.asarray(train[1]), np.asarray(train[2]))
        if method == "small-loss":
            scores = loss_scores(own, validation)
            return Scored(select(scores), scores, own, "", lambda r, q: bent().influences(r, q))
        head = bent()
        scores, said = head.scores()
        return Scored(select(scores), scores, own, said, head.influences)

    return score


def loss_scores(losses: np.ndarray, validation: Dataset) -> OverfittingScores:
    """The loss in the place of the overfitting scores.

    Args:
        losses: (n,).
        validation: examples of c classes, of which only the numbers are told.

    Returns:
        OSM is the loss less its mean, divided by its standard deviation, or 0 where all are equal. OSD of every class
        is the loss.
    """
    c = validation.num_classes
    wide = losses.astype(np.float64)
    centred, deviation = wide - wide.mean(), wide.std()
    osm = centred / deviation if np.ptp(wide) > 0 and deviation > 0 else np.zeros_like(wide)
    queries = np.bincount(validation.labels, minlength=c).astype(np.int32)
    return OverfittingScores(osm.astype(np.float32), np.repeat(losses[:, None], c, axis=1), queries)


def voters(validation: Dataset, method: str) -> int:
    """How many classes can vote: of overfitting scores, those with two validation examples whose influence differs."""
    if method == "small-loss":
        return validation.num_classes
    return int((np.bincount(validation.labels, minlength=validation.num_classes) > 1).sum())


def _sample(seed: int, n: int, count: int | None) -> np.ndarray | None:
    if count is None or count >= n:
        return None
    key = jax.random.fold_in(jax.random.key(seed), 4)
    return np.sort(np.asarray(jax.random.choice(key, n, (count,), replace=False)))
