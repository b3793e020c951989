"""Text in the cells of a CSV file, safe in spreadsheets, and back."""

import functools
import itertools
import re
from collections.abc import Iterable, Sequence

from jaxnoisy import files

_NEEDS_QUOTES = re.compile(r'[",\r\n]')
# What a spreadsheet would run as a formula, with any apostrophes already before it.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z")


def cell(text: str) -> str:
    """Text as a cell; what a spreadsheet would run as a formula gets one apostrophe in front.

    Example:
        >>> cell("a,b"), cell("=1+1"), cell("-1.5")
        ('"a,b"', "'=1+1", '-1.5')
    """
    # The csv module leaves a lone carriage return unquoted under "\n" line ends before Python 3.13.
    if _FORMULA.match(text) and not _NUMBER.match(text):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text


def text_of(cell: str) -> str:
    """The text of a cell, after a CSV reader has taken its quotes off."""
    return cell[1:] if _GUARDED.match(cell) else cell


def write_cells(path: files.PathLike, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    r"""Write a table as UTF-8 CSV with a header, whole or not at all.

    Text goes through :func:`cell`, numbers read back as the same numbers, truth values are ``true`` and ``false``,
    and None is an empty cell. Bytes of file names that are not text (lone surrogates) are written as ``\udcff``.
    """
    text = functools.lru_cache(maxsize=1 << 16)(cell)

    def written(value: object) -> str:
        if isinstance(value, str):
            return text(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        return "" if value is None else repr(value)

    with files.whole_file(path) as file:
        for row in itertools.chain([columns], rows):
            file.write((",".join(map(written, row)) + "\n").encode("utf-8", "backslashreplace"))
