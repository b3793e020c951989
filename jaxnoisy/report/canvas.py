"""How every chart looks, and how it becomes part of the page."""

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

FLAGGED = "#d55e00"
KEPT = "#0072b2"
INK = "#1f2328"
GRID = "#dfe3e8"
"""Vermilion and blue of Okabe and Ito's palette, told apart by people with any kind of colour vision."""

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#8c959f",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9.5,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "jaxnoisy",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "ytick.major.size": 0,
}

# About 60 % of a laptop's page and all of a phone's: small, so that text stays legible when scaled down.
_SIZE = (5.0, 3.1)


class Chart:
    """One set of axes to draw on; ``svg`` is there once the block of :func:`chart` has ended."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = ""


@contextlib.contextmanager
def chart(name: str, *, size: tuple[float, float] = _SIZE) -> Iterator[Chart]:
    """Draw one chart, in the house's style whatever the user's own matplotlib settings are.

    No text from the data may be drawn: the SVG goes into the page as it is, and "$" is mathematics to matplotlib.

    Args:
        name: sets the chart's element ids apart from those of other charts on the page.
        size: width and height in inches. The page scales charts to its columns, and their text with them.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=size, layout="constrained")
        drawn = Chart(figure.add_subplot())
        yield drawn
        out = io.StringIO()
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})
    drawn.svg = _inline(out.getvalue(), name)


def _inline(svg: str, name: str) -> str:
    """The bare svg element, with ids of its own, hidden from screen readers (the page describes it in words)."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    return body.replace("<svg", '<svg aria-hidden="true"', 1).strip()


def legend_above(axes: Axes) -> None:
    """Put the legend above the axes, in one row, where it covers no data; areas come before lines."""
    handles, names = axes.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda k: not isinstance(handles[k], BarContainer))
    axes.figure.legend(
        [handles[k] for k in order],
        [names[k] for k in order],
        loc="outside upper left",
        ncols=len(names),
        handlelength=1.2,
        handletextpad=0.5,
        columnspacing=1.3,
    )


def sample(rows: np.ndarray, limit: int) -> np.ndarray:
    """At most ``limit`` of the (k,) ``rows``, in order, always the same ones."""
    if len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))
