"""The dropped examples, by what became of them, ready for the page."""

from typing import NamedTuple

import numpy as np

from jaxnoisy.repaired import Repaired
from jaxnoisy.report.strips import Strip, feature_strips
from jaxnoisy.report.text import percent, shown
from jaxnoisy.report.thumbnails import Thumbnail, thumbnails

SHOWN = 48
"""How many examples the page shows in all."""


class Card(NamedTuple):
    """One dropped example.

    Attributes:
        place: within its gallery, from 1.
        id: its name.
        given: class name it was given.
        cleaned: class name that the last classifier gives it.
        confidence: the classifier's probability of that, formatted.
        round: in which it was dropped.
        wrong: whether the given label is truly wrong, or None where the truth is not known.
        mended: whether the cleaned label is the true one, or None.
        clean: the true class name where it is known, else "".
        image: a thumbnail, for images.
        strip: bars, for features.
    """

    place: int
    id: str
    given: str
    cleaned: str
    confidence: str
    round: int
    wrong: bool | None
    mended: bool | None
    clean: str
    image: Thumbnail | None
    strip: Strip | None


class Gallery(NamedTuple):
    """Dropped examples of one fate.

    Attributes:
        fate: "relabelled" for those that are used again under another label, "restored" for those that are used again
            under their own, "left out" for the rest.
        total: how many there are.
        cards: of all, or of the most suspicious, the most suspicious first.
    """

    fate: str
    total: int
    cards: list[Card]


def galleries(found: Repaired) -> list[Gallery]:
    """The dropped examples by their fates, in the order above; fates that befell none are left out."""
    order = found.by_suspicion()
    order = order[found.removed[order]]
    fates = {
        "relabelled": found.used & found.changed,
        "restored": found.used & ~found.changed,
        "left out": ~found.used,
    }
    rows = {fate: order[chosen[order]] for fate, chosen in fates.items() if chosen[order].any()}
    return [Gallery(fate, len(at), _cards(found, at[: SHOWN // len(rows)])) for fate, at in rows.items()]


def _cards(found: Repaired, rows: np.ndarray) -> list[Card]:
    data, names = found.dataset, [shown(name) for name in found.dataset.class_names]
    images: list[Thumbnail | None] = [None] * len(rows)
    strips: list[Strip | None] = [None] * len(rows)
    if data.is_images:
        images = list(thumbnails(data, rows))
    else:
        strips = list(feature_strips(data, rows))
    clean = data.clean_labels
    return [
        Card(
            place=place + 1,
            id=shown(data.ids[row]),
            given=names[data.labels[row]],
            cleaned=names[found.labels[row]],
            confidence=percent(float(found.confidence[row]), 0),
            round=int(found.removed_in[row]),
            wrong=None if clean is None else bool(clean[row] != data.labels[row]),
            mended=None if clean is None else bool(clean[row] == found.labels[row]),
            clean="" if clean is None else names[clean[row]],
            image=images[place],
            strip=strips[place],
        )
        for place, row in enumerate(rows.tolist())
    ]
