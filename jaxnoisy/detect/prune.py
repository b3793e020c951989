"""The pruning half of confident learning: which examples to hold for wrong, given the counts."""

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.confident_joint import (
    calibrated_counts,
    checked,
    class_thresholds,
    confident_class,
    confident_counts,
)
from jaxnoisy.detect.label_quality import label_quality

PRUNE_RULES = (
    "prune_by_noise_rate",
    "prune_by_class",
    "both",
    "confident_learning",
    "predicted_neq_given",
    "low_normalized_margin",
    "low_self_confidence",
)
_TOLERANCE = 1e-6
_BLOCK = 1 << 22


def label_issues(
    labels: np.ndarray,
    pred_probs: np.ndarray,
    *,
    prune: str = "prune_by_noise_rate",
    frac_noise: float = 1.0,
    min_examples_per_class: int = 1,
    collisions: str = "argmax",
    keep_agreeing: bool = True,
) -> np.ndarray:
    """Find the examples whose label is probably wrong (Northcutt et al. 2021, section 3.2).

    With the calibrated confident joint C (rows given, columns true):

    - "prune_by_noise_rate": for each pair i != j, the C[i, j] examples given i of largest p_j - p_i.
    - "prune_by_class": of each class i, the examples of smallest p_i, as many as C counts off its diagonal.
    - "both": flagged by the two above.
    - "confident_learning": the examples counted off the diagonal of the confident joint, before calibration.
    - "predicted_neq_given": the most probable class is another one.
    - "low_normalized_margin", "low_self_confidence": the lowest label qualities, as many as "confident_learning" finds.

    With the defaults the set equals that of cleanlab's ``find_label_issues`` (2.9), ties included. Where its rules
    are debated, they are options:

    - ``collisions``: the class counted when several reach their thresholds, see
      :func:`~jaxnoisy.detect.confident_joint.confident_class`; "argmax" is cleanlab's, "confident" the paper's.
    - ``keep_agreeing``: an example whose given class is the predicted one, or within 1e-6 of it, is never an issue,
      whatever the counts say. The paper has no such step (cleanlab issue 722); False leaves it out. It does not touch
      the two "low_" rules beyond the number they take.
    - ``min_examples_per_class``: the pruning rules leave that many examples of each class, and touch no class with at
      most so many, nor one of a single example.
    - ``frac_noise``: the share of the counted wrong labels that the three "prune" rules take.

    Args:
        labels: (n,) integers in 0..c-1; classes may be missing.
        pred_probs: (n, c) probabilities, out of sample if the model can memorise.
        prune: the rule.
        frac_noise: in [0, 1].
        min_examples_per_class: 0 or more.
        collisions: "argmax" or "confident".
        keep_agreeing: see above.

    Returns:
        (n,) bool. Cost: O(n c) for the counts; a sort of each class for "prune_by_class", and of each class once per
        other class that it is mixed up with for "prune_by_noise_rate".

    Raises:
        ValueError: a choice out of range, shapes that do not fit, rows that are not distributions.

    Example:
        >>> import numpy as np
        >>> probs = np.array([[0.9, 0.1]] * 4 + [[0.1, 0.9]] * 4)
        >>> label_issues(np.array([0, 0, 0, 1, 1, 1, 1, 1]), probs).nonzero()[0].tolist()
        [3]
    """
    prune_choices(prune, frac_noise, min_examples_per_class, collisions)
    given, probs = checked(labels, pred_probs)
    if prune == "predicted_neq_given":
        issues = probs.argmax(axis=1) != given
        return issues & ~agreeing(given, probs) if keep_agreeing else issues
    confident = confident_class(probs, class_thresholds(given, probs), collisions=collisions)
    counts = confident_counts(given, confident, probs.shape[1])
    return issues_from_counts(
        given,
        probs,
        confident,
        calibrated_counts(counts, given),
        prune=prune,
        frac_noise=frac_noise,
        min_examples_per_class=min_examples_per_class,
        keep_agreeing=keep_agreeing,
    )


def prune_choices(prune: str, frac_noise: float, min_examples_per_class: int, collisions: str) -> None:
    """Check the static choices of :func:`label_issues`."""
    check.one_of(prune, PRUNE_RULES, name="prune")
    check.fraction(frac_noise, name="frac_noise")
    check.positive_int(min_examples_per_class, name="min_examples_per_class", minimum=0)
    check.one_of(collisions, ("argmax", "confident"), name="collisions")


def issues_from_counts(
    labels: np.ndarray,
    probs: np.ndarray,
    confident: np.ndarray,
    calibrated: np.ndarray,
    *,
    prune: str,
    frac_noise: float,
    min_examples_per_class: int,
    keep_agreeing: bool,
) -> np.ndarray:
    """:func:`label_issues` for counts that are already there."""
    if prune == "predicted_neq_given":
        issues = probs.argmax(axis=1) != labels
    elif prune in ("prune_by_noise_rate", "prune_by_class", "both"):
        quota = _quotas(calibrated, min_examples_per_class, frac_noise)
        issues = np.ones(len(labels), bool)
        if prune != "prune_by_noise_rate":
            issues &= _by_class(labels, probs, quota, min_examples_per_class)
        if prune != "prune_by_class":
            issues &= _by_noise_rate(labels, probs, quota, min_examples_per_class)
    else:
        issues = (confident >= 0) & (confident != labels)
    if keep_agreeing:
        issues &= ~agreeing(labels, probs)
    if prune.startswith("low_"):
        quality = label_quality(labels, probs, score=prune.removeprefix("low_"))
        lowest = np.argsort(quality.astype(probs.dtype))[: int(issues.sum())]
        issues = np.zeros(len(labels), bool)
        issues[lowest] = True
    return issues


def agreeing(labels: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(n,) bool: the given class is the most probable one once 1e-6 is added to it (the first one among equals)."""
    result = np.empty(len(labels), bool)
    step = max(1, _BLOCK // probs.shape[1])
    for i in range(0, len(labels), step):
        block, given = np.array(probs[i : i + step]), labels[i : i + step]
        block[np.arange(len(given)), given] += _TOLERANCE
        result[i : i + step] = block.argmax(axis=1) == given
    return result


def _quotas(calibrated: np.ndarray, keep: int, frac_noise: float) -> np.ndarray:
    """(c, c) counts, rows given: how many to prune of each pair, and on the diagonal how many to leave in the class.

    A class whose diagonal is below ``keep`` is raised to it, at the expense of its nonzero noise counts in equal parts.
    """
    diagonal = np.maximum(calibrated.diagonal(), keep)
    pairs = np.maximum(np.count_nonzero(calibrated, axis=1) - 1, 1)
    raised = (diagonal - calibrated.diagonal()) / pairs
    full = np.maximum(calibrated - raised[:, None], 0)
    np.fill_diagonal(full, diagonal)
    part = full * frac_noise
    np.fill_diagonal(part, diagonal)
    np.fill_diagonal(part, diagonal + (full - part).sum(axis=1))
    # Truncated, not rounded: a share of an example is kept.
    return part.astype(np.int64)


def _members(labels: np.ndarray, num_classes: int, more_than: int) -> list[tuple[int, np.ndarray]]:
    """The classes of more than ``more_than`` examples, and more than one, each with its rows in order."""
    rows = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels, minlength=num_classes))[:-1])
    return [(k, members) for k, members in enumerate(rows) if len(members) > max(more_than, 1)]


def _by_class(labels: np.ndarray, probs: np.ndarray, quota: np.ndarray, keep: int) -> np.ndarray:
    issues = np.zeros(len(labels), bool)
    for k, members in _members(labels, probs.shape[1], keep):
        excess = len(members) - quota[k, k]
        if excess > 0:
            issues[members[np.argsort(probs[members, k])[:excess]]] = True
    return issues


def _by_noise_rate(labels: np.ndarray, probs: np.ndarray, quota: np.ndarray, keep: int) -> np.ndarray:
    issues = np.zeros(len(labels), bool)
    for k, members in _members(labels, probs.shape[1], keep):
        for j in np.flatnonzero(quota[k]):
            if j != k:
                margin = probs[members, j] - probs[members, k]
                issues[members[np.argsort(-margin)[: quota[k, j]]]] = True
    return issues
