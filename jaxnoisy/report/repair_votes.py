"""The charts of the votes: for each class the OSD of the candidates, and the mixture that says from where it votes."""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from jaxnoisy.detect.influential_rank import InfluentialRankInfo
from jaxnoisy.report.canvas import FLAGGED, INK, KEPT, chart
from jaxnoisy.report.figures import Picture
from jaxnoisy.report.repair_scores import Groups, bars
from jaxnoisy.stats.mixture import Mixture

PANELS = 12
"""How many classes the page shows the OSD of."""

_BARS = 36
_WITHIN = (0.0, 0.98)
_POINTS = 240
_SIZE = (2.6, 1.75)


class ClassVotes(NamedTuple):
    """The OSD of one class.

    Attributes:
        label: class number.
        votes: candidates that the class votes for.
        picture: the chart.
    """

    label: int
    votes: int
    picture: Picture


def class_votes(osd: np.ndarray, info: InfluentialRankInfo, parts: Groups) -> list[ClassVotes]:
    """For each class the OSD of the candidates with the mixture fitted to it, as in the paper's Figure 10.

    A dashed line stands at the smaller mean, from which on the class votes. The highest 2 % are gathered in the last
    bar: they may lie far beyond the others.

    Args:
        osd: (n, c) overfitting scores on the data.
        info: the votes on them.
        parts: the two kinds.

    Returns:
        One per class that can vote, in their order; of more than 12 those whose mixtures are furthest apart, the
        furthest first. One in all where every class goes by the same score, such as the loss.
    """
    voting = [(k, mixture) for k, mixture in enumerate(info.mixtures) if mixture is not None]
    if not np.ptp(osd, axis=1).any():
        voting = voting[:1]
    if len(voting) > PANELS:
        voting = sorted(voting, key=lambda entry: -entry[1].separation)[:PANELS]
    rows = np.flatnonzero(info.candidates)
    return [_votes_of(k, np.asarray(osd[rows, k], np.float64), mixture, parts.second[rows]) for k, mixture in voting]


def _votes_of(k: int, values: np.ndarray, mixture: Mixture, second: np.ndarray) -> ClassVotes:
    binned = bars(values, second, most=_BARS, within=_WITHIN)
    line = float(mixture.means[0])
    # As the vote itself, to rounding.
    votes = int((values >= line - 1e-9 * float(np.ptp(values))).sum())
    with chart(f"osd-{k}", size=_SIZE) as drawn:
        axes, both = drawn.axes, binned.first + binned.second
        # One kind on top of the other, since the mixture is fitted to both together.
        axes.stairs(binned.first, binned.edges, fill=True, color=KEPT, alpha=0.75, linewidth=0)
        axes.stairs(both, binned.edges, baseline=binned.first, fill=True, color=FLAGGED, alpha=0.75, linewidth=0)
        width = float(binned.edges[1] - binned.edges[0])
        x = np.linspace(binned.edges[0], binned.edges[-1], _POINTS)
        for mean, variance, weight in zip(mixture.means, mixture.variances, mixture.weights):
            if variance > 0 and weight > 0:
                share = weight * _share(x, width, float(mean), math.sqrt(variance))
                axes.plot(x, len(values) * share, color=INK, linewidth=1.1)
        axes.axvline(line, color=INK, linestyle="--", linewidth=1.2)
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.margins(x=0.01)
    said = (
        f"OSD of {len(values):,} candidates; Gaussians around {mixture.means[0]:.2f} and {mixture.means[1]:.2f} with "
        f"weights {mixture.weights[0]:.2f} and {mixture.weights[1]:.2f}, {mixture.separation:.1f} deviations apart; "
        f"votes for the {votes:,} from {line:.2f} on."
    )
    return ClassVotes(k, votes, Picture(drawn.svg, said, ""))


def _share(x: np.ndarray, width: float, mean: float, deviation: float) -> np.ndarray:
    """The share of a Gaussian in a bar around each ``x``.

    The density of one much narrower than a bar would leave the chart; what it puts into a bar does not.
    """
    low, high = ((x + side - mean) / (math.sqrt(2) * deviation) for side in (-width / 2, width / 2))
    return (_erf(high) - _erf(low)) / 2


_erf = np.vectorize(math.erf, otypes=[float])
