"""``issues.csv``: one row per example, the most suspicious first."""

import csv
import functools
from typing import IO, NamedTuple

import numpy as np

from jaxnoisy import check, files
from jaxnoisy.detect.detection import ranking
from jaxnoisy.findings import Findings
from jaxnoisy.report.cells import cell, text_of

_BLOCK = 1 << 16


class Issues(NamedTuple):
    """The columns of ``issues.csv``, each of shape (n,), most suspicious first.

    Attributes:
        id: text, the example's name.
        given_label: text, the class name it was given.
        suggested_label: text, the class name it might rather have.
        score: float64 of the primary method; higher = more suspicious.
        rank: int64, 1 for the most suspicious.
        flagged: bool, the primary method's decision. Flagged examples stand before all others.
    """

    id: np.ndarray
    given_label: np.ndarray
    suggested_label: np.ndarray
    score: np.ndarray
    rank: np.ndarray
    flagged: np.ndarray


COLUMNS = Issues._fields


def rank_issues(findings: Findings, suggested: np.ndarray | None = None) -> Issues:
    """Rank the examples by the primary method.

    Args:
        findings: n examples.
        suggested: (n,) int class numbers, where they are known already; by default ``findings.suggested()``.

    Returns:
        :class:`Issues`. Cost: one sort of n.
    """
    detection = findings.detections[findings.primary]
    order = ranking(detection)
    names = np.asarray(findings.class_names)
    labels = findings.suggested() if suggested is None else suggested
    return Issues(
        id=findings.ids[order],
        given_label=names[findings.labels[order]],
        suggested_label=names[labels[order]],
        score=np.asarray(detection.scores, np.float64)[order],
        rank=np.arange(1, len(order) + 1),
        flagged=np.asarray(detection.flagged, bool)[order],
    )


def write_issues(path: files.PathLike, table: Issues) -> None:
    r"""Write the table as UTF-8 CSV with a header and ``\n`` line ends, whole or not at all.

    Scores are written so that reading them gives the same float64. Text that a spreadsheet would run as a formula (it
    starts with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return, and is not a plain number) gets one apostrophe
    in front, the spreadsheets' own mark for text; :func:`read_issues` takes it off again. Bytes of file names that are
    not text (lone surrogates) are written as ``\udcff``.
    """
    with files.whole_file(path) as file:
        _write_rows(file, table)


def _write_rows(file: IO[bytes], table: Issues) -> None:
    label = functools.cache(cell)
    file.write((",".join(COLUMNS) + "\n").encode())
    for start in range(0, len(table.id), _BLOCK):
        block = (column[start : start + _BLOCK].tolist() for column in table)
        text = "".join(
            f"{cell(name)},{label(given)},{label(other)},{score!r},{rank},{'true' if flagged else 'false'}\n"
            for name, given, other, score, rank, flagged in zip(*block)
        )
        file.write(text.encode("utf-8", "backslashreplace"))


def read_issues(path: files.PathLike) -> Issues:
    """Read a table that :func:`write_issues` wrote; ids and class names come back as they were.

    Raises:
        ValueError: not such a table, or a row that cannot be read.
    """
    name = check.existing_file(path, name="table of issues")
    with open(name, encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if tuple(header) != COLUMNS:
            raise ValueError(f"{name!r} has the columns {header}, expected {list(COLUMNS)}: is it an issues.csv?")
        try:
            parsed = [_parsed(row) for row in rows]
        except (ValueError, KeyError, csv.Error) as error:
            raise ValueError(f"{name!r}, line {rows.line_num}, cannot be read: {error}") from error
    ids, given, suggested, score, rank, flagged = zip(*parsed) if parsed else ((),) * len(COLUMNS)
    return Issues(
        id=np.array(ids, np.str_),
        given_label=np.array(given, np.str_),
        suggested_label=np.array(suggested, np.str_),
        score=np.array(score, np.float64),
        rank=np.array(rank, np.int64),
        flagged=np.array(flagged, bool),
    )


def _parsed(row: list[str]) -> tuple[str, str, str, float, int, bool]:
    if len(row) != len(COLUMNS):
        raise ValueError(f"it has {len(row)} cells, expected {len(COLUMNS)}")
    name, given, suggested = map(text_of, row[:3])
    if row[5] not in ("true", "false"):
        raise ValueError(f"flagged must be true or false, but is {row[5]!r}")
    return name, given, suggested, float(row[3]), int(row[4]), row[5] == "true"
