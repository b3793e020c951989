"""What every detector returns."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from jaxnoisy.dynamics.trace import Trace


class Detection(NamedTuple):
    """A ranking of the examples by suspicion, and the ones that the detector's own rule flags.

    Attributes:
        scores: (n,) float64, finite; higher = more suspicious.
        flagged: (n,) bool.
        threshold: flagged examples score above it; None where the rule is not one number for all examples.
        info: what the method found on its way (a NamedTuple of its own kind), or None.
    """

    scores: np.ndarray
    flagged: np.ndarray
    threshold: float | None
    info: Any = None


Detector: TypeAlias = Callable[[Trace], Detection]
"""A detector reads a trace; it is made by a constructor that takes the method's choices."""


def ranking(detection: Detection) -> np.ndarray:
    """(n,) indices, most suspicious first: flagged examples before the others, each by score; ties keep their order."""
    return np.lexsort((-detection.scores, ~detection.flagged))
