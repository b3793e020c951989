"""Charts of learned weights: how those of flagged and kept examples came apart over the epochs."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from jaxnoisy.detect.lsw import LearnedWeightsInfo
from jaxnoisy.findings import Findings
from jaxnoisy.report.canvas import FLAGGED, INK, KEPT, chart, legend_above
from jaxnoisy.report.figures import Picture

_BINS = 25
_PANELS = 4


class LearnedWeightsCharts(NamedTuple):
    """What the page shows of one method's weights.

    Attributes:
        name: the method.
        histograms: a histogram of the weights at several epochs, kept and flagged apart.
        means: their mean over the epochs.
    """

    name: str
    histograms: Picture
    means: Picture


def learned_weights_charts(findings: Findings) -> LearnedWeightsCharts | None:
    """The charts of the first method that has learned weights and knows them by epoch; None where there is none."""
    for name, found in findings.detections.items():
        if isinstance(found.info, LearnedWeightsInfo) and found.info.used is not None:
            by_epoch = _by_epoch(found.info)
            flagged = np.asarray(found.flagged, bool)
            limit = None if found.threshold is None else 1 - found.threshold
            histograms = weight_histograms(by_epoch, flagged, limit, findings.flips)
            return LearnedWeightsCharts(name, histograms, weight_means(by_epoch, flagged, limit))
    return None


def _by_epoch(info: LearnedWeightsInfo) -> np.ndarray:
    """(n, t) float32: weights after each epoch, which are those that the next one was trained by."""
    assert info.used is not None
    return np.concatenate([np.asarray(info.used[:, 1:], np.float32), info.weights[:, None].astype(np.float32)], axis=1)


def weight_histograms(
    by_epoch: np.ndarray, flagged: np.ndarray, threshold: float | None = None, flips: np.ndarray | None = None
) -> Picture:
    """Histograms of the weights after up to four epochs, evenly spaced, the last one among them.

    Hoang et al., Figure 5. All share one axis of counts, square-root spaced, so that few can be seen beside many.

    Args:
        by_epoch: (n, t) weights in [0, 1] after each epoch; NaN is left out.
        flagged: (n,) bool.
        threshold: below which weights are flagged.
        flips: (n,) bool, the known wrong labels.
    """
    t = by_epoch.shape[1]
    shown = np.unique(np.linspace(1, t, min(t, _PANELS)).round().astype(int))
    edges = np.linspace(0, 1, _BINS + 1)
    with chart("weights", size=(5.0, 3.6)) as drawn:
        figure = drawn.axes.figure
        drawn.axes.remove()
        grid = figure.subplots(-(-len(shown) // 2), min(len(shown), 2), sharex=True, sharey=True, squeeze=False)
        panels = list(grid.flat)
        for axes, epoch in zip(panels, shown):
            _histogram(axes, by_epoch[:, epoch - 1], flagged, edges, threshold, flips)
            axes.set_title(f"after epoch {epoch}", fontsize=9.5, loc="left")
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
        for axes in grid[-1]:
            axes.set_xlabel("weight")
        for axes in grid[:, 0]:
            axes.set_ylabel("examples")
        legend_above(panels[0])
    last = by_epoch[:, -1]
    return Picture(
        drawn.svg,
        f"Histograms of {len(last):,} weights after epochs {', '.join(str(epoch) for epoch in shown)}; after the last, "
        f"the median is {_median(last[~flagged])} of kept and {_median(last[flagged])} of flagged examples.",
        "",
    )


def _histogram(
    axes: Axes,
    weights: np.ndarray,
    flagged: np.ndarray,
    edges: np.ndarray,
    threshold: float | None,
    flips: np.ndarray | None,
) -> None:
    seen = np.isfinite(weights)
    kept, taken = (np.histogram(weights[seen & chosen], edges)[0] for chosen in (~flagged, flagged))
    style = {"width": edges[1] - edges[0], "align": "edge", "edgecolor": "white", "linewidth": 0.4}
    axes.bar(edges[:-1], kept, color=KEPT, label="kept", **style)
    axes.bar(edges[:-1], taken, bottom=kept, color=FLAGGED, label="flagged", **style)
    if threshold is not None:
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.2, label="threshold")
    if flips is not None:
        wrong = np.histogram(weights[seen & flips], edges)[0]
        axes.stairs(wrong, edges, color=INK, linewidth=1.2, label="truly wrong")
    axes.set_yscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def weight_means(by_epoch: np.ndarray, flagged: np.ndarray, threshold: float | None = None) -> Picture:
    """The mean weight of kept and of flagged examples after each epoch, with the middle half of either.

    Args:
        by_epoch: (n, t) weights after each epoch; NaN is left out.
        flagged: (n,) bool.
        threshold: below which weights are flagged.
    """
    t = by_epoch.shape[1]
    epochs, said = np.arange(1, t + 1), []
    with chart("weight-means") as drawn:
        axes = drawn.axes
        for name, colour, chosen in (("kept", KEPT, ~flagged), ("flagged", FLAGGED, flagged)):
            rows = by_epoch[chosen]
            known = ~np.isnan(rows).all(axis=0)
            if not known.any():
                continue
            low, high = np.nanquantile(rows[:, known], [0.25, 0.75], axis=0)
            mean = np.nanmean(rows[:, known], axis=0)
            axes.fill_between(epochs[known], low, high, color=colour, alpha=0.25, linewidth=0)
            axes.plot(
                epochs[known], mean, color=colour, linewidth=2, marker="o" if t == 1 else None, label=f"{name} (mean)"
            )
            said.append(f"{name}: mean from {mean[0]:.2f} to {mean[-1]:.2f}")
        if threshold is not None:
            axes.axhline(threshold, color=INK, linestyle="--", linewidth=1.2, label="threshold")
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlim(1, max(t, 2))
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel("weight")
        legend_above(axes)
    return Picture(drawn.svg, f"Weights over {t} epochs; " + "; ".join(said) + ".", "")


def _median(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return f"{np.median(known):.2f}" if len(known) else "unknown"
