"""How well a detection finds the examples that are truly mislabeled, through scikit-learn where it has the measure."""

from typing import NamedTuple

import numpy as np
from sklearn import metrics as sk

from jaxnoisy import check


class DetectionMetrics(NamedTuple):
    """Measures of a detection against known flips; NaN where a measure is not defined.

    Attributes:
        roc_auc: area under the ROC curve of the scores.
        average_precision: area under the precision-recall curve, as a step function ("mAP" in the papers).
        precision_at_95_recall: the highest precision at a recall of at least 95 %.
        f1: harmonic mean of precision and recall at the detector's own threshold.
        fdr: share of flagged examples that are not mislabeled; 0 when nothing is flagged.
        recall: share of mislabeled examples that are flagged.
        flagged: how many are flagged.
    """

    roc_auc: float
    average_precision: float
    precision_at_95_recall: float
    f1: float
    fdr: float
    recall: float
    flagged: int


def detection_metrics(scores: np.ndarray, flagged: np.ndarray, flips: np.ndarray) -> DetectionMetrics:
    """Measure a detection.

    Args:
        scores: (n,) floats, higher = more suspicious.
        flagged: (n,) bool, the detector's own decision.
        flips: (n,) bool, True where the given label is wrong.

    Returns:
        :class:`DetectionMetrics`. Without a single flip, or without a single right label, the ranking measures and
        recall are NaN.

    Raises:
        ValueError: shapes that differ, or scores that are not finite.

    Example:
        >>> import numpy as np
        >>> flips = np.array([True, False, False])
        >>> detection_metrics(np.array([0.9, 0.1, 0.8]), flips, flips).f1
        1.0
    """
    scores, flagged, flips = np.asarray(scores), np.asarray(flagged, bool), np.asarray(flips, bool)
    if not scores.shape == flagged.shape == flips.shape or scores.ndim != 1:
        raise ValueError(
            "scores, flagged and flips must share one shape (n,), but have "
            f"{scores.shape}, {flagged.shape}, {flips.shape}"
        )
    check.finite(scores, name="scores")
    hits, wrong = int((flagged & flips).sum()), int(flips.sum())
    fdr = 1 - hits / int(flagged.sum()) if flagged.any() else 0.0
    f1 = float(sk.f1_score(flips, flagged, zero_division=np.nan))
    if wrong in (0, len(flips)):
        nan = float("nan")
        return DetectionMetrics(nan, nan, nan, f1, fdr, hits / wrong if wrong else nan, int(flagged.sum()))
    precision, recall, _ = sk.precision_recall_curve(flips, scores)
    return DetectionMetrics(
        roc_auc=float(sk.roc_auc_score(flips, scores)),
        average_precision=float(sk.average_precision_score(flips, scores)),
        precision_at_95_recall=float(precision[recall >= 0.95].max()),
        f1=f1,
        fdr=fdr,
        recall=hits / wrong,
        flagged=int(flagged.sum()),
    )
