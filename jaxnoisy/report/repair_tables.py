"""The tables of a repair: every training example under its given and its cleaned label, and every round."""

import math
from collections.abc import Iterator

from jaxnoisy import files
from jaxnoisy.repaired import Repaired
from jaxnoisy.report.cells import write_cells

LABELS = (
    "id", "given_label", "cleaned_label", "changed", "used", "removed_in_round", "confidence", "score",
)  # fmt: skip
ROUNDS = (
    "round", "accepted", "reason", "removed", "kept", "validation_before", "validation_after", "noise_before",
    "noise_after", "precision", "recall",
)  # fmt: skip
_BLOCK = 1 << 16


def write_labels(path: files.PathLike, found: Repaired) -> None:
    """Write ``labels.csv``: one row per training example, in their order.

    ``changed`` says whether the cleaned label is another than the given one, ``used`` whether the last model was
    trained on the example, ``removed_in_round`` which round dropped it for good (0: none). Where the truth is known,
    ``true_label`` follows. Text is guarded against spreadsheets as in ``issues.csv``; numbers read back as they were.
    """
    names = found.dataset.class_names
    truth = [] if found.dataset.clean_labels is None else [found.dataset.clean_labels]
    columns = [found.dataset.ids, found.dataset.labels, found.labels, found.changed, found.used, found.removed_in]
    columns += [found.confidence, found.scores, *truth]

    def rows() -> Iterator[tuple[object, ...]]:
        for start in range(0, len(found), _BLOCK):
            block = (column[start : start + _BLOCK].tolist() for column in columns)
            for name, given, cleaned, changed, used, removed, confidence, score, *true in zip(*block):
                numbers = changed, used, removed, _number(confidence), _number(score)
                yield (name, names[given], names[cleaned], *numbers, *(names[label] for label in true))

    write_cells(path, (*LABELS, "true_label") if truth else LABELS, rows())


def write_rounds(path: files.PathLike, found: Repaired) -> None:
    """Write ``rounds.csv``: what each round dropped or tried to, what came of it, and how long it took.

    Further accuracies of the rounds' models follow as columns of their names, such as ``test``, and then the seconds by
    part, such as ``train_seconds``. What is not known or was not measured is left empty.
    """
    measures = list(dict.fromkeys(name for info in found.rounds for name in info.measures))
    parts = list(dict.fromkeys(name for info in found.rounds for name in info.seconds))
    rows = (
        (
            info.round,
            bool(info.accepted),
            info.reason,
            len(info.removed),
            info.kept,
            *map(_number, (info.accuracy_before, info.accuracy_after, info.noise_before, info.noise_after)),
            *map(_number, (info.precision, info.recall)),
            *(_number(info.measures.get(name)) for name in measures),
            *(_number(info.seconds.get(name)) for name in parts),
        )
        for info in found.rounds
    )
    write_cells(path, (*ROUNDS, *measures, *(f"{name}_seconds" for name in parts)), rows)


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
