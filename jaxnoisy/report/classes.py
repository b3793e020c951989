"""What the findings say of the classes: which are taken for which, and how many of each are suspicious."""

from typing import NamedTuple

import numpy as np

from jaxnoisy.findings import Findings

LISTED = 30
"""With more classes than this, the largest confusions are listed instead of the whole matrix."""


class Confusion(NamedTuple):
    """Flagged examples of one given label for which another is suggested.

    Attributes:
        given: class number.
        suggested: class number.
        flagged: how many.
        share: of all examples with that given label.
    """

    given: int
    suggested: int
    flagged: int
    share: float


class ClassRate(NamedTuple):
    """One class.

    Attributes:
        label: class number.
        examples: how many were given this label.
        flagged: how many of them are flagged.
        share: flagged / examples; 0 for a class without examples.
        wrong: share of the examples whose label is truly wrong, or None where the truth is not known.
    """

    label: int
    examples: int
    flagged: int
    share: float
    wrong: float | None


def confusion_matrix(findings: Findings, suggested: np.ndarray) -> np.ndarray:
    """(c, c) counts of flagged examples by given (row) and suggested (column) label.

    The diagonal holds flagged examples for which no other class was ever predicted.
    """
    c = len(findings.class_names)
    flagged = findings.detections[findings.primary].flagged
    pairs = findings.labels[flagged].astype(np.int64) * c + suggested[flagged]
    return np.bincount(pairs, minlength=c * c).reshape(c, c)


def largest_confusions(matrix: np.ndarray, examples: np.ndarray, *, limit: int = LISTED) -> list[Confusion]:
    """The largest entries off the diagonal, largest first; equal ones by class number.

    Args:
        matrix: (c, c), see :func:`confusion_matrix`.
        examples: (c,) how many examples each label was given to.
        limit: how many at most.
    """
    off = matrix.copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[:limit]
    found = []
    for given, other in zip(*(index.tolist() for index in np.unravel_index(order, off.shape))):
        if off[given, other]:
            found.append(Confusion(given, other, int(off[given, other]), float(off[given, other] / examples[given])))
    return found


def class_rates(findings: Findings, *, limit: int = LISTED) -> list[ClassRate]:
    """Examples and flagged per class: all in their order, or of more than ``limit`` those with most flagged."""
    c = len(findings.class_names)
    flagged = findings.detections[findings.primary].flagged
    examples = np.bincount(findings.labels, minlength=c)
    taken = np.bincount(findings.labels[flagged], minlength=c)
    share = taken / np.maximum(examples, 1)
    wrong = None
    if findings.flips is not None:
        wrong = np.bincount(findings.labels[findings.flips], minlength=c) / np.maximum(examples, 1)
    order = np.arange(c) if c <= limit else np.lexsort((-share, -taken))[:limit]
    return [
        ClassRate(k, int(examples[k]), int(taken[k]), float(share[k]), None if wrong is None else float(wrong[k]))
        for k in order.tolist()
    ]
