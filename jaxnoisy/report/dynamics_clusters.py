"""DynaCor's charts: where the two clusters lie, by which epoch they were chosen, and what their dynamics look like."""

from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from jaxnoisy.detect import Detection, DynaCorInfo
from jaxnoisy.report.canvas import FLAGGED, GRID, INK, KEPT, chart, legend_above
from jaxnoisy.report.figures import Picture
from jaxnoisy.report.text import percent

_SIDES = (("clean cluster", KEPT), ("noisy cluster", FLAGGED))
_SIGNALS = {
    "quantised-margin": "mean sign of the margin",
    "margin": "mean squashed margin",
    "probability": "mean probability of the given label",
    "loss": "mean squashed loss",
}


class ClusterPictures(NamedTuple):
    """The charts of one search.

    Attributes:
        plane: representations of originals and corrupted copies.
        metric: the validation metric over the epochs.
        dynamics: the mean dynamics of each cluster.
        remark: what to know of clusters that do not part the examples, or "".
        kept: what was chosen, in words.
    """

    plane: Picture
    metric: Picture
    dynamics: Picture
    remark: str
    kept: str


def cluster_pictures(detection: Detection) -> ClusterPictures | None:
    """Draw what DynaCor found, or None for a detection of another method, or one read back without its info."""
    info = detection.info
    if not isinstance(info, DynaCorInfo):
        return None
    where = "the untrained encoder" if info.epoch == 0 else f"epoch {info.epoch} of {info.metric.shape[1] - 1}"
    kept = (
        f"{where}, alpha {info.alphas[info.candidate]:g}, start {info.seeds[info.candidate] + 1} of "
        f"{info.seeds.max() + 1}; {percent(info.copies_found)} of the corrupted copies lie in the noisy cluster"
    )
    return ClusterPictures(representation_plane(info), metric_curve(info), mean_dynamics(info), info.remark, kept)


def representation_plane(info: DynaCorInfo) -> Picture:
    """Representations of a sample on the plane of their two largest principal components.

    Distances in DynaCor are angles, so that representations and centroids are scaled to length 1 first.
    """
    drawn = info.drawn
    points = _unit(drawn.representations)
    centre = points.mean(axis=0)
    _, sizes, axes_of = np.linalg.svd(points - centre, full_matrices=False)
    onto = axes_of[:2].T
    flat = (points - centre) @ onto
    centroids = (_unit(np.stack([info.weights.clean, info.weights.noisy])) - centre) @ onto
    noisy = drawn.scores > 0.5
    with chart("clusters") as made:
        axes = made.axes
        for corrupted, marker, size in ((False, "o", 9), (True, "x", 16)):
            for side, colour in ((~noisy, KEPT), (noisy, FLAGGED)):
                x, y = flat[side & (drawn.corrupted == corrupted)].T
                axes.scatter(x, y, s=size, marker=marker, color=colour, alpha=0.45, linewidths=0.8 * corrupted)
        axes.scatter(
            centroids[:, 0],
            centroids[:, 1],
            s=120,
            marker="*",
            color=[KEPT, FLAGGED],
            edgecolors=INK,
            linewidths=0.9,
            zorder=3,
        )
        axes.scatter([], [], s=14, marker="o", color=INK, label="original")
        axes.scatter([], [], s=18, marker="x", color=INK, linewidths=0.8, label="corrupted copy")
        axes.scatter([], [], s=70, marker="*", color="white", edgecolors=INK, linewidths=0.9, label="centroid")
        axes.grid(color=GRID)
        axes.set_xlabel("first principal component")
        axes.set_ylabel("second principal component")
        legend_above(axes)
    share = float((sizes[:2] ** 2).sum() / max((sizes**2).sum(), 1e-30))
    originals, copies = int((~drawn.corrupted).sum()), int(drawn.corrupted.sum())
    return Picture(
        made.svg,
        f"Representations of {originals:,} originals and {copies:,} corrupted copies; "
        f"{int((noisy & ~drawn.corrupted).sum()):,} originals and {int((noisy & drawn.corrupted).sum()):,} copies lie "
        "in the noisy cluster.",
        f"{percent(share)} of the variance lies in this plane; equal dynamics lie on one point.",
    )


def metric_curve(info: DynaCorInfo) -> Picture:
    """The validation metric of every candidate over the epochs, with the epoch kept marked; 0 is untrained."""
    epochs = np.arange(info.metric.shape[1])
    value = float(info.metric[info.candidate, info.epoch])
    with chart("metric") as made:
        axes = made.axes
        for number, curve in enumerate(info.metric):
            if number != info.candidate:
                axes.plot(epochs, curve, color="#8c959f", linewidth=1, marker="." if len(epochs) == 1 else None)
        axes.plot(epochs, info.metric[info.candidate], color=KEPT, linewidth=2, label="chosen search")
        axes.scatter([info.epoch], [value], s=55, color=FLAGGED, zorder=3, label="epoch kept")
        if len(info.metric) > 1:
            axes.plot([], [], color="#8c959f", linewidth=1, label="other searches")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("epoch of the encoder (0: untrained)")
        axes.set_ylabel("validation metric")
        legend_above(axes)
    first = float(info.metric[info.candidate, 0])
    return Picture(
        made.svg,
        f"Validation metric of {len(info.metric)} searches over {len(epochs) - 1} epochs; kept is epoch {info.epoch} "
        f"at {value:.4g}, against {first:.4g} of the untrained encoder.",
        "",
    )


def mean_dynamics(info: DynaCorInfo) -> Picture:
    """The mean signal of originals and of copies in each cluster over the epochs of training."""
    epochs = np.arange(1, info.dynamics.shape[2] + 1)
    said = []
    with chart("dynamics") as made:
        axes = made.axes
        for group, (name, style) in enumerate((("originals", "-"), ("copies", "--"))):
            for side, (cluster, colour) in enumerate(_SIDES):
                curve, count = info.dynamics[group, side], int(info.counts[group, side])
                if count:
                    axes.plot(epochs, curve, color=colour, linestyle=style, linewidth=2)
                    said.append(f"{count:,} {name}, {cluster}: from {curve[0]:.2f} to {curve[-1]:.2f}")
        for cluster, colour in _SIDES:
            axes.plot([], [], color=colour, linewidth=2, label=cluster)
        for name, style in (("originals", "-"), ("copies", "--")):
            axes.plot([], [], color=INK, linestyle=style, linewidth=1.2, label=name)
        axes.set_xlim(1, len(epochs))
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("epoch of training")
        axes.set_ylabel(_SIGNALS.get(info.signal, f"mean {info.signal}"))
        legend_above(axes)
    return Picture(made.svg, "Mean dynamics: " + "; ".join(said) + ".", "")


def _unit(rows: np.ndarray) -> np.ndarray:
    wide = np.asarray(rows, np.float64)
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
