"""The charts of the scores that candidates come from: the loss beside OSM, for two kinds of examples."""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from jaxnoisy.metrics import detection_metrics
from jaxnoisy.repaired import Repaired
from jaxnoisy.report.canvas import FLAGGED, KEPT, chart, legend_above
from jaxnoisy.report.figures import Picture

_BARS = 50
_WITHIN = (0.001, 0.999)


class Groups(NamedTuple):
    """The two kinds of training examples that the charts tell apart.

    Attributes:
        second: (n,) bool.
        names: of the first and the second kind.
        known: whether they are right and wrong labels.
    """

    second: np.ndarray
    names: tuple[str, str]
    known: bool


class Bars(NamedTuple):
    """A histogram of two kinds of values.

    Attributes:
        edges: (b + 1,) of the bars.
        first: (b,) how many of the first kind lie in each, those beyond the edges in the outermost ones.
        second: (b,) the same of the second kind.
        outside: how many lay beyond the edges.
    """

    edges: np.ndarray
    first: np.ndarray
    second: np.ndarray
    outside: int


def groups(found: Repaired) -> Groups:
    """Right and wrong labels where both are known to exist; otherwise what the first round kept and dropped."""
    flips = found.dataset.flips
    if flips is not None and flips.any() and not flips.all():
        return Groups(flips, ("right label", "wrong label"), True)
    return first_round(found)


def first_round(found: Repaired) -> Groups:
    """What the first round kept, and what it dropped or, where it was refused, tried to."""
    second = np.zeros(len(found), bool)
    if not found.rounds:
        return Groups(second, ("kept", "dropped"), False)
    second[found.rounds[0].removed] = True
    return Groups(second, ("kept", "dropped" if found.rounds[0].accepted else "tried to drop"), False)


def score_histograms(losses: np.ndarray, osm: np.ndarray, parts: Groups) -> list[Picture]:
    """Histograms of the loss and of OSM in the same units, as in the paper's Figure 4.

    Both are in standard deviations from their means, since OSM is. The outermost 0.1 % on either side are gathered in
    the first and the last bar; counts go on a logarithmic axis, in both or in neither, where one bar or one kind would
    dwarf the rest.

    Args:
        losses: (n,) cross entropy of the given labels.
        osm: (n,) overfitting scores on the model.
        parts: the two kinds.

    Returns:
        The charts of the loss and of OSM; of the loss alone where it stands in the place of OSM.
    """
    measured = {"loss": _standardised(losses), "OSM": np.asarray(osm, np.float64)}
    if np.allclose(measured["loss"], measured["OSM"], atol=1e-3, equal_nan=True):
        del measured["OSM"]
    binned = {name: bars(v, parts.second, most=_BARS, within=_WITHIN) for name, v in measured.items()}
    logarithmic = any(_dwarfed(drawn) for drawn in binned.values())
    return [_histogram(values, name, parts, binned[name], logarithmic) for name, values in measured.items()]


def _standardised(values: np.ndarray) -> np.ndarray:
    read = np.asarray(values, np.float64)
    finite = read[np.isfinite(read)]
    return (read - finite.mean()) / (finite.std() or 1.0) if len(finite) else read


def bars(values: np.ndarray, second: np.ndarray, *, most: int, within: tuple[float, float]) -> Bars:
    """Count values in equal bars between two of their quantiles; values that are not numbers are left out.

    Args:
        values: (k,) floats.
        second: (k,) bool, which of them are of the second kind.
        most: how many bars at most; of few values fewer, so that the bars hold several.
        within: the quantiles.
    """
    finite = np.isfinite(values)
    read, of_second = np.asarray(values, np.float64)[finite], second[finite]
    low, high = (float(q) for q in np.quantile(read, within)) if len(read) else (0.0, 0.0)
    if not low < high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, min(most, 8 + int(math.sqrt(len(read)))) + 1)
    inside = np.clip(read, low, high)
    first, other = (np.histogram(inside[chosen], edges)[0] for chosen in (~of_second, of_second))
    return Bars(edges, first, other, int(((read < low) | (read > high)).sum()))


def _dwarfed(binned: Bars) -> bool:
    both = binned.first + binned.second
    some = both[both > 0]
    few = binned.second.any() and binned.first.max() > 30 * binned.second.max()
    return bool(few or (len(some) > 2 and some.max() > 40 * np.median(some)))


def _histogram(values: np.ndarray, name: str, parts: Groups, binned: Bars, logarithmic: bool) -> Picture:
    with chart(f"histogram-{name}") as drawn:
        axes = drawn.axes
        for counts, colour, kind in zip(binned[1:3], (KEPT, FLAGGED), parts.names):
            if counts.any():
                # Neither stands on the other: a share on top of another cannot be read off a logarithmic axis.
                axes.stairs(counts, binned.edges, fill=True, color=colour, alpha=0.4, linewidth=0, label=kind)
                axes.stairs(counts, binned.edges, color=colour, linewidth=1.3)
        if logarithmic:
            axes.set_yscale("symlog", linthresh=1)
            axes.set_ylim(0, None)
        else:
            axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.set_xlabel(f"{name}, in standard deviations from its mean")
        axes.set_ylabel("examples (log scale)" if logarithmic else "examples per bar")
        axes.margins(x=0.01)
        legend_above(axes)
    finite = np.isfinite(values)
    kinds = zip(parts.names, (~parts.second & finite, parts.second & finite))
    said = "; ".join(
        f"{kind}: {int(chosen.sum()):,} examples, median {np.median(values[chosen]):.2f}"
        for kind, chosen in kinds
        if chosen.any()
    )
    return Picture(drawn.svg, f"Histogram of {name}, {said}.", _note(values, parts, binned.outside))


def _note(values: np.ndarray, parts: Groups, outside: int) -> str:
    notes = []
    finite = np.isfinite(values)
    if not finite.all():
        notes.append(f"{int((~finite).sum()):,} values that are not numbers are left out.")
    elif parts.known:
        auc = detection_metrics(values, parts.second, parts.second).roc_auc
        notes.append(
            f"It is the higher one for the wrong label in {100 * auc:.1f}\u00a0% of pairs of a right and a wrong one."
        )
    if outside:
        notes.append(f"{outside:,} more extreme values are counted in the outermost bars.")
    return " ".join(notes)
