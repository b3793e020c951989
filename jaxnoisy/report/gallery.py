"""The most suspicious examples, as the cards (or, without a data set, the rows) at the top of the page."""

from typing import NamedTuple

import numpy as np

from jaxnoisy.detect.detection import ranking
from jaxnoisy.findings import Findings
from jaxnoisy.report.strips import Strip, feature_strips, sparklines
from jaxnoisy.report.text import number, shown
from jaxnoisy.report.thumbnails import Thumbnail, thumbnails

SIZE = 48
"""How many examples the page shows."""


class Card(NamedTuple):
    """One example.

    Attributes:
        rank: from 1.
        id: its name.
        given: class name it was given.
        suggested: class name it might rather have; the given one where none is suggested.
        score: of the primary method, formatted.
        flagged: the primary method's decision.
        wrong: whether the label is truly wrong, or None where the truth is not known.
        clean: the true class name where it is known, else "".
        image: a thumbnail, for images.
        strip: bars, for features.
        line: the trajectory's polyline, or "" for a single epoch.
    """

    rank: int
    id: str
    given: str
    suggested: str
    score: str
    flagged: bool
    wrong: bool | None
    clean: str
    image: Thumbnail | None
    strip: Strip | None
    line: str


def cards(findings: Findings, suggested: np.ndarray) -> list[Card]:
    """The cards of the most suspicious examples by the primary method, at most 48.

    Args:
        findings: of n examples.
        suggested: (n,) int class numbers.
    """
    detection = findings.detections[findings.primary]
    rows = ranking(detection)[:SIZE]
    data, names = findings.dataset, [shown(name) for name in findings.class_names]
    ids = findings.ids[rows]
    images: list[Thumbnail | None] = [None] * len(rows)
    strips: list[Strip | None] = [None] * len(rows)
    if data is not None and data.is_images:
        images = list(thumbnails(data, rows))
    elif data is not None:
        strips = list(feature_strips(data, rows))
    lines = sparklines(findings.trace, rows) if findings.trace.epochs > 1 else [""] * len(rows)
    clean = None if data is None else data.clean_labels
    return [
        Card(
            rank=place + 1,
            id=shown(ids[place]),
            given=names[findings.labels[row]],
            suggested=names[suggested[row]],
            score=number(float(detection.scores[row])),
            flagged=bool(detection.flagged[row]),
            wrong=None if findings.flips is None else bool(findings.flips[row]),
            clean="" if clean is None else names[clean[row]],
            image=images[place],
            strip=strips[place],
            line=lines[place],
        )
        for place, row in enumerate(rows.tolist())
    ]
