"""Area under the margin (AUM), alone and with threshold examples."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.contested import margin_rule
from jaxnoisy.detect.detection import Detection, Detector
from jaxnoisy.detect.reduce import decided, mean_over_epochs
from jaxnoisy.detect.rules import LINEAR, Rule
from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.trace import Trace


class AumThresholdInfo(NamedTuple):
    """What two runs with threshold examples found.

    Attributes:
        aum_a: (n,) float64 mean margin in the first run; that of its threshold examples is against the extra class.
        aum_b: (n,) the same of the second run.
        threshold_a: the first run's threshold on the mean margin.
        threshold_b: the second run's.
    """

    aum_a: np.ndarray
    aum_b: np.ndarray
    threshold_a: float
    threshold_b: float


ThresholdDetector: TypeAlias = Callable[[Trace, np.ndarray, Trace, np.ndarray], Detection]


def aum(*, rule: Rule | None = None) -> Detector:
    """The score is minus the area under the margin: the mean over epochs of z_y - max over k != y of z_k.

    Pleiss et al. (2020), "Identifying mislabeled data using the area under the margin ranking", equations 1 and 2.

    Flagged by default is a score above 0, on average over training another class had the larger logit, where the
    scores part in two groups. Where they do not, a score above 0 is no more than a mistake of the model, and as many
    are flagged as are confidently contested, see :func:`~jaxnoisy.detect.contested.confidently_contested`. Either way
    more are flagged where labels that early epochs contested were memorised later, see
    :func:`~jaxnoisy.detect.contested.with_memorised`.
    ``margin_mixture()`` gives the same scores with a fitted threshold, and :func:`aum_threshold` learns one from two
    more training runs, as the paper does.

    Args:
        rule: how scores are flagged, instead of the default; ``rules.above(0)`` for the sign alone.

    Returns:
        ``detect(trace) -> Detection``; cost O(n t).

    Raises:
        ValueError: from ``detect`` when an example was never recorded.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.dynamics import from_probabilities
        >>> trace = from_probabilities(np.array([[0.8, 0.2], [0.1, 0.9], [0.2, 0.8]]), np.array([0, 0, 1]))
        >>> aum()(trace).flagged.tolist()
        [False, True, False]
    """

    def detect(trace: Trace) -> Detection:
        scores = -mean_over_epochs(trace, signals.margin)
        return decided(scores, rule or margin_rule(trace, scores, scale=LINEAR, cut="floor"))

    return detect


def threshold_examples(key: jax.Array, labels: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the threshold examples of two runs.

    Each run gives n / (c + 1) random examples (rounded, at least one) the label of a class that does not exist, so that
    the extra class is as large as the others on average (Pleiss et al. 2020, section 3.3). The two sets are disjoint:
    every example keeps its label in at least one run.

    Args:
        key: a typed key.
        labels: (n,) given labels; only their number and range matter.
        num_classes: c, without the extra class.

    Returns:
        Two (n,) bool masks.

    Raises:
        ValueError: fewer than three examples, or bad labels.

    Example:
        >>> import jax
        >>> import numpy as np
        >>> a, b = threshold_examples(jax.random.key(0), np.arange(9) % 2, 2)
        >>> int(a.sum()), int(b.sum()), bool((a & b).any())
        (3, 3, False)
    """
    check.typed_key(key)
    check.positive_int(num_classes, name="num_classes", minimum=2)
    n = len(check.labels(labels, num_classes=num_classes))
    if n < 3:
        raise ValueError(f"two runs with threshold examples need at least 3 examples, but there are {n}")
    size = max(1, round(n / (num_classes + 1)))
    order = np.asarray(jax.random.permutation(key, n))
    first, second = np.zeros(n, bool), np.zeros(n, bool)
    first[order[:size]] = True
    second[order[size : 2 * size]] = True
    return first, second


def threshold_labels(labels: np.ndarray, mask: np.ndarray, num_classes: int) -> np.ndarray:
    """(n,) int32 labels for a run with c + 1 classes: threshold examples belong to class c, counted from 0."""
    given = check.labels(labels, num_classes=num_classes)
    return np.where(_mask(mask, len(given), "mask"), num_classes, given).astype(np.int32)


def aum_threshold(*, percentile: float = 99.0) -> ThresholdDetector:
    """Judge each example by the threshold examples of the runs in which it kept its label.

    A run's threshold is the given percentile of the AUM of its threshold examples, which are all mislabeled by
    construction; an example whose AUM lies below it behaves like one of them (Pleiss et al. 2020, section 3.3).

    Margins of two runs are not on one scale, so the score in a run is the run's threshold less the example's AUM, and
    an example that kept its label in both runs has the larger of its two scores. ``score > 0`` then flags exactly the
    union of what the runs flag, and the ranking places each example by its most damning run.

    Args:
        percentile: in [0, 100], interpolated linearly.

    Returns:
        ``detect(trace_a, mask_a, trace_b, mask_b) -> Detection`` on two traces of the same n examples in the same
        order, recorded under :func:`threshold_labels` with c + 1 classes; threshold 0 and an
        :class:`AumThresholdInfo`. Cost O(n t), and the two training runs before it.

    Raises:
        ValueError: from ``detect``, when masks overlap or are empty, when a trace was not recorded under its threshold
            labels, or when the runs disagree on the labels of the others.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.dynamics import from_probabilities
        >>> probs = np.array([[0.9, 0.05, 0.05], [0.1, 0.6, 0.3], [0.1, 0.8, 0.1], [0.01, 0.98, 0.01]])
        >>> labels, a, b = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0], bool), np.array([0, 0, 1, 0], bool)
        >>> runs = [from_probabilities(probs, threshold_labels(labels, m, 2)) for m in (a, b)]
        >>> aum_threshold()(runs[0], a, runs[1], b).flagged.tolist()
        [False, False, False, True]
    """
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile must lie in [0, 100], but is {percentile!r}")

    def detect(trace_a: Trace, mask_a: np.ndarray, trace_b: Trace, mask_b: np.ndarray) -> Detection:
        masks = [
            _threshold_mask(trace, m, f"mask_{x}") for trace, m, x in ((trace_a, mask_a, "a"), (trace_b, mask_b, "b"))
        ]
        _comparable(trace_a, masks[0], trace_b, masks[1])
        areas = [mean_over_epochs(trace, signals.margin) for trace in (trace_a, trace_b)]
        thresholds = [float(np.percentile(area[mask], percentile)) for area, mask in zip(areas, masks)]
        in_run = [np.where(m, -np.inf, limit - area) for area, m, limit in zip(areas, masks, thresholds)]
        scores = np.maximum(*in_run)
        return Detection(scores, scores > 0, 0.0, AumThresholdInfo(areas[0], areas[1], *thresholds))

    return detect


def _mask(mask: np.ndarray, n: int, name: str) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.shape != (n,) or mask.dtype != bool:
        raise ValueError(f"{name} must be ({n},) bool, one entry per example, but is {mask.shape} {mask.dtype}")
    return mask


def _threshold_mask(trace: Trace, mask: np.ndarray, name: str) -> np.ndarray:
    mask = _mask(mask, len(trace), name)
    extra = trace.num_classes - 1
    carry = trace.labels == extra
    if not mask.any() or not np.array_equal(carry, mask):
        raise ValueError(
            f"{name} marks {int(mask.sum())} threshold examples, but {int(carry.sum())} examples of its trace carry "
            f"the extra class {extra}, or other ones: record the run under threshold_labels(labels, {name}, {extra})"
        )
    return mask


def _comparable(trace_a: Trace, mask_a: np.ndarray, trace_b: Trace, mask_b: np.ndarray) -> None:
    if len(trace_a) != len(trace_b) or trace_a.num_classes != trace_b.num_classes:
        raise ValueError(
            f"the two runs must share examples and classes, but have {len(trace_a)} and {len(trace_b)} examples, "
            f"{trace_a.num_classes} and {trace_b.num_classes} classes"
        )
    if (mask_a & mask_b).any():
        raise ValueError(
            f"{int((mask_a & mask_b).sum())} examples are threshold examples of both runs, so no run judges them: "
            "draw disjoint sets with threshold_examples"
        )
    different = (trace_a.labels != trace_b.labels) & ~(mask_a | mask_b)
    if different.any():
        raise ValueError(
            f"the two runs were trained on different labels: {int(different.sum())} differ besides the threshold "
            f"examples, the first at row {int(different.argmax())}"
        )
