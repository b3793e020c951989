"""A progress bar for training: epochs, rate and time left; nothing where no one is watching."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from jaxnoisy.audit import Progress as OnEpoch
    from jaxnoisy.training import EpochReport


@contextlib.contextmanager
def epoch_bar() -> Iterator["OnEpoch"]:
    """Yield a callback for :func:`jaxnoisy.audit.audit` that draws one bar per run on standard error."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs  {task.fields[rate]}  {task.fields[state]}"),
        TimeRemainingColumn(),
    )
    # Not console.is_terminal: that is true of a log file too where FORCE_COLOR asks for colours.
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        tasks: dict[str, object] = {}

        def on_epoch(name: str, report: "EpochReport", epochs: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(f"train {name}", total=epochs, rate="", state="")
            bar.update(
                tasks[name],  # type: ignore[arg-type]
                completed=report.epoch,
                rate=f"{report.examples / report.seconds:,.0f} examples/s",
                state=f"loss {report.loss:.3f}  accuracy {report.accuracy:.1%}",
            )

        yield on_epoch
