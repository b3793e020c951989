"""Conformal p-values: how extreme a score is among scores of examples that are known to be ordinary."""

import numpy as np

from jaxnoisy import check


def conformal_p_values(scores: np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """``p = (1 + #{calibration scores >= score}) / (1 + m)``, small for a score that few ordinary examples reach.

    If a score and the m calibration scores are exchangeable, ``P(p <= a) <= a`` for every a: each of the m + 1 is
    equally likely to be the largest, the second largest and so on. That asks for a score function that treats them
    alike, which a model does not that was trained on some of them and not on others. p-values of several such scores
    depend on each other through the calibration scores they share, but only so that Benjamini-Hochberg remains valid
    (Bates, Candès, Lei, Romano and Sesia 2023, "Testing for outliers with conformal p-values", theorem 2).

    Ties count against the example, and no coin is tossed among them: p is then larger than it need be, never too
    small, and the same examples are found every time.

    Args:
        scores: (n,) finite floats, higher = less ordinary.
        calibration: (m,) finite floats, the scores of ordinary examples.

    Returns:
        (n,) float64, from 1 / (m + 1) to 1.

    Raises:
        ValueError: no calibration scores, arrays that are not one-dimensional, or values that are not finite.

    Cost: one sort of the calibration scores, and a binary search for each score.

    Example:
        >>> import numpy as np
        >>> conformal_p_values(np.array([0.5, 2.5, 9.0]), np.array([1.0, 2.0, 3.0])).tolist()
        [1.0, 0.5, 0.25]
    """
    tested, ordinary = (np.asarray(a, np.float64) for a in (scores, calibration))
    for name, a in (("scores", tested), ("calibration", ordinary)):
        if a.ndim != 1:
            raise ValueError(f"{name} must have one axis, one score per example, but have shape {a.shape}")
        check.finite(a, name=name)
    m = len(ordinary)
    if m == 0:
        raise ValueError("there are no calibration scores to compare with: give those of ordinary examples")
    below = np.searchsorted(np.sort(ordinary), tested, side="left")
    return (1.0 + m - below) / (1.0 + m)
