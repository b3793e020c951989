"""A data set from a ``.csv`` file: numeric columns are the features, a column ``label`` the classes."""

import csv
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxnoisy import check
from jaxnoisy.data.dataset import Dataset, make
from jaxnoisy.data.errors import about

LABEL, CLEAN, ID = "label", "clean_label", "id"
_ROWS_AT_ONCE = 10_000


def read_table(path: str | os.PathLike[str]) -> Dataset:
    r"""Read a data set from a comma-separated file with one header line.

    The columns ``label``, and where they are present ``clean_label`` and ``id``, have their own meaning; every other
    column is a feature and must hold a finite number in every row. Labels that are all whole numbers (``3`` or
    ``3.0``) are class numbers from 0; any other labels are class names, numbered in sorted order.

    Args:
        path: UTF-8 text, quoted as in RFC 4180; blank lines do not count.

    Returns:
        The data set with (n, d) float32 inputs, in the order of the rows, named after the file.

    Raises:
        ValueError: an empty file, no ``label`` column or no feature, a column without a name or with another's, a row
            with too few or too many cells, a missing cell, or text where a number is expected. The message names the
            file, the line and the column.

    Cost: one pass over the file, ten thousand rows at a time; memory is that of the features, twice at the end, and
    of the labels and ids as text.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp(), "pets.csv")
        >>> _ = path.write_text("weight,length,label\n4.2,46,cat\n9.1,60,dog\n")
        >>> read_table(path).class_names
        ('cat', 'dog')
    """
    p = check.existing_file(path, name="csv file")
    with about(p):
        try:
            with open(p, encoding="utf-8-sig", newline="") as file:
                return _read(csv.reader(file, strict=True), name=Path(p).stem)
        except UnicodeDecodeError as error:
            raise ValueError(f"is not UTF-8 text (byte {error.start}): save it in UTF-8") from error
        except csv.Error as error:
            raise ValueError(f"is not well-formed comma-separated text: {error}") from error


def _read(reader: Any, *, name: str) -> Dataset:
    header = [cell.strip() for cell in next(reader, [])]
    _check_header(header)
    features = [j for j, column in enumerate(header) if column not in (LABEL, CLEAN, ID)]
    texts: dict[str, list[str]] = {column: [] for column in (LABEL, CLEAN, ID) if column in header}
    blocks = []
    for lines, rows in _blocks(reader, width=len(header)):
        for column, values in texts.items():
            j = header.index(column)
            values.extend(row[j].strip() for row in rows)
            _no_missing(values[-len(rows) :], lines, column)
        blocks.append(_numbers([[row[j] for j in features] for row in rows], lines, [header[j] for j in features]))
    if not blocks:
        raise ValueError("has a header and no rows: at least two examples are needed")
    labels, clean, names = _classes(texts[LABEL], texts.get(CLEAN))
    return make(
        np.concatenate(blocks),
        labels,
        class_names=names,
        ids=np.array(texts[ID]) if ID in texts else None,
        clean_labels=clean,
        name=name,
    )


def _check_header(header: list[str]) -> None:
    if not any(header):
        raise ValueError("is empty: expected a header line with the names of the columns, one of them 'label'")
    if "" in header:
        raise ValueError(
            f"column {header.index('') + 1} has no name. If it is the index that pandas writes, leave it out "
            "(index=False) or call it 'id': it would be taken for a feature"
        )
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise ValueError(f"column {twice[0]!r} stands there twice: give each column its own name")
    if LABEL not in header:
        raise ValueError(f"has no column 'label', only {', '.join(map(repr, header))}: name the column of labels so")
    if not set(header) - {LABEL, CLEAN, ID}:
        raise ValueError("has no feature column: every column but 'label', 'clean_label' and 'id' is a feature")


def _blocks(reader: Any, *, width: int) -> Iterator[tuple[list[int], list[list[str]]]]:
    """Yield line numbers and rows, some thousands at a time so that few cells are held as text."""

    def numbered() -> Iterator[tuple[int, list[str]]]:
        for row in reader:
            if not row:
                continue
            if len(row) != width:
                raise ValueError(f"line {reader.line_num} has {len(row)} cells where the header has {width}")
            yield reader.line_num, row

    rows = numbered()
    while block := list(itertools.islice(rows, _ROWS_AT_ONCE)):
        yield [line for line, _ in block], [row for _, row in block]


def _no_missing(values: Sequence[str], lines: Sequence[int], column: str) -> None:
    for value, line in zip(values, lines, strict=True):
        if value == "" or value.lower() == "nan":
            raise ValueError(f"line {line} has no value in column {column!r}: fill it in or leave the row out")


def _numbers(cells: list[list[str]], lines: Sequence[int], columns: Sequence[str]) -> np.ndarray:
    try:
        values = np.array(cells, dtype=np.float64)
    except ValueError:
        raise _not_numbers(cells, lines, columns) from None
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    bad = ~np.isfinite(single)
    if bad.any():
        i, j = np.argwhere(bad)[0]
        value = float(values[i, j])
        problem = "holds no value (NaN)" if np.isnan(value) else f"holds {value:g}, beyond the range of float32,"
        raise ValueError(
            f"line {lines[i]} {problem} in column {columns[j]!r}: fill it in or leave the row out "
            f"({int(bad.sum())} such cells among {len(cells)} rows)"
        )
    return single


def _not_numbers(cells: list[list[str]], lines: Sequence[int], columns: Sequence[str]) -> ValueError:
    text: dict[str, str] = {}
    for line, row in zip(lines, cells, strict=True):
        for column, cell in zip(columns, row, strict=True):
            if not cell.strip():
                return ValueError(f"line {line} has no value in column {column!r}: fill it in or leave the row out")
            if column not in text and not _is_number(cell):
                text[column] = f"{cell!r} in line {line}"
    found = ", ".join(f"{column!r} ({example})" for column, example in text.items())
    return ValueError(f"these columns are not numeric: {found}. Encode them as numbers or leave them out")


def _is_number(cell: str) -> bool:
    try:
        np.array([cell], dtype=np.float64)
    except ValueError:
        return False
    return True


def _classes(
    labels: list[str], clean: list[str] | None
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...] | None]:
    """Number the labels; the names are None where the labels are numbers already."""
    distinct = sorted(set(labels) | set(clean or ()))
    if all(re.fullmatch(r"[+-]?[0-9]+(\.0*)?", text) for text in distinct):
        numbers = {text: int(text.partition(".")[0]) for text in distinct}
        names = None
    elif all(_is_number(text) for text in distinct):
        odd = next(text for text in distinct if not float(text).is_integer())
        raise ValueError(f"label {odd!r} is a number, but not a whole one: labels are class numbers or class names")
    else:
        numbers = {text: k for k, text in enumerate(distinct)}
        names = tuple(distinct)

    def numbered(column: list[str]) -> np.ndarray:
        return np.array([numbers[text] for text in column], dtype=np.int64)

    return numbered(labels), None if clean is None else numbered(clean), names
