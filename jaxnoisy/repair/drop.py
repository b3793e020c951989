"""Which of the flagged examples may go: never a whole class."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.detection import Detection, ranking


class Drop(NamedTuple):
    """What may be dropped.

    Attributes:
        rows: (n,) bool, flagged examples that go.
        emptied: class numbers of which no example would be left; empty where there is a floor.
        spared: how many flagged examples stay because of the floor.
    """

    rows: np.ndarray
    emptied: tuple[int, ...]
    spared: int


def drop(*, class_floor: int | None = None) -> Callable[[Detection, np.ndarray], Drop]:
    """Choose which flagged examples to drop.

    A classifier trained without a class never predicts it, which no gain elsewhere makes up for. Without a floor, a
    choice that would empty a class is reported in ``emptied``, for the caller to refuse. With one, the ``class_floor``
    least suspicious examples of each class stay: those not flagged before the flagged ones, each by falling rank; of a
    class with no more examples than that, all.

    Args:
        class_floor: at least 1, or None for no floor.

    Returns:
        ``choose(detection, labels) -> Drop`` for the given labels (n,) of the examples in question. Cost: one sort.

    Raises:
        ValueError: a floor below 1; from ``choose``: labels and detection of different lengths.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.detect import Detection
        >>> scores, labels = np.array([0.9, 0.8, 0.1, 0.7]), np.array([0, 0, 0, 1])
        >>> detection = Detection(scores, scores > 0.5, 0.5)
        >>> drop()(detection, labels).emptied
        (1,)
        >>> drop(class_floor=2)(detection, labels).rows.tolist()  # of class 0 the second stays, of class 1 all
        [True, False, False, False]
    """
    floor = 0 if class_floor is None else check.positive_int(class_floor, name="class_floor")

    def choose(detection: Detection, labels: np.ndarray) -> Drop:
        flagged = np.asarray(detection.flagged, bool)
        given = check.labels(labels, n=len(flagged))
        order = ranking(detection)
        # By class, the least suspicious first, so that an example's place within its class can be counted.
        by_class = order[::-1][np.argsort(given[order[::-1]], kind="stable")]
        counts = np.bincount(given)
        first = np.cumsum(counts) - counts
        place = np.empty(len(given), np.int64)
        place[by_class] = np.arange(len(given)) - first[given[by_class]]
        rows = flagged & (place >= floor)
        left = np.bincount(given[~rows], minlength=len(counts))
        emptied = tuple(int(k) for k in np.flatnonzero((counts > 0) & (left == 0)))
        return Drop(rows, emptied, int((flagged & ~rows).sum()))

    return choose
