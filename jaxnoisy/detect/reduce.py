"""From a trace to one number per example, block by block."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.detection import Detection
from jaxnoisy.detect.rules import Rule
from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.observation import Observation
from jaxnoisy.dynamics.trace import Trace

Signal = Callable[[Observation], Any]


def reduced(trace: Trace, statistic: Callable[[Trace], np.ndarray]) -> np.ndarray:
    """(n,) float64 of a per-example statistic, over blocks of examples.

    Raises:
        ValueError: an example was never recorded, or a value recorded for it is not finite.
    """
    values = trace.per_example(statistic).astype(np.float64)
    if not np.isfinite(values).all():
        require_recorded(trace)
        check.finite(values, name="the per-example statistic of the trace (did training diverge?)")
    return values


def require_recorded(trace: Trace) -> None:
    """Refuse a trace with an example that no epoch recorded."""
    never = ~trace.per_example(lambda part: np.asarray(part.recorded.any(axis=1)))
    if never.any():
        raise ValueError(
            f"{int(never.sum())} of {len(trace)} examples were never recorded, the first at row "
            f"{int(never.argmax())}: leave them out with trace.take(rows), or record them"
        )


def require_epochs(trace: Trace, method: str) -> None:
    """Refuse a trace of one epoch, for methods that compare epochs."""
    if trace.epochs < 2:
        raise ValueError(f"{method} compares epochs and needs a trace of at least 2, but this one has {trace.epochs}")


def mean_over_epochs(trace: Trace, signal: Signal) -> np.ndarray:
    """(n,) float64 mean of a signal over the recorded epochs of each example."""
    return reduced(trace, lambda part: signals.mean_recorded(signal(part.seen)))


def last_epoch(trace: Trace, signal: Signal) -> np.ndarray:
    """(n,) float64 signal in the last recorded epoch of each example."""
    return reduced(trace, lambda part: signals.last_recorded(signal(part.seen)))


def decided(scores: np.ndarray, rule: Rule, info: Any = None) -> Detection:
    """Apply a rule; ``info`` stands in for the rule's own where given."""
    flags = rule(scores)
    return Detection(scores, flags.flagged, flags.threshold, flags.info if info is None else info)
