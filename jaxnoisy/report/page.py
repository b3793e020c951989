"""``report.html``: one file that needs nothing else, for a person to look at."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxnoisy.findings import Findings
from jaxnoisy.report import text
from jaxnoisy.report.agreement import agreement
from jaxnoisy.report.canvas import FLAGGED, INK, KEPT
from jaxnoisy.report.classes import LISTED, class_rates, confusion_matrix, largest_confusions
from jaxnoisy.report.dynamics_clusters import ClusterPictures, cluster_pictures
from jaxnoisy.report.figures import score_distribution, trajectories
from jaxnoisy.report.gallery import cards
from jaxnoisy.report.learned_weights import LearnedWeightsCharts, learned_weights_charts
from jaxnoisy.report.table import comparison
from jaxnoisy.report.templates import markup, template

_SKIPPED = 50
_AT_ONCE = 24


class Shade(NamedTuple):
    """A coloured cell: its text, its background and the text colour that is legible on it."""

    text: str
    background: str
    ink: str


def render_page(findings: Findings, summary: Mapping[str, Any], suggested: np.ndarray) -> str:
    """Build the page.

    It holds its pictures and its style and refers to nothing outside; it runs no script. Everything that comes from
    the data (class names, ids, method names, settings, skipped files) is escaped by the template and never drawn by
    matplotlib. At most 48 examples are shown; charts of large data are drawn from a fixed random part.

    Args:
        findings: n examples.
        summary: from :func:`jaxnoisy.report.summarize` on the same findings.
        suggested: (n,) int class numbers, from ``findings.suggested()``.

    Returns:
        HTML, free of lone surrogates, so that it can be encoded as UTF-8.

    Cost: about a second for matplotlib, and a few passes over the scores.
    """
    primary = findings.detections[findings.primary]
    scores, flagged = np.asarray(primary.scores), np.asarray(primary.flagged, bool)
    matrix = confusion_matrix(findings, suggested)
    rates = class_rates(findings)
    examples = np.bincount(findings.labels, minlength=len(matrix))
    return template("page.html.j2").render(
        summary=summary,
        title=text.shown(summary["data"]["name"] or "Label report"),
        names=[text.shown(name) for name in findings.class_names],
        flagged=int(flagged.sum()),
        cards=cards(findings, suggested),
        at_once=_AT_ONCE,
        comparison=comparison(summary),
        distribution=markup(score_distribution(scores, flagged, primary.threshold, findings.flips)),
        trajectories=markup(trajectories(findings.trace, flagged)),
        clusters=_clusters(findings),
        weights=_weights(findings),
        matrix=_shaded(matrix) if len(matrix) <= LISTED else None,
        confusions=largest_confusions(matrix, examples),
        rates=rates,
        widest=max(max(rate.share, rate.wrong or 0.0) for rate in rates) or 1.0,
        agreement=_agreement(findings),
        settings=text.flattened(summary["settings"]),
        skipped=[text.shown(line, limit=300) for line in summary["data"]["skipped"][:_SKIPPED]],
        colours={"flagged": FLAGGED, "kept": KEPT},
    )


def _clusters(findings: Findings) -> ClusterPictures | None:
    """DynaCor's charts, where it ran, with their drawings as markup."""
    drawn = [found for one in findings.detections.values() if (found := cluster_pictures(one)) is not None]
    if not drawn:
        return None
    charts = {name: markup(getattr(drawn[0], name)) for name in ("plane", "metric", "dynamics")}
    return drawn[0]._replace(**charts)


def _weights(findings: Findings) -> LearnedWeightsCharts | None:
    charts = learned_weights_charts(findings)
    if charts is None:
        return None
    return charts._replace(histograms=markup(charts.histograms), means=markup(charts.means))


def _shaded(matrix: np.ndarray) -> list[list[Shade]]:
    # The square root lets small entries show.
    top = max(int(matrix.max()), 1)
    return [
        [_shade(f"{value:,}" if value else "", np.sqrt(value / top), FLAGGED) for value in row]
        for row in matrix.tolist()
    ]


def _agreement(findings: Findings) -> tuple[tuple[str, ...], list[list[Shade]]] | None:
    """Overlap of flags above the diagonal, rank correlation below it; None for a single method."""
    if len(findings.detections) < 2:
        return None
    compared = agreement(findings.detections)
    cells = []
    for i in range(len(compared.methods)):
        row = []
        for j in range(len(compared.methods)):
            value = float((compared.overlap if j > i else compared.correlation)[i, j])
            known = np.isfinite(value) and i != j
            label = "" if i == j else text.percent(value, 0) if j > i else f"{value:.2f}" if known else "–"
            row.append(_shade(label, max(value, 0.0) if known else 0.0, KEPT))
        cells.append(row)
    return tuple(text.shown(name) for name in compared.methods), cells


def _shade(label: str, weight: float, colour: str) -> Shade:
    """White for weight 0 and ``colour`` for 1, with whichever of black and white text stands out more."""
    background = [round(255 + (int(colour[k : k + 2], 16) - 255) * weight) for k in (1, 3, 5)]
    light = _luminance(background)
    dark_ink = (light + 0.05) / (_luminance([0x1F, 0x23, 0x28]) + 0.05) > 1.05 / (light + 0.05)
    red, green, blue = background
    return Shade(label, f"#{red:02x}{green:02x}{blue:02x}", INK if dark_ink else "#ffffff")


def _luminance(channels: list[int]) -> float:
    """Relative luminance in [0, 1] of an sRGB colour (WCAG 2.2)."""
    shares = [channel / 255 for channel in channels]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
