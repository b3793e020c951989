"""BHN: flag examples that fit their label worse than clean examples do, with a stated false discovery rate."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.detection import Detection
from jaxnoisy.stats.benjamini_hochberg import benjamini_hochberg
from jaxnoisy.stats.conformal import conformal_p_values

CalibratedDetector: TypeAlias = Callable[..., Detection]
"""``detect(scores, calibration, judges=None) -> Detection``."""


class BhnInfo(NamedTuple):
    """How the flags were found.

    Attributes:
        p_values: (n,) conformal p-values; a p-value tests that the given label is right.
        level: the most that the expected share of right labels among those flagged may be.
        largest: the largest p-value that is flagged; 0 where none is.
        enough: how many must be flagged together before any can be, since no p-value is below 1 / (m + 1).
    """

    p_values: np.ndarray
    level: float
    largest: float
    enough: int


def bhn(*, level: float = 0.1) -> CalibratedDetector:
    """Flag by Benjamini-Hochberg on conformal p-values from clean examples.

    Yu, Ma and Liu (2023), "Delving into noisy label detection with clean data" (ICML), test for each example that its
    label is right: the p-value is the share of clean examples whose score is at least as high, and level 0.1 bounds the
    false discovery rate. The score is the cross entropy of the given label.

    The bound rests on exchangeability: an example with a right label must be scored as a clean one is. **The model may
    therefore have seen neither the examples it scores nor the calibration examples.** One that was trained on the
    examples has learned their labels, right and wrong, and puts their losses below those of clean ones: it finds little
    and the bound says nothing. There are two ways to a model that qualifies:

    - train on a part of the clean examples, calibrate on the others, as the authors do, and as ``jaxnoisy detect
      --method bhn`` does unless told otherwise. That takes many of them: the authors use 40 % of CIFAR-10;
    - split the noisy examples in folds, let each be scored by a model trained on the other folds, and calibrate every
      such model on all clean examples (``--learn-from halves``). Nothing was learned by heart, but labels are noisy in
      training, and a confusion that most labels of a class share is learned as right.

    With folds the bound holds within each fold; over their union in the limit of many examples, not exactly. Noise that
    chooses examples by how hard they are leaves right labels to others than clean examples have: where it goes to hard
    ones the bound still holds, with room to spare, and where it goes to easy ones it does not.

    A threshold on the score that flags the same exists with one model only, and is then given. p-values take no value
    below 1 / (m + 1), so with n examples at least n / (level (m + 1)) must be flagged together or none is: few clean
    examples find nothing where little is wrong (``info.enough``).

    Args:
        level: in (0, 1), the false discovery rate.

    Returns:
        ``detect(scores, calibration, judges=None) -> Detection`` with a :class:`BhnInfo`, for ``scores`` (n,), the
        cross entropy of each given label, and ``calibration`` (m,), that of each clean example. With g models,
        ``judges`` (n,) integers below g say which scored the example, and ``calibration`` is (g, m). The detection
        keeps the scores as they are, which rank more finely than p-values. Cost: a sort of n.

    Raises:
        ValueError: a level out of range; from ``detect``: shapes that do not fit together, no clean examples, or scores
            that are not finite.

    Example:
        >>> import numpy as np
        >>> clean = np.linspace(0, 1, 99)
        >>> found = bhn()(np.array([0.2, 0.5, 7.0, 9.0]), clean)
        >>> found.flagged.tolist(), found.threshold, found.info.p_values.round(2).tolist()
        ([False, False, True, True], 1.0, [0.8, 0.5, 0.01, 0.01])
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), but is {level!r}")

    def detect(scores: np.ndarray, calibration: np.ndarray, judges: np.ndarray | None = None) -> Detection:
        given, ordinary, by = _checked(scores, calibration, judges)
        p_values = np.empty(len(given))
        for judge, clean in enumerate(ordinary):
            mine = by == judge
            p_values[mine] = conformal_p_values(given[mine], clean)
        found = benjamini_hochberg(p_values, level=level)
        threshold = _threshold(given, ordinary[0], found.threshold) if len(ordinary) == 1 else None
        enough = max(1, int(np.ceil(len(given) / (level * (ordinary.shape[1] + 1)) - 1e-9)))
        return Detection(given, found.rejected, threshold, BhnInfo(p_values, level, found.threshold, enough))

    return detect


def _threshold(scores: np.ndarray, clean: np.ndarray, largest: float) -> float:
    """The clean example's score above which all are flagged, p = 1 never being among them."""
    if largest == 0:
        return float(max(scores.max(), clean.max()))
    as_high = round(largest * (len(clean) + 1)) - 1
    return float(np.sort(clean)[len(clean) - 1 - as_high])


def _checked(
    scores: np.ndarray, calibration: np.ndarray, judges: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    given, ordinary = np.asarray(scores, np.float64), np.asarray(calibration, np.float64)
    if judges is None:
        ordinary = ordinary[None]
    by = np.zeros(given.shape, np.int64) if judges is None else np.asarray(judges)
    if given.ndim != 1 or not given.size or by.shape != given.shape or ordinary.ndim != 2 or not ordinary.size:
        raise ValueError(
            "scores (n,) and calibration (m,), or with g models judges (n,) and calibration (g, m), must hold n >= 1 "
            f"and m >= 1 examples, but have shapes {np.shape(scores)}, {np.shape(calibration)} and "
            f"{None if judges is None else by.shape}"
        )
    if not np.issubdtype(by.dtype, np.integer) or by.min() < 0 or by.max() >= len(ordinary):
        raise ValueError(f"judges must be integers from 0 to {len(ordinary) - 1}, the rows of calibration")
    check.finite(given, name="scores (did training diverge?)")
    check.finite(ordinary, name="calibration (did training diverge?)")
    return given, ordinary, by
