"""The methods side by side: the rows of the comparison, and the table that the terminal shows."""

import io
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

TITLES = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "precision_at_95_recall": "precision at 95 % recall",
    "f1": "F1",
    "fdr": "FDR",
    "recall": "recall",
    "flagged": "flagged",
    "flagged_share": "share",
    "threshold": "threshold",
}
"""What the columns of the comparison are called where people read them."""

_STACKED = {
    "ROC AUC": "ROC\nAUC",
    "average precision": "average\nprecision",
    "precision at 95 % recall": "precision\nat 95 %\nrecall",
}
_MEASURES = ("roc_auc", "average_precision", "precision_at_95_recall", "f1", "fdr", "recall")


class Cell(NamedTuple):
    """One entry of the comparison: its text, and whether no other method does better in its column."""

    text: str
    best: bool


class Comparison(NamedTuple):
    """The methods side by side.

    Attributes:
        columns: titles of the columns after the method's name.
        rows: by method, one cell per column.
        primary: the method that the ranking follows.
    """

    columns: tuple[str, ...]
    rows: dict[str, tuple[Cell, ...]]
    primary: str


def comparison(summary: Mapping[str, Any]) -> Comparison:
    """Lay the methods of a summary side by side.

    Args:
        summary: from :func:`jaxnoisy.report.summarize`, fresh or read back from ``summary.json``.

    Returns:
        The measures and the number flagged where the truth is known; otherwise the number and share flagged and the
        threshold. A measure that is not defined shows as a dash.
    """
    measured = bool(summary["metrics"])
    keys = (*_MEASURES, "flagged") if measured else ("flagged", "flagged_share", "threshold")
    values = {
        name: [{**method, **summary["metrics"].get(name, {})}[key] for key in keys]
        for name, method in summary["methods"].items()
    }
    # Who flags nothing has no false discoveries, which is no merit.
    rated = {
        name: [None if key == "fdr" and not summary["methods"][name]["flagged"] else v for key, v in zip(keys, row)]
        for name, row in values.items()
    }
    best = [_best(key, column) for key, column in zip(keys, zip(*rated.values()))]
    rows = {
        name: tuple(
            Cell(_formatted(key, v), judged is not None and judged == top)
            for key, v, judged, top in zip(keys, row, rated[name], best)
        )
        for name, row in values.items()
    }
    return Comparison(tuple(TITLES[key] for key in keys), rows, summary["primary"])


def rich_table(summary: Mapping[str, Any]) -> Table:
    """The comparison for a ``rich`` console: an asterisk marks the primary method, bold the best values."""
    compared = comparison(summary)
    # Narrow gaps and stacked titles: all measures of methods with names of 18 letters fit a terminal of 80 columns.
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption="* the ranking in issues.csv follows this method",
        caption_justify="left",
    )
    table.add_column("method", vertical="bottom", no_wrap=True, overflow="ellipsis", max_width=28)
    for title in compared.columns:
        table.add_column(_STACKED.get(title, title), justify="right", vertical="bottom", no_wrap=True)
    for name, cells in compared.rows.items():
        # Text, not str: a name in square brackets is not markup.
        mark = "*" if name == compared.primary else ""
        table.add_row(Text(name + mark), *(Text(cell.text, style="bold" if cell.best else "") for cell in cells))
    return table


def plain_table(summary: Mapping[str, Any], *, width: int = 110) -> str:
    """The comparison as plain text of at most ``width`` columns, for logs and files."""
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, legacy_windows=False).print(rich_table(summary))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n") + "\n"


def _best(key: str, column: tuple[Any, ...]) -> float | None:
    known = [v for v in column if v is not None and math.isfinite(v)]
    if key not in _MEASURES or len(known) < 2:
        return None
    return min(known) if key == "fdr" else max(known)


def _formatted(key: str, value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    if key == "flagged":
        return f"{value:,}"
    if key == "flagged_share":
        return f"{100 * value:.1f} %"
    return f"{value:.4g}" if key == "threshold" else f"{value:.3f}"
