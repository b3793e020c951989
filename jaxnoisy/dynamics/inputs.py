"""Training dynamics as sequences for a network: which signals it reads, on which scale, over how many epochs."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from jaxnoisy import check
from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.observation import Observation
from jaxnoisy.dynamics.trace import Trace


def _softsign(values: Any) -> Any:
    return values / (1 + abs(values))


def _mean_so_far(values: np.ndarray) -> np.ndarray:
    """(n, t) the mean of each row over its recorded entries up to each of them; NaN where nothing was recorded."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).cumsum(axis=1, dtype=np.float64)
    mean = total / np.maximum(known.cumsum(axis=1), 1)
    return np.where(known, mean, np.nan).astype(np.float32)


READ: Mapping[str, Callable[[Observation], Any]] = MappingProxyType(
    {
        "probability": signals.probability,
        "loss": lambda seen: _softsign(signals.loss(seen)),
        "margin": lambda seen: _softsign(signals.margin(seen)),
        "mean-margin": lambda seen: _softsign(_mean_so_far(signals.margin(seen))),
        "probability-margin": signals.probability_margin,
        "quantised-margin": signals.quantised_margin,
        "error-norm": lambda seen: signals.error_norm(seen) / np.float32(np.sqrt(2)),
    }
)
"""The signals of :data:`~jaxnoisy.dynamics.signals.SIGNALS` as networks read them, within [-1, 1], and one more.

What is bounded stays as it is, but for the error norm, which is divided by its largest value; losses and margins v
become v / (1 + |v|). "mean-margin" is the mean margin up to the epoch, which in the last one is the area under the
margin (Pleiss et al. 2020). The maps are fixed, not fitted: a detector then reads other data as it read its own.
"""

PROGRESS = "progress"
"""A signal of the run: in each epoch the mean probability of the given label over all examples, the same for each.

It tells how far a network has come, which the number of epochs does not: what is not learned early in a run that
remembers everything in the end is suspicious as what is not learned late is in a gentler one.
"""

SIGNALS = (*READ, PROGRESS)
"""The names of all signals that networks can read."""


def chosen_signals(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of :data:`SIGNALS` as a tuple, or say what is wrong with them."""
    if isinstance(names, str):
        raise TypeError(f"signals must be a tuple of names, such as ({names!r},), but is {names!r}")
    if not names or len(set(names)) != len(names):
        raise ValueError(f"signals must name each signal once, and at least one, but are {tuple(names)}")
    return tuple(check.one_of(name, SIGNALS, name=f"signals[{i}]") for i, name in enumerate(names))


def sequences(trace: Trace, *, signals: Sequence[str] = ("probability",), epochs: int | None = None) -> np.ndarray:
    """Read a trace as one sequence per example.

    Epochs in which an example was not recorded are filled in by linear interpolation over time, and held before its
    first and after its last one (Jia et al. 2023, footnote 2, which leaves the kind of interpolation open). Epochs
    before the first and after the last that recorded any example are no part of the sequences: a run that stopped early
    is one of fewer epochs.

    Args:
        trace: of n examples over t epochs.
        signals: s names of :data:`SIGNALS`. The paper's detector reads the probability of the given label alone.
        epochs: the length to stretch or squeeze all sequences to, by linear interpolation that keeps both ends; that of
            the trace by default.

    Returns:
        (n, epochs, s) float32. Cost O(n t s); apart from the result, memory for blocks of examples only.

    Raises:
        ValueError: an unknown signal; examples that were never recorded, by row; recorded values that are not finite; a
            trace of one epoch to be stretched.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.dynamics import from_probabilities
        >>> trace = from_probabilities(np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([0, 1]))
        >>> sequences(trace, signals=("probability", "margin")).shape
        (2, 1, 2)
    """
    return by_block(trace, lambda block: block, signals=signals, epochs=epochs)


def by_block(
    trace: Trace,
    function: Callable[[np.ndarray], np.ndarray],
    *,
    signals: Sequence[str] = ("probability",),
    epochs: int | None = None,
) -> np.ndarray:
    """Apply ``function`` to blocks of the :func:`sequences` of a trace, and join what it returns.

    Args:
        trace: of n examples.
        function: (k, epochs, s) float32 -> (k, ...).
        signals: as for :func:`sequences`.
        epochs: likewise.

    Returns:
        (n, ...). The sequences are never held whole.

    Raises:
        ValueError: what :func:`sequences` refuses.
    """
    names = chosen_signals(signals)
    require_readable(trace, names)
    trace = _spanned(trace)
    length = trace.epochs if epochs is None else check.positive_int(epochs, name="epochs")
    if trace.epochs == 1 and length > 1:
        raise ValueError(f"a trace of one epoch says nothing of how training went, and cannot be stretched to {length}")
    progress = _progress(trace) if PROGRESS in names else None
    return trace.per_example(lambda part: function(_read(part, names, length, progress)))


def pooled(
    traces: Sequence[Trace], *, signals: Sequence[str] = ("probability",), epochs: int | None = None
) -> np.ndarray:
    """Read several traces, of other data and other lengths too, as sequences of one length.

    Args:
        traces: of n_1, n_2, ... examples.
        signals: as for :func:`sequences`.
        epochs: the common length; by default that of the longest trace, so that none is squeezed.

    Returns:
        (n_1 + n_2 + ..., epochs, s) float32, in the order of the traces.

    Raises:
        ValueError: no trace, or what :func:`sequences` refuses.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.dynamics import from_probabilities
        >>> trace = from_probabilities(np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([0, 1]))
        >>> pooled([trace, trace]).shape
        (4, 1, 1)
    """
    if not traces:
        raise ValueError("traces is empty: at least one trace is needed")
    length = max(trace.epochs for trace in traces) if epochs is None else epochs
    return np.concatenate([sequences(trace, signals=signals, epochs=length) for trace in traces])


def require_readable(trace: Trace, names: Sequence[str]) -> None:
    """Refuse examples without any record, and signals that are not finite, naming the rows of the whole trace.

    Raises:
        ValueError: saying which rows.
    """
    never = ~trace.per_example(lambda part: np.asarray(part.recorded.any(axis=1)))
    if never.any():
        raise ValueError(
            f"{int(never.sum())} of {len(trace)} examples were never recorded, {_first(never)}: "
            "leave them out with trace.take(rows), or record them"
        )
    diverged = trace.per_example(lambda part: _not_finite(part, names))
    if diverged.any():
        raise ValueError(
            f"{int(diverged.sum())} of {len(trace)} examples have recorded values that are not finite, "
            f"{_first(diverged)}: did training diverge?"
        )


def _spanned(trace: Trace) -> Trace:
    """The epochs from the first to the last that recorded any example; a trace that holds some."""
    block = 1 << 16
    parts = (np.asarray(trace.seen.argmax[i : i + block] >= 0).any(axis=0) for i in range(0, len(trace), block))
    columns = np.flatnonzero(np.logical_or.reduce(list(parts)))
    first, last = int(columns[0]), int(columns[-1]) + 1
    if last - first == trace.epochs:
        return trace
    return dataclasses.replace(trace, seen=Observation(*(field[:, first:last] for field in trace.seen)))


def _progress(trace: Trace) -> np.ndarray:
    """(1, t) mean probability of the given label over the examples recorded; between epochs without any, a line."""
    total, count, block = np.zeros(trace.epochs), np.zeros(trace.epochs), 1 << 16
    for start in range(0, len(trace), block):
        values = signals.probability(trace.take(slice(start, start + block)).seen)
        known = ~np.isnan(values)
        total += np.where(known, values, 0).sum(axis=0, dtype=np.float64)
        count += known.sum(axis=0)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return signals.gap_filled(mean[None].astype(np.float32))


def _not_finite(part: Trace, names: Sequence[str]) -> np.ndarray:
    read = ["probability" if name == PROGRESS else name for name in names]
    with np.errstate(invalid="ignore"):
        finite = [np.isfinite(READ[name](part.seen)).all(axis=1, where=part.recorded) for name in read]
    return ~np.logical_and.reduce(finite)


def _first(marked: np.ndarray, most: int = 5) -> str:
    first, *others = map(str, np.flatnonzero(marked)[: most + 1])
    if len(others) == most:
        others[-1] = "..."
    return f"the first at row {first}" + (f", then {', '.join(others)}" if others else "")


def _read(part: Trace, names: tuple[str, ...], length: int, progress: np.ndarray | None) -> np.ndarray:
    gone = ~np.asarray(part.recorded)
    out = np.empty((len(part), length, len(names)), np.float32)
    for k, name in enumerate(names):
        if name == PROGRESS:
            assert progress is not None
            out[..., k] = signals.resampled(progress, length)
            continue
        values = np.where(gone, np.nan, READ[name](part.seen)).astype(np.float32)
        out[..., k] = signals.resampled(signals.gap_filled(values), length)
    return out
