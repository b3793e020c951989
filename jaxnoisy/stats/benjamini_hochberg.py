"""Which of many hypotheses to reject, so that few of those rejected are true."""

from typing import NamedTuple

import numpy as np

from jaxnoisy import check

_ROUNDING = 1e-12


class Rejections(NamedTuple):
    """What was rejected.

    Attributes:
        rejected: (n,) bool, the hypotheses whose p-value is at most the threshold.
        threshold: the largest p-value that is rejected; 0 where none is.
        adjusted: (n,) float64, the lowest level at which each hypothesis would be rejected, at most 1.
    """

    rejected: np.ndarray
    threshold: float
    adjusted: np.ndarray


def benjamini_hochberg(p_values: np.ndarray, *, level: float = 0.1) -> Rejections:
    """Reject the k hypotheses of smallest p-value, for the largest k whose k-th smallest is at most ``level`` k / n.

    The false discovery rate, the expected share of true hypotheses among those rejected (0 where none is rejected), is
    then at most ``level`` times the share of true hypotheses among all n, if p-values of true ones are independent or
    depend on the others positively (Benjamini and Hochberg 1995; Benjamini and Yekutieli 2001).

    Args:
        p_values: (n,) floats in [0, 1].
        level: in (0, 1], the most that the false discovery rate may be.

    Returns:
        :class:`Rejections`. Equal p-values are rejected together or not at all.

    Raises:
        ValueError: no p-values, some outside [0, 1], or a level out of range.

    Cost: one sort.

    Example:
        >>> import numpy as np
        >>> found = benjamini_hochberg(np.array([0.01, 0.9, 0.04, 0.3]), level=0.1)
        >>> found.rejected.tolist(), found.threshold, found.adjusted.round(2).tolist()
        ([True, False, True, False], 0.04, [0.04, 0.9, 0.08, 0.4])
    """
    level = check.fraction(level, name="level", open_low=True)
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or p.size == 0:
        raise ValueError(f"p_values must have shape (n,) with n >= 1, but have shape {p.shape}")
    if not ((p >= 0) & (p <= 1)).all():
        where = int(np.argmin((p >= 0) & (p <= 1)))
        raise ValueError(f"p_values must lie in [0, 1], but p_values[{where}] is {p[where]}")
    n = len(p)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * n / np.arange(1, n + 1)
    adjusted = np.empty(n)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    # Multiples of 1 / (m + 1) often lie on the line itself; rounding must not decide about them.
    rejected = adjusted <= level * (1 + _ROUNDING)
    return Rejections(rejected, float(p[rejected].max()) if rejected.any() else 0.0, adjusted)
