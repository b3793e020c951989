"""CORES2: the sieve that keeps examples whose label is likelier than the average one."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.detection import Detection
from jaxnoisy.types import ArrayLike

LogitDetector: TypeAlias = Callable[[ArrayLike, ArrayLike], Detection]


def cores() -> LogitDetector:
    """The score is the cross entropy of the given label less the mean over all classes; above 0 it is flagged.

    Cheng et al. (2021), "Learning with instance-dependent label noise: a sample sieve approach" (CORES2), equation 4
    with classes that are equally frequent. The normaliser of the softmax cancels: it is the mean logit less the given
    label's. A network trained with :func:`jaxnoisy.losses.cores` makes its predictions confident where the data agree,
    so that hardly any right label is less likely than the average. With many classes few labels are, so that the rule
    then finds little; the ranking is not bound to it.

    Returns:
        ``detect(logits (n, c), labels (n,)) -> Detection``; cost O(n c).

    Raises:
        ValueError: from ``detect``, shapes that do not fit, labels out of range, or logits that are not finite.

    Example:
        >>> import numpy as np
        >>> cores()(np.array([[2.0, 0.0, 1.0], [0.0, 2.0, 2.5]]), np.array([0, 0])).scores.tolist()
        [-1.0, 1.5]
    """

    def detect(logits: ArrayLike, labels: ArrayLike) -> Detection:
        z = np.asarray(logits, np.float64)
        if z.ndim != 2 or z.shape[1] < 2:
            raise ValueError(f"logits must have shape (n, c) with c >= 2 classes, but have shape {z.shape}")
        check.finite(z, name="logits")
        given = check.labels(labels, num_classes=z.shape[1], n=len(z))
        scores = z.mean(axis=1) - z[np.arange(len(z)), given]
        return Detection(scores, scores > 0, 0.0)

    return detect
