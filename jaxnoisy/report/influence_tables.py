"""The tables of influence: the extremes of every query, the queries themselves, and every example's self-influence."""

from collections.abc import Iterator

import numpy as np

from jaxnoisy import files
from jaxnoisy.influences import Influences
from jaxnoisy.report.cells import write_cells

INFLUENCE = ("query_id", "query_label", "kind", "rank", "train_id", "train_label", "influence")
QUERIES = ("query_id", "query_label", "predicted_label", "loss", "residual")
SELF_INFLUENCE = ("train_id", "train_label", "predicted_label", "self_influence", "rank")
_BLOCK = 1 << 16


def write_influence(path: files.PathLike, found: Influences) -> None:
    """Write ``influence.csv``: for each query in turn its helpful and then its harmful examples, rank 1 first.

    Text is guarded against spreadsheets as in ``issues.csv``; numbers read back as the same floats.
    """
    write_cells(path, INFLUENCE, _influence_rows(found))


def write_queries(path: files.PathLike, found: Influences) -> None:
    """Write ``queries.csv``: each query's given and predicted label, loss, and relative residual of its solution."""
    data, names = found.queries, found.class_names
    rows = (
        (str(data.ids[q]), names[a.label], names[a.prediction], a.loss, a.residual)
        for q, a in ((q, found.answer(q)) for q in range(len(found)))
    )
    write_cells(path, QUERIES, rows)


def write_self_influence(path: files.PathLike, found: Influences) -> None:
    """Write ``self_influence.csv``: one row per training example, the highest self-influence first."""
    data, names = found.dataset, found.class_names
    order = found.by_self_influence()

    def rows() -> Iterator[tuple[object, ...]]:
        for start in range(0, len(order), _BLOCK):
            part = order[start : start + _BLOCK]
            columns = (data.ids[part], data.labels[part], found.train_predictions[part], found.self_influence[part])
            for place, (name, label, prediction, value) in enumerate(zip(*(a.tolist() for a in columns)), start + 1):
                yield name, names[label], names[prediction], value, place

    write_cells(path, SELF_INFLUENCE, rows())


def _influence_rows(found: Influences) -> Iterator[tuple[object, ...]]:
    ids, labels, names = found.dataset.ids, found.dataset.labels, found.class_names
    for q in range(len(found)):
        answer = found.answer(q)
        query = str(found.queries.ids[q]), names[answer.label]
        for kind, at, values in (
            ("helpful", answer.helpful, answer.helps),
            ("harmful", answer.harmful, answer.harms),
        ):
            for place, (row, value) in enumerate(zip(at.tolist(), np.asarray(values).tolist()), 1):
                if row >= 0:
                    yield *query, kind, place, str(ids[row]), names[labels[row]], value
