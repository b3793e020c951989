"""Queries with the training examples behind them, and the examples of highest self-influence, ready for the page."""

from typing import NamedTuple

import numpy as np

from jaxnoisy.data.dataset import Dataset
from jaxnoisy.influences import Influences
from jaxnoisy.report.strips import Strip, feature_strips
from jaxnoisy.report.text import number, shown
from jaxnoisy.report.thumbnails import Thumbnail, thumbnails

QUERIES = 12
"""How many queries the page shows."""

NEIGHBOURS = 10
"""How many helpful and how many harmful examples it shows of each."""

STRONGEST = 24
"""How many examples of highest self-influence it shows."""


class Example(NamedTuple):
    """One training example, or one query.

    Attributes:
        id: its name.
        given: class name it was given.
        predicted: class name that the model gives it.
        image: a thumbnail, for images.
        strip: bars, for features.
        wrong: whether its label is truly wrong, or None where the truth is not known.
        clean: the true class name where it is known, else "".
    """

    id: str
    given: str
    predicted: str
    image: Thumbnail | None
    strip: Strip | None
    wrong: bool | None
    clean: str


class Neighbour(NamedTuple):
    """A training example with its influence on a query.

    Attributes:
        example: the example.
        influence: formatted.
        share: of the largest magnitude among those shown with the query, the query itself apart, in percent.
        itself: whether it is the query.
        same: whether it was given the label that the query was given.
    """

    example: Example
    influence: str
    share: float
    itself: bool
    same: bool


class QueryCard(NamedTuple):
    """A query and the examples behind it.

    Attributes:
        query: the query.
        loss: formatted.
        helpful: at most ten, the most helpful first.
        harmful: at most ten, the most harmful first.
        solved: whether its system was solved to the tolerance.
    """

    query: Example
    loss: str
    helpful: list[Neighbour]
    harmful: list[Neighbour]
    solved: bool


class SelfCard(NamedTuple):
    """A training example by its self-influence, formatted; ``rank`` counts from 1."""

    rank: int
    example: Example
    value: str


def query_cards(found: Influences) -> list[QueryCard]:
    """The queries in their order; of more than twelve those of highest loss, the highest first."""
    chosen = np.arange(len(found))
    if len(chosen) > QUERIES:
        chosen = np.argsort(-found.losses, kind="stable")[:QUERIES]
    answers = [found.answer(q) for q in chosen.tolist()]
    rows = [at for a in answers for at in (a.helpful[:NEIGHBOURS], a.harmful[:NEIGHBOURS])]
    needed = np.unique(np.concatenate(rows))
    needed = needed[needed >= 0]
    known = dict(zip(needed.tolist(), _examples(found.dataset, needed, found.train_predictions, found.dataset)))
    queries = _examples(found.queries, chosen, found.predictions, found.dataset)
    converged = np.asarray(found.solution.converged)
    cards = []
    for q, answer, query in zip(chosen.tolist(), answers, queries):
        itself = -1 if found.query_rows is None else int(found.query_rows[q])
        others = np.concatenate([answer.helps, answer.harms])[
            np.concatenate([answer.helpful, answer.harmful]) != itself
        ]
        largest = float(np.nanmax(np.abs(others), initial=0.0)) or 1.0
        helpful, harmful = (
            [
                Neighbour(
                    example=known[row],
                    influence=_signed(value),
                    share=round(min(100 * abs(value) / largest, 100.0), 1),
                    itself=row == itself,
                    same=int(found.dataset.labels[row]) == answer.label,
                )
                for row, value in zip(at[:NEIGHBOURS].tolist(), values[:NEIGHBOURS].tolist())
                if row >= 0
            ]
            for at, values in ((answer.helpful, answer.helps), (answer.harmful, answer.harms))
        )
        cards.append(QueryCard(query, number(answer.loss), helpful, harmful, bool(converged[q])))
    return cards


def self_cards(found: Influences) -> list[SelfCard]:
    """The training examples of highest self-influence, at most 24."""
    rows = found.by_self_influence()[:STRONGEST]
    examples = _examples(found.dataset, rows, found.train_predictions, found.dataset)
    values = found.self_influence[rows].tolist()
    return [SelfCard(k + 1, example, number(value)) for k, (example, value) in enumerate(zip(examples, values))]


def _signed(value: float) -> str:
    return ("+" if value > 0 else "−" if value < 0 else "") + number(abs(value))


def _examples(data: Dataset, rows: np.ndarray, predictions: np.ndarray, like: Dataset) -> list[Example]:
    images: list[Thumbnail | None] = [None] * len(rows)
    strips: list[Strip | None] = [None] * len(rows)
    if data.is_images:
        images = list(thumbnails(data, rows, like=like))
    else:
        strips = list(feature_strips(data, rows, like=like))
    names, flips = [shown(name) for name in data.class_names], data.flips
    return [
        Example(
            id=shown(data.ids[row]),
            given=names[data.labels[row]],
            predicted=names[predictions[row]],
            image=images[place],
            strip=strips[place],
            wrong=None if flips is None else bool(flips[row]),
            clean="" if data.clean_labels is None else names[data.clean_labels[row]],
        )
        for place, row in enumerate(rows.tolist())
    ]
