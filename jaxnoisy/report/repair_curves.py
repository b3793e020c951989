"""The charts over the rounds of a repair: accuracy, and the wrong labels or the examples that were left."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.ticker import FuncFormatter, MaxNLocator

from jaxnoisy.repaired import Repaired
from jaxnoisy.report.canvas import FLAGGED, INK, KEPT, Chart, chart, legend_above
from jaxnoisy.report.figures import Picture
from jaxnoisy.report.text import percent

_COLOURS = {"validation": KEPT, "test": FLAGGED}
_SIZE = (5.0, 2.7)
_TICKS = 12


class Stage(NamedTuple):
    """Where a repair stood at one point.

    Attributes:
        tick: what the axis calls it: "0" before any round, "1", "2", ..., "anew".
        name: the same in full.
        validation: accuracy on validation data; None where nothing was trained.
        test: accuracy on test data; None without any.
        noise: share of wrong labels among the examples in use; None where the truth is not known.
        used: how many examples were in use.
        accepted: whether the repair went on from here, rather than back.
    """

    tick: str
    name: str
    validation: float | None
    test: float | None
    noise: float | None
    used: int
    accepted: bool


def stages(found: Repaired) -> list[Stage]:
    """The original model, each round, and the model trained anew where there is one."""
    measured = found.accuracies
    at = [Stage("0", "original", *_accuracies(measured.get("original", {})), found.noise_before, len(found), True)]
    for info in found.rounds:
        tried = {"validation": info.accuracy_after, **info.measures, **measured.get(f"round {info.round}", {})}
        name = f"round {info.round}"
        at.append(Stage(str(info.round), name, *_accuracies(tried), info.noise_after, info.kept, info.accepted))
    if "trained anew" in measured:
        kept = found.final == "trained anew"
        noise, used = (found.noise_after, int(found.used.sum())) if kept else (at[-1].noise, at[-1].used)
        at.append(Stage("anew", "trained anew", *_accuracies(measured["trained anew"]), noise, used, kept))
    return at


def _accuracies(measured: Mapping[str, float]) -> tuple[float | None, float | None]:
    values = [measured.get(name, math.nan) for name in _COLOURS]
    validation, test = (float(v) if math.isfinite(v) else None for v in values)
    return validation, test


def accuracy_curve(at: Sequence[Stage]) -> Picture | None:
    """Accuracy on validation and test data over the rounds, as on the left of the paper's Figure 8.

    A line joins what was kept; a hollow mark is what a refused round came to.

    Returns:
        The chart, or None where there are not two accuracies to compare.
    """
    lines = {name: [getattr(stage, name) for stage in at] for name in _COLOURS}
    if max(sum(v is not None for v in values) for values in lines.values()) < 2:
        return None
    said = []
    with chart("accuracy", size=_SIZE) as drawn:
        for name, values in lines.items():
            if any(v is not None for v in values):
                _line(drawn, at, values, _COLOURS[name], name)
                said.append(f"{name}: {_told(at, values)}.")
        _finish(drawn, at, "accuracy")
    return Picture(drawn.svg, f"Accuracy over the rounds; {' '.join(said)}", "")


def remaining_curve(at: Sequence[Stage]) -> Picture | None:
    """The share of wrong labels over the rounds, as on the right of the paper's Figure 8.

    Where the truth is not known, the share of all examples that were in use takes its place.

    Returns:
        The chart, or None where no round changed anything.
    """
    known = at[0].noise is not None
    values = [None if not s.accepted else s.noise if known else s.used / at[0].used for s in at]
    if sum(v is not None for v in values) < 2:
        return None
    with chart("remaining", size=_SIZE) as drawn:
        _line(drawn, at, values, INK, "wrong labels among those in use" if known else "examples in use")
        # From nothing up, since these are shares of a whole.
        drawn.axes.set_ylim(0, max(*(v for v in values if v is not None), 0.01) * 1.1)
        _finish(drawn, at, "share")
    what = "wrong labels among the examples in use" if known else "examples in use"
    return Picture(drawn.svg, f"Share of {what}: {_told(at, values)}.", "")


def _line(drawn: Chart, at: Sequence[Stage], values: Sequence[float | None], colour: str, name: str) -> None:
    points = [(x, v, stage.accepted) for x, (v, stage) in enumerate(zip(values, at)) if v is not None]
    joined = [(x, v) for x, v, accepted in points if accepted]
    tried = [(x, v) for x, v, accepted in points if not accepted]
    if joined:
        drawn.axes.plot(*zip(*joined), color=colour, marker="o", markersize=5, linewidth=2, label=name)
    if tried:
        hollow: dict[str, Any] = {"marker": "o", "markersize": 6, "markerfacecolor": "white", "linestyle": "none"}
        drawn.axes.plot(*zip(*tried), color=colour, label=f"{name}, refused", **hollow)


def _finish(drawn: Chart, at: Sequence[Stage], ylabel: str) -> None:
    axes = drawn.axes
    shown = range(0, len(at), -(-len(at) // _TICKS))
    axes.set_xticks(list(shown), [at[k].tick for k in shown])
    axes.set_xlim(-0.25, len(at) - 0.75)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))
    axes.set_xlabel("after round (0: before the first)")
    axes.set_ylabel(ylabel)
    legend_above(axes)


def _told(at: Sequence[Stage], values: Sequence[float | None]) -> str:
    return ", ".join(
        f"{stage.name} {percent(value)}{'' if stage.accepted else ' (refused)'}"
        for stage, value in zip(at, values)
        if value is not None
    )
