"""The charts of the pages: where scores and self-influences lie, and how examples were learned over time."""

from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.trace import Trace
from jaxnoisy.report.canvas import FLAGGED, INK, KEPT, chart, legend_above, sample

_BINS = 50
_TRAJECTORIES = 20_000


class Picture(NamedTuple):
    """A chart and what it shows in words.

    Attributes:
        svg: an ``svg`` element, free of text from the data.
        alt: the main numbers, for those who cannot see it.
        note: what a reader must know of how it was drawn, or "".
    """

    svg: str
    alt: str
    note: str


def score_distribution(
    scores: np.ndarray, flagged: np.ndarray, threshold: float | None, flips: np.ndarray | None = None
) -> Picture:
    """A histogram of the scores, flagged on top of kept, with the threshold and the truth where they are known.

    The outermost 0.1 % on either side are gathered in the first and the last bar, so that a few extreme scores do not
    squeeze all others into one. The counts go on a logarithmic axis where the flagged would be too few to see.

    Args:
        scores: (n,) floats.
        flagged: (n,) bool.
        threshold: where the method's rule is one number.
        flips: (n,) bool, the known wrong labels.
    """
    low, high = (float(q) for q in np.quantile(scores, [0.001, 0.999]))
    if not low < high:
        low, high = low - 0.5, high + 0.5
    reach = (high - low) / 2
    near = threshold if threshold is not None and low - reach <= threshold <= high + reach else None
    edges = _edges(low, high, near)
    inside = np.clip(scores, edges[0], edges[-1])
    kept, taken = (np.histogram(inside[chosen], edges)[0] for chosen in (~flagged, flagged))
    logarithmic = bool(flagged.any()) and kept.max() > 30 * taken.max()
    with chart("scores") as drawn:
        axes, width, left = drawn.axes, edges[1] - edges[0], edges[:-1]
        style = {"width": width, "align": "edge", "edgecolor": "white", "linewidth": 0.4}
        axes.bar(left, kept, color=KEPT, label="kept", **style)
        if flagged.any():
            # Stacked on a logarithmic axis, a few flagged on top of many kept could not be seen.
            axes.bar(left, taken, bottom=0 if logarithmic else kept, color=FLAGGED, label="flagged", **style)
        if near is not None:
            axes.axvline(near, color=INK, linestyle="--", linewidth=1.2, label="threshold")
        if flips is not None:
            wrong = np.histogram(inside[flips], edges)[0]
            axes.stairs(wrong, edges, color=INK, linewidth=1.2, label="truly wrong")
        if logarithmic:
            axes.set_yscale("symlog", linthresh=1)
            axes.set_ylim(0, None)
        else:
            axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.set_xlabel("score (higher = more suspicious)")
        axes.set_ylabel("examples (log scale)" if logarithmic else "examples per bar")
        axes.margins(x=0.01)
        legend_above(axes)
    outside = int(((scores < edges[0]) | (scores > edges[-1])).sum())
    notes = [f"{outside:,} more extreme scores are counted in the outermost bars."] if outside else []
    if threshold is not None and near is None:
        notes.append(
            f"The threshold, {threshold:.3g}, lies far {'above' if threshold > high else 'below'} all of them."
        )
    rule = "" if threshold is None else f", threshold {threshold:.3g}"
    return Picture(
        drawn.svg,
        f"Histogram of {len(scores):,} scores from {scores.min():.3g} to {scores.max():.3g}, median "
        f"{np.median(scores):.3g}{rule}; {int(flagged.sum()):,} flagged.",
        " ".join(notes),
    )


def _edges(low: float, high: float, threshold: float | None) -> np.ndarray:
    """About 50 equal bins over [low, high], one edge at the threshold so that no bin mixes its two sides."""
    if threshold is None:
        return np.linspace(low, high, _BINS + 1)
    low, high = min(low, threshold), max(high, threshold)
    step = (high - low) / _BINS
    return threshold + step * np.arange(-np.ceil((threshold - low) / step), np.ceil((high - threshold) / step) + 1)


def trajectories(trace: Trace, flagged: np.ndarray) -> Picture | None:
    """The probability of the given label over the epochs: median, middle half and middle 90 % of either group.

    Args:
        trace: n examples, t epochs; of either group at most 20,000 are read, always the same ones.
        flagged: (n,) bool.

    Returns:
        The chart, or None for a trace of a single epoch, which has no trajectory.
    """
    if trace.epochs < 2:
        return None
    groups = [("kept", KEPT, np.flatnonzero(~flagged)), ("flagged", FLAGGED, np.flatnonzero(flagged))]
    epochs = np.arange(1, trace.epochs + 1)
    said = []
    with chart("trajectories") as drawn:
        axes = drawn.axes
        for name, colour, rows in groups:
            if not len(rows):
                continue
            read = signals.probability(trace.take(sample(rows, _TRAJECTORIES)).seen)
            levels = _quantiles(read, [0.05, 0.25, 0.5, 0.75, 0.95])
            axes.fill_between(epochs, levels[0], levels[4], color=colour, alpha=0.12, linewidth=0)
            axes.fill_between(epochs, levels[1], levels[3], color=colour, alpha=0.25, linewidth=0)
            axes.plot(epochs, levels[2], color=colour, linewidth=2, label=f"{name} (median)")
            medians = levels[2][np.isfinite(levels[2])]
            if len(medians):
                said.append(f"{name}: median from {medians[0]:.2f} to {medians[-1]:.2f}")
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlim(1, trace.epochs)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel("probability of the given label")
        legend_above(axes)
    read_all = max(len(rows) for _, _, rows in groups) <= _TRAJECTORIES
    return Picture(
        drawn.svg,
        f"Probability of the given label over {trace.epochs} epochs; " + "; ".join(said) + ".",
        "" if read_all else f"Drawn from at most {_TRAJECTORIES:,} examples of either group, chosen at random.",
    )


def _quantiles(values: np.ndarray, levels: list[float]) -> np.ndarray:
    """(len(levels), t) quantiles of the recorded entries of each column; NaN where a column has none."""
    out = np.full((len(levels), values.shape[1]), np.nan)
    some = ~np.isnan(values).all(axis=0)
    out[:, some] = np.nanquantile(values[:, some], levels, axis=0)
    return out


def self_influences(values: np.ndarray, agreed: np.ndarray, flips: np.ndarray | None = None) -> Picture | None:
    """A histogram of self-influence on a logarithmic axis, by whether the model agrees with the given label.

    Values more than eight orders of magnitude below the largest are gathered in the first bar.

    Args:
        values: (n,) floats.
        agreed: (n,) bool, examples whose given label the model predicts.
        flips: (n,) bool, the known wrong labels.

    Returns:
        The chart, or None where no value is above 0.
    """
    high = float(values.max())
    if not high > 0:
        return None
    low = max(float(values[values > 0].min()), 1e-8 * high)
    edges = np.geomspace(low / 1.01, high * 1.01, _BINS + 1)
    inside = np.clip(values, edges[0], edges[-1])
    with chart("self-influence") as drawn:
        axes = drawn.axes
        below = np.zeros(_BINS)
        groups = [("label as predicted", KEPT, agreed), ("predicted otherwise", FLAGGED, ~agreed)]
        for name, colour, chosen in groups:
            counts = np.histogram(inside[chosen], edges)[0]
            if chosen.any():
                axes.bar(
                    edges[:-1],
                    counts,
                    np.diff(edges),
                    bottom=below,
                    align="edge",
                    color=colour,
                    edgecolor="white",
                    linewidth=0.4,
                    label=name,
                )
            below += counts
        if flips is not None:
            axes.stairs(np.histogram(inside[flips], edges)[0], edges, color=INK, linewidth=1.2, label="truly wrong")
        axes.set_xscale("log")
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.set_xlabel("self-influence (log scale)")
        axes.set_ylabel("examples per bar")
        axes.margins(x=0.01)
        legend_above(axes)
    outside = int((values < edges[0]).sum())
    return Picture(
        drawn.svg,
        f"Histogram of {len(values):,} self-influences, median {np.median(values):.3g}, largest {high:.3g}; the model "
        f"predicts another label than the given one for {int((~agreed).sum()):,} of the examples.",
        f"{outside:,} smaller values are counted in the first bar." if outside else "",
    )
