"""The counting half of confident learning: thresholds, the confident joint, and what it says of the noise.

Northcutt, Jiang and Chuang (2021), "Confident learning: estimating uncertainty in dataset labels". Rows of every (c, c)
matrix are the given label, columns the estimated true one. The numbers agree with cleanlab's ``count`` module (2.9).
"""

import numpy as np

from jaxnoisy import check

_TOLERANCE = 1e-6
_BLOCK = 1 << 22


def class_thresholds(labels: np.ndarray, pred_probs: np.ndarray) -> np.ndarray:
    """(c,) float64 mean probability of each class over the examples given its label (equation 2).

    A class that no example is given has no such mean; its threshold is 2, which no probability reaches. A threshold
    below 2e-6 is raised to it, so that the comparison with its tolerance of 1e-6 never admits a probability of zero.

    Args:
        labels: (n,) integers in 0..c-1.
        pred_probs: (n, c) probabilities.

    Raises:
        ValueError: shapes that do not fit, labels out of range, rows that are not distributions.

    Example:
        >>> import numpy as np
        >>> class_thresholds(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])).tolist()
        [0.7, 0.8]
    """
    given, probs = checked(labels, pred_probs)
    c = probs.shape[1]
    counts = np.bincount(given, minlength=c)
    own = probs[np.arange(len(given)), given].astype(np.float64)
    means = np.bincount(given, weights=own, minlength=c) / np.maximum(counts, 1)
    return np.where(counts > 0, np.maximum(means, 2 * _TOLERANCE), 2.0)


def confident_class(
    pred_probs: np.ndarray, thresholds: np.ndarray, *, collisions: str = "argmax", block: int | None = None
) -> np.ndarray:
    """(n,) int64 class that each example is confidently counted into, -1 where no probability reaches its threshold.

    Where several classes reach their thresholds, ``collisions="argmax"`` takes the most probable class of all, as
    cleanlab does. That class may itself miss its threshold when a dominant class has a high one; the paper's
    equation 1 takes the most probable class *among the confident ones*, which is ``collisions="confident"``
    (cleanlab issues 737, 823 and 1248 are about the difference).

    Cost: O(n c), in blocks of rows.
    """
    check.one_of(collisions, ("argmax", "confident"), name="collisions")
    n, c = pred_probs.shape
    step = block or max(1, _BLOCK // c)
    limits = thresholds - _TOLERANCE
    result = np.empty(n, np.int64)
    for start in range(0, n, step):
        probs = pred_probs[start : start + step]
        reached = probs >= limits
        if collisions == "confident":
            guess = np.where(reached, probs, -1.0).argmax(axis=1)
        else:
            guess = np.where(reached.sum(axis=1) > 1, probs.argmax(axis=1), reached.argmax(axis=1))
        result[start : start + step] = np.where(reached.any(axis=1), guess, -1)
    return result


def confident_counts(labels: np.ndarray, confident: np.ndarray, num_classes: int) -> np.ndarray:
    """(c, c) int64 confident joint: how many examples given i are confidently counted into j.

    The diagonal is at least 1, so that no class is taken to be wrong throughout.
    """
    c, sure = num_classes, confident >= 0
    pairs = labels[sure].astype(np.int64) * c + confident[sure]
    counts = np.bincount(pairs, minlength=c * c).reshape(c, c)
    np.fill_diagonal(counts, np.maximum(counts.diagonal(), 1))
    return counts


def calibrated_counts(counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(c, c) int64 confident joint scaled to the number of examples given each class, rounded with row sums kept."""
    given = np.bincount(labels, minlength=len(counts))
    # The layout fixes the order of the sum below; its last digit decides which of two equal remainders is rounded up.
    counts = np.asfortranarray(counts)
    scaled = (counts.T / np.maximum(counts.sum(axis=1), 1e-100) * given).T
    return rounded_rows(scaled / np.maximum(scaled.sum(), 1e-100) * given.sum())


def rounded_rows(matrix: np.ndarray) -> np.ndarray:
    """Round to integers so that each row keeps its (rounded) sum; the entries nearest to the other integer give way."""
    matrix = np.ascontiguousarray(matrix, np.float64)
    whole = matrix.round()
    surplus = (whole.sum(axis=1) - matrix.sum(axis=1).round()).astype(int)
    for i in np.flatnonzero(surplus):
        by_excess = np.argsort(matrix[i] - whole[i])
        if surplus[i] > 0:
            whole[i, by_excess[: surplus[i]]] -= 1
        else:
            whole[i, by_excess[::-1][: -surplus[i]]] += 1
    return whole.astype(np.int64)


def estimated_joint(labels: np.ndarray, pred_probs: np.ndarray, *, collisions: str = "argmax") -> np.ndarray:
    """(c, c) float64 estimate of the joint distribution of given and true labels; sums to 1.

    Args:
        labels: (n,) integers in 0..c-1.
        pred_probs: (n, c) probabilities, out of sample if the model can memorise.
        collisions: see :func:`confident_class`.

    Raises:
        ValueError: as :func:`class_thresholds`.

    Cost: O(n c) time, one block of rows in memory beside the inputs.
    """
    given, probs = checked(labels, pred_probs)
    confident = confident_class(probs, class_thresholds(given, probs), collisions=collisions)
    calibrated = calibrated_counts(confident_counts(given, confident, probs.shape[1]), given)
    return calibrated / max(float(calibrated.sum()), 1e-100)


def estimated_noise_rate(labels: np.ndarray, pred_probs: np.ndarray) -> float:
    """The share of wrong labels, 1 - trace of :func:`estimated_joint`.

    Example:
        >>> import numpy as np
        >>> probs = np.array([[0.9, 0.1]] * 4 + [[0.1, 0.9]] * 4)
        >>> estimated_noise_rate(np.array([0, 0, 0, 1, 1, 1, 1, 1]), probs)
        0.125
    """
    return float(1 - np.trace(estimated_joint(labels, pred_probs)))


def checked(labels: np.ndarray, pred_probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels as int32 and the probabilities as floats, or a clear error."""
    probs = check.probabilities(pred_probs)
    return check.labels(labels, num_classes=probs.shape[1], n=len(probs)), probs
