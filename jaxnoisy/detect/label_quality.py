"""Scores of a label under predicted probabilities, as confident learning ranks its issues."""

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.confident_joint import checked

SCORES = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
_TINY = 1e-6
_BLOCK = 1 << 22


def label_quality(labels: np.ndarray, pred_probs: np.ndarray, *, score: str = "self_confidence") -> np.ndarray:
    """How well each label fits, in [0, 1]; lower = more suspicious.

    - "self_confidence": p_y. Also finds examples that belong to no class.
    - "normalized_margin": (p_y - max over k != y of p_k + 1) / 2. Finds labels that another class beats.
    - "confidence_weighted_entropy": log(1 + q) / q for q = H(p) / (log(c) p_y), the normalised entropy over the
      self-confidence. As q goes to 0 this goes to 1. Where rounding makes the entropy of a saturated prediction vanish,
      the label fits perfectly if it was predicted and not at all otherwise.

    The values agree with cleanlab's ``get_label_quality_scores`` (2.9), but for saturated predictions under
    "confidence_weighted_entropy": there cleanlab divides log(1 + 0) by a small constant, and a certain and right
    prediction gets the worst score.

    Args:
        labels: (n,) integers in 0..c-1.
        pred_probs: (n, c) probabilities.
        score: which of the three.

    Returns:
        (n,) float64. Cost: O(n c), in blocks of rows.

    Raises:
        ValueError: an unknown score, shapes that do not fit, labels out of range, rows that are not distributions.

    Example:
        >>> import numpy as np
        >>> probs = np.array([[0.75, 0.25], [0.25, 0.75]])
        >>> label_quality(np.array([0, 0]), probs, score="normalized_margin").tolist()
        [0.75, 0.25]
    """
    check.one_of(score, SCORES, name="score")
    given, probs = checked(labels, pred_probs)
    rows, step = np.arange(len(given)), max(1, _BLOCK // probs.shape[1])
    own = probs[rows, given].astype(np.float64)
    if score == "self_confidence":
        return own
    quality = np.empty(len(given))
    for i in range(0, len(given), step):
        block = np.array(probs[i : i + step], np.float64)
        y, p_y = given[i : i + step], own[i : i + step]
        if score == "normalized_margin":
            block[np.arange(len(y)), y] = -1
            quality[i : i + step] = (p_y - block.max(axis=1) + 1) / 2
        else:
            entropy = -(block * np.log(np.where(block > 0, block, 1))).sum(axis=1) / np.log(block.shape[1])
            q = entropy / np.maximum(p_y, _TINY)
            saturated = np.where(block.argmax(axis=1) == y, 1.0, 0.0)
            quality[i : i + step] = np.where(q > _TINY, np.log1p(q) / np.maximum(q, _TINY), saturated)
    return quality
