"""The charts of what an example does: its influence on validation examples, and where the model places it."""

from typing import NamedTuple

import matplotlib
import numpy as np
from sklearn.neighbors import NearestNeighbors

from jaxnoisy.report.canvas import FLAGGED, INK, KEPT, chart, sample
from jaxnoisy.report.figures import Picture
from jaxnoisy.report.repair_scores import Groups

LEGEND = 20
"""With more classes than this, the map of the examples names none of them."""

_DRAWN = 400
_POINTS = 2000
_MARGIN = 0.03
_SQUARE = (5.0, 4.2)


class Embedding(NamedTuple):
    """The maps before and after.

    Attributes:
        before: the chart of the original model.
        after: that of the repaired model.
        colours: (c,) colours, one per class.
        drawn: how many examples are on either.
        dropped: how many of them were dropped.
    """

    before: Picture
    after: Picture
    colours: list[str]
    drawn: int
    dropped: int


def influence_spread(rows: np.ndarray, spread: np.ndarray, parts: Groups) -> Picture | None:
    """The influence of training examples on the validation examples of one class, as in the paper's Figure 5.

    Of each example, the mean and one standard deviation either way over the k validation examples. What was kept stands
    left and what was dropped right, each from the most even to the most uneven, at most 400 of either.

    Args:
        rows: (r,) rows of training examples.
        spread: (r, k) their influence on k validation examples.
        parts: what the first round kept and dropped.

    Returns:
        The chart, or None without examples or without validation examples.
    """
    if not spread.size:
        return None
    mean, deviation = spread.mean(axis=1, dtype=np.float64), spread.std(axis=1, dtype=np.float64)
    taken = parts.second[rows]
    sides = [
        (name, colour, np.flatnonzero(chosen))
        for name, colour, chosen in zip(parts.names, (KEPT, FLAGGED), (~taken, taken))
        if chosen.any()
    ]
    # A few examples of huge influence would flatten all others.
    reach = 1.05 * float(np.quantile(np.abs(mean) + deviation, 0.95)) or 1.0
    with chart("spread", size=(5.0, 2.8)) as drawn:
        axes = drawn.axes
        for left, (_, colour, chosen) in enumerate(sides):
            part = sample(chosen, _DRAWN)
            part = part[np.argsort(deviation[part], kind="stable")]
            x = left + _MARGIN + (1 - 2 * _MARGIN) * (np.arange(len(part)) + 0.5) / len(part)
            low, high = mean[part] - deviation[part], mean[part] + deviation[part]
            axes.fill_between(x, low, high, color=colour, alpha=0.3, linewidth=0)
            axes.plot(x, mean[part], color=colour, linewidth=0.9)
            if left:
                axes.axvline(left, color="#8c959f", linewidth=0.8)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xticks([k + 0.5 for k in range(len(sides))], [f"{name} ({len(at):,})" for name, _, at in sides])
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(0, len(sides))
        axes.set_ylim(-reach, reach)
        axes.set_ylabel("influence")
    said = "; ".join(
        f"{name}: {len(at):,} examples, median deviation {np.median(deviation[at]):.3g}" for name, _, at in sides
    )
    outside = int((np.abs(mean) + deviation > reach).sum())
    notes = [f"Bands that reach beyond the chart: {outside:,}."] if outside else []
    if max(len(at) for _, _, at in sides) > _DRAWN:
        notes.append(f"At most {_DRAWN:,} examples on either side are drawn, chosen at random.")
    return Picture(drawn.svg, f"Influence on {spread.shape[1]:,} validation examples; {said}.", " ".join(notes))


def embeddings(
    rows: np.ndarray, before: np.ndarray, after: np.ndarray, labels: np.ndarray, dropped: np.ndarray, num_classes: int
) -> Embedding | None:
    """Maps of the training examples as the model sees them before and after, as in the paper's Figure 7.

    Args:
        rows: (s,) rows of training examples; at most 2,000 are drawn, always the same ones.
        before: (s, 2) their places by the original model's features.
        after: (s, 2) their places by the repaired model's.
        labels: (n,) given class numbers, by which they are coloured.
        dropped: (n,) bool, drawn as crosses.
        num_classes: c.

    Returns:
        :class:`Embedding`, or None without examples.
    """
    if not len(rows):
        return None
    part = sample(np.arange(len(rows)), _POINTS)
    at, colours = rows[part], class_colours(num_classes)
    first, last = (
        _map(name, places[part], labels[at], dropped[at], colours)
        for name, places in (("before", before), ("after", after))
    )
    return Embedding(first, last, colours, len(part), int(dropped[at].sum()))


def class_colours(num_classes: int) -> list[str]:
    """A colour for each class: of a set made to be told apart for up to 20, from around the wheel beyond that."""
    if num_classes <= LEGEND:
        names = matplotlib.colormaps["tab10" if num_classes <= 10 else "tab20"]
        return [matplotlib.colors.to_hex(names(k)) for k in range(num_classes)]
    wheel = np.stack(
        [np.arange(num_classes) / num_classes, *np.broadcast_to([[0.85], [0.8]], (2, num_classes))], axis=1
    )
    return [matplotlib.colors.to_hex(colour) for colour in matplotlib.colors.hsv_to_rgb(wheel)]


def _map(name: str, places: np.ndarray, labels: np.ndarray, dropped: np.ndarray, colours: list[str]) -> Picture:
    with chart(name, size=_SQUARE) as drawn:
        axes = drawn.axes
        axes.grid(visible=False)
        colour = np.array(colours)[labels]
        for chosen, style in (
            (~dropped, {"s": 13, "linewidths": 0, "alpha": 0.75}),
            (dropped, {"s": 20, "linewidths": 1.1, "marker": "x"}),
        ):
            axes.scatter(places[chosen, 0], places[chosen, 1], c=colour[chosen], rasterized=True, **style)
        # The axes of such a map mean nothing.
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(True)
    said = f"Map of {len(places):,} examples, {int(dropped.sum()):,} of them dropped."
    for kind, chosen in (("kept", ~dropped), ("dropped", dropped)):
        if chosen.any() and len(places) > 1:
            agreed = labels[_nearest(places)[chosen]] == labels[chosen]
            said += f" Of the {kind}, {100 * agreed.mean():.0f} % lie nearest to an example with their own given label."
    return Picture(drawn.svg, said, "")


def _nearest(places: np.ndarray) -> np.ndarray:
    """(s,) for each place the nearest other one."""
    found = NearestNeighbors(n_neighbors=2).fit(places).kneighbors(places, return_distance=False)
    return np.where(found[:, 0] == np.arange(len(places)), found[:, 1], found[:, 0])
