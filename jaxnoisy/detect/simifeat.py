"""SimiFeat: labels that the nearest neighbours in feature space do not share."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple, TypeAlias

import jax
import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.detection import Detection
from jaxnoisy.stats.hoc import Consensus, NoiseEstimate, consensus, hoc
from jaxnoisy.stats.knn import Neighbours, nearest_neighbours
from jaxnoisy.types import ArrayLike

FeatureDetector: TypeAlias = Callable[[Iterable[ArrayLike], ArrayLike], Detection]


class SimiFeatInfo(NamedTuple):
    """What the passes came to.

    Attributes:
        passes: how many there were.
        share: (n,) the share of them that found each label to be wrong.
        agreement: (n,) the share of neighbours that carry the same label, mean over the passes.
        estimate: of "rank", the noise that the neighbours' labels speak of; None for "vote".
        required: of "rank", (c,) how many of each given class a pass flags; None for "vote".
    """

    passes: int
    share: np.ndarray
    agreement: np.ndarray
    estimate: NoiseEstimate | None
    required: np.ndarray | None


class _Pass(NamedTuple):
    """One pass: counts of the neighbours' labels, and which of equal counts are the more suspicious."""

    margin: np.ndarray
    similarity: np.ndarray
    agreement: np.ndarray
    nearness: np.ndarray


def simifeat_vote(*, num_classes: int, neighbours: int = 10) -> FeatureDetector:
    """Flag labels that are outnumbered among the nearest neighbours' labels.

    Zhu, Dong and Liu (2022), "Detecting corrupted labels without training a model to predict", section 4.1: an example
    is wrong where another class than its own has most votes of the k nearest, its own label not counted; where its own
    class ties with the best one it stays. Over several passes, whose features come from differently augmented inputs,
    the majority of passes decides. The score is the mean over passes of the largest share of another class less the
    share of its own, so that with one pass what is flagged scores above 0.

    Args:
        num_classes: c.
        neighbours: k.

    Returns:
        ``detect(passes, labels) -> Detection``: ``passes`` holds, or makes one after another, (n, d) features of the
        same n examples, ``labels`` are (n,). The info is a :class:`SimiFeatInfo`. Cost for each pass: that of
        :func:`~jaxnoisy.stats.nearest_neighbours`, which grows with n^2, and n c numbers.

    Raises:
        ValueError: choices out of range; no pass, passes of other lengths, or no more examples than neighbours.

    Example:
        >>> import numpy as np
        >>> angle = np.r_[np.arange(5), np.arange(40, 45)] / 30
        >>> features = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        >>> found = simifeat_vote(num_classes=2, neighbours=3)([features], np.array([0, 0, 1, 0, 0, 1, 1, 1, 1, 1]))
        >>> found.flagged.nonzero()[0].tolist()
        [2]
    """
    c, k = _choices(num_classes, neighbours)

    def detect(passes: Iterable[ArrayLike], labels: ArrayLike) -> Detection:
        given = check.labels(labels, num_classes=c)
        done = [_read(found, given, c) for found in _neighbours(passes, given, k)]
        share = np.mean([one.margin > 0 for one in done], axis=0)
        scores = np.mean([one.margin for one in done], axis=0)
        info = SimiFeatInfo(len(done), share, np.mean([one.agreement for one in done], axis=0), None, None)
        return Detection(scores, share > 0.5, 0.0 if len(done) == 1 else None, info)

    return detect


def simifeat_rank(*, num_classes: int, neighbours: int = 10) -> FeatureDetector:
    """Flag, within each given class, as many as are wrong by the neighbours' estimate, least similar labels first.

    The same paper, section 4.2: the score of an example is the cosine between its own label, one-hot, and the labels of
    its k nearest neighbours, averaged; of the N examples given as class j the N P(Y != j | given j) of smallest score
    are flagged. That probability follows by Bayes' rule from the transition matrix and prior that :func:`~jaxnoisy.
    stats.hoc` estimates from the two nearest neighbours' labels, counted over all passes. Few neighbours give few
    different scores: of equal ones, those whose agreeing neighbours are farther away come first. As in
    :func:`simifeat_vote` the majority of passes decides. The score reported is 1 less the mean cosine over passes, in
    [0, 1]; what is flagged depends on the class as well, so that there is no threshold.

    Args:
        num_classes: c, at most 256.
        neighbours: k, at least 2.

    Returns:
        ``detect(passes, labels) -> Detection``, see :func:`simifeat_vote`; the cost is that of
        :func:`~jaxnoisy.stats.hoc` beside it.

    Raises:
        ValueError: as :func:`simifeat_vote` does.

    Example:
        >>> import numpy as np
        >>> angle = np.r_[np.arange(20), np.arange(200, 220)] / 150
        >>> features = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        >>> labels = np.repeat([0, 1], 20)
        >>> labels[10] = 1
        >>> simifeat_rank(num_classes=2, neighbours=3)([features], labels).scores.argmax()
        np.int64(10)
    """
    c, k = _choices(num_classes, neighbours, least=2)

    def detect(passes: Iterable[ArrayLike], labels: ArrayLike) -> Detection:
        given = check.labels(labels, num_classes=c)
        done, orders = [], []
        for found in _neighbours(passes, given, k):
            done.append(_read(found, given, c))
            orders.append(consensus(given, found.rows[:, :2], num_classes=c))
        estimate = jax.device_get(_estimated(Consensus(*(sum(order) / len(done) for order in zip(*orders)))))
        required = np.rint(np.bincount(given, minlength=c) * np.clip(estimate.wrong_given, 0, 1)).astype(int)
        share = np.mean([_lowest(one, given, required) for one in done], axis=0)
        agreement = np.mean([one.agreement for one in done], axis=0)
        scores = 1 - np.mean([one.similarity for one in done], axis=0)
        return Detection(scores, share > 0.5, None, SimiFeatInfo(len(done), share, agreement, estimate, required))

    return detect


def _choices(num_classes: int, neighbours: int, least: int = 1) -> tuple[int, int]:
    return (
        check.positive_int(num_classes, name="num_classes", minimum=2),
        check.positive_int(neighbours, name="neighbours", minimum=least),
    )


def _neighbours(passes: Iterable[ArrayLike], given: np.ndarray, k: int) -> Iterable[Neighbours]:
    number = 0
    for features in passes:
        if len(features) != len(given):
            raise ValueError(
                f"pass {number} has features of {len(features)} examples for {len(given)} labels: every pass goes over "
                "all examples in the same order"
            )
        number += 1
        yield jax.device_get(_nearest(features, k=k))
    if not number:
        raise ValueError("passes is empty: give the features of at least one pass")


@partial(jax.jit, static_argnames="k")
def _found(features: ArrayLike, *, k: int) -> Neighbours:
    return nearest_neighbours(k=k)(features)


def _nearest(features: ArrayLike, *, k: int) -> Neighbours:
    check.finite(features, name="features")  # traced arrays are not looked at
    return _found(features, k=k)


_estimated = jax.jit(hoc())


def _read(found: Neighbours, given: np.ndarray, c: int) -> _Pass:
    rows, similarity = np.asarray(found.rows), np.asarray(found.similarity)
    n, k = rows.shape
    votes = given[rows]
    counts = np.zeros((n, c), np.int32)
    np.add.at(counts, (np.repeat(np.arange(n), k), votes.ravel()), 1)
    own = counts[np.arange(n), given]
    length = np.sqrt((counts.astype(np.float64) ** 2).sum(axis=1))
    counts[np.arange(n), given] = -1
    nearness = np.where(votes == given[:, None], similarity, 0).sum(axis=1)
    return _Pass((counts.max(axis=1) - own) / k, own / length, own / k, nearness)


def _lowest(one: _Pass, given: np.ndarray, required: np.ndarray) -> np.ndarray:
    """(n,) bool: of each class as many as are required, the least similar ones."""
    flagged = np.zeros(len(given), bool)
    order = np.lexsort((one.nearness, one.similarity))
    for label, count in enumerate(required):
        flagged[order[given[order] == label][:count]] = True
    return flagged
