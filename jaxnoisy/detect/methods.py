"""The detectors that read a trace, by the names the command line gives them."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from jaxnoisy.detect.aum import aum
from jaxnoisy.detect.confident import confident_learning
from jaxnoisy.detect.data_map import confidence, variability
from jaxnoisy.detect.detection import Detector
from jaxnoisy.detect.el2n import el2n
from jaxnoisy.detect.forgetting import forgetting
from jaxnoisy.detect.lstm import lstm
from jaxnoisy.detect.margin_mixture import margin_mixture
from jaxnoisy.detect.small_loss import small_loss
from jaxnoisy.dynamics.trace import Trace

TRACE_METHODS: Mapping[str, Callable[[], Detector]] = MappingProxyType(
    {
        "aum": aum,
        "margin-mixture": margin_mixture,
        "small-loss": partial(small_loss, over="last"),
        "mean-loss": partial(small_loss, over="mean"),
        "confident-learning": confident_learning,
        "forgetting": forgetting,
        "confidence": confidence,
        "variability": variability,
        "el2n": el2n,
        "lstm": lstm,
    }
)
"""Constructors without required arguments: ``TRACE_METHODS["aum"]()(trace)`` is a Detection.

The first is the one that reports follow where no method is named: AUM's threshold means the same on every data set.
"""

MIN_EPOCHS: Mapping[str, int] = MappingProxyType({"forgetting": 2, "variability": 2, "lstm": 2, "dynacor": 3})
"""Epochs that a method needs, where that is more than one; with fewer it raises ValueError."""

NEEDS_PROBABILITIES = frozenset({"confident-learning"})
"""Methods that read ``trace.mean_probs``."""


def methods_for(trace: Trace) -> tuple[str, ...]:
    """The names of the methods that this trace has enough epochs and probabilities for.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.dynamics import from_probabilities
        >>> "forgetting" in methods_for(from_probabilities(np.array([[0.5, 0.5]]), np.array([0])))
        False
    """
    return tuple(
        name
        for name in TRACE_METHODS
        if trace.epochs >= MIN_EPOCHS.get(name, 1) and (name not in NEEDS_PROBABILITIES or trace.mean_probs is not None)
    )
