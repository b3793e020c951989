"""New labels for dropped examples, and which examples are sure enough to train on."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxnoisy import check


class Relabelled(NamedTuple):
    """Cleaned labels.

    Attributes:
        labels: (n,) int32, the most probable class for what was dropped, the given label for all else.
        kept: (n,) bool, examples sure enough to train on.
        confidence: (n,) float32 probability of ``labels``.
    """

    labels: np.ndarray
    kept: np.ndarray
    confidence: np.ndarray


def relabel(*, threshold: float = 0.8) -> Callable[[np.ndarray, np.ndarray, np.ndarray], Relabelled]:
    """Correct the labels of dropped examples and keep the examples that a classifier is sure of.

    Park et al., "Influential Rank", section 3.3: what was dropped gets the label that the classifier of the last round
    predicts; then, "among the corrected training data", those stay whose softmax output is above S. The corrected
    training data is read as all n examples, under new labels and old, and an example's softmax output as that of its
    label there. So an example that was never dropped goes, too, where the classifier doubts its label. (The other
    reading, that only new labels have to be above S, would train on every label that no round dropped.)

    Args:
        threshold: S in [0, 1). Examples stay whose probability is above it.

    Returns:
        ``apply(probabilities, labels, removed) -> Relabelled`` for class probabilities (n, c) of the last classifier,
        given labels (n,) and (n,) bool. Of equally probable classes the first is taken. Cost: O(n c).

    Raises:
        ValueError: a threshold out of range; from ``apply``: rows that are no distributions, labels out of range,
            shapes that do not fit together.
        TypeError: from ``apply``: probabilities that are not floating point, labels that are not integers.

    Example:
        >>> import numpy as np
        >>> probabilities = np.array([[0.1, 0.9], [0.3, 0.7], [0.95, 0.05]])
        >>> found = relabel()(probabilities, np.array([0, 1, 0]), np.array([True, False, False]))
        >>> found.labels.tolist(), found.kept.tolist()
        ([1, 1, 0], [True, False, True])
    """
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold must lie in [0, 1), as no probability is above 1, but is {threshold!r}")

    def apply(probabilities: np.ndarray, labels: np.ndarray, removed: np.ndarray) -> Relabelled:
        probs = check.probabilities(probabilities, name="probabilities")
        n, c = probs.shape
        given = check.labels(labels, num_classes=c, n=n)
        mask = np.asarray(removed)
        if mask.shape != (n,) or mask.dtype != bool:
            raise ValueError(f"removed must be bool of shape ({n},), but is {mask.dtype} of shape {mask.shape}")
        new = np.where(mask, probs.argmax(axis=1), given).astype(np.int32)
        confidence = probs[np.arange(n), new]
        return Relabelled(new, confidence > threshold, confidence.astype(np.float32))

    return apply
