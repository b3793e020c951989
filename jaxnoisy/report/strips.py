"""Small line drawings, one per example: a row of features as bars, a trajectory as a line."""

from typing import NamedTuple

import numpy as np

from jaxnoisy.data.dataset import Dataset
from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.trace import Trace
from jaxnoisy.report.canvas import sample
from jaxnoisy.report.text import number

_BARS = 48
_REACH = 3.0
_POINTS = 60
_LOOKED_AT = 20_000


class Bar(NamedTuple):
    """One bar of a strip, in a box of width 1 and height 1 with zero in the middle and y pointing down."""

    x: float
    y: float
    width: float
    height: float
    high: bool


class Strip(NamedTuple):
    """A row of features.

    Attributes:
        bars: in the order of the features.
        told: the three most deviating features in words.
    """

    bars: list[Bar]
    told: list[str]


def feature_strips(dataset: Dataset, rows: np.ndarray, *, like: Dataset | None = None) -> list[Strip]:
    """Draw the features at ``rows`` as distances from their means, in standard deviations, cut off at 3.

    Of more than 48 features, each example shows its own 48 most deviating ones.

    Args:
        dataset: of (n, d) features; mean and deviation are taken over at most 20,000 rows, always the same ones.
        rows: (k,) indices.
        like: the data set whose mean and deviation are taken, by default the same.
    """
    whole = like or dataset
    seen = np.asarray(whole.inputs[sample(np.arange(len(whole)), _LOOKED_AT)], np.float64)
    mean, deviation = seen.mean(axis=0), seen.std(axis=0)
    return [_strip(np.asarray(dataset.inputs[row], np.float64), mean, deviation) for row in rows]


def _strip(values: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> Strip:
    # A feature that never varies deviates nowhere among the rows looked at; dividing by one keeps a rare other value.
    z = (values - mean) / np.where(deviation > 0, deviation, 1.0)
    ranked = np.argsort(-np.abs(z), kind="stable")
    chosen = np.sort(ranked[:_BARS])
    width = 1 / len(chosen)
    heights = np.clip(z[chosen] / _REACH, -1, 1) / 2
    bars = [
        Bar(round(k * width, 4), round(0.5 - max(h, 0.0), 4), round(width, 4), round(abs(h), 4), h > 0)
        for k, h in enumerate(heights.tolist())
    ]
    return Strip(bars, [f"#{j}: {number(float(values[j]))} ({z[j]:+.1f} sd)" for j in ranked[:3].tolist()])


def sparklines(trace: Trace, rows: np.ndarray) -> list[str]:
    """The probability of the given label over time as the points of an SVG polyline, at most 60 of them.

    Args:
        trace: n examples, t epochs.
        rows: (k,) indices.

    Returns:
        k texts "x,y x,y ..." with x in 0..100 from the first to the last epoch and y in 0..1 pointing down; entries
        that were not recorded are passed over.
    """
    read = signals.probability(trace.take(rows).seen)
    columns = np.unique(np.linspace(0, trace.epochs - 1, min(trace.epochs, _POINTS)).round().astype(int))
    x = 100 * columns / max(trace.epochs - 1, 1)
    return [
        " ".join(f"{a:.4g},{1 - p:.3f}" for a, p in zip(x.tolist(), row.tolist()) if np.isfinite(p))
        for row in read[:, columns]
    ]
