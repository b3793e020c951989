"""What the commands that detect share: which methods to run, and how their findings are shown."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxnoisy.findings import Findings


def chosen_methods(
    text: str, known: tuple[str, ...], *, everything: tuple[str, ...], default: tuple[str, ...]
) -> tuple[str, ...]:
    """The methods that ``a,b`` names, once each and in order; "all" stands for ``everything``."""
    from jaxnoisy.check import one_of

    names: list[str] = []
    for part in text.split(",") if text else default:
        name = one_of(part.strip(), (*known, "all"), name="--method")
        names += everything if name == "all" else [name]
    return tuple(dict.fromkeys(names))


def finish(findings: "Findings", out: Path, *, trace: bool = True, overwrite: bool = False) -> None:
    """Write the folder of results and print the comparison."""
    from rich.console import Console

    from jaxnoisy import report

    report.write(findings, out, trace=trace, overwrite=overwrite)
    Console().print(report.rich_table(report.summarize(findings)))
    flagged = int(findings.detections[findings.primary].flagged.sum())
    print(f"{flagged} of {len(findings)} labels flagged by {findings.primary}; report: {out / 'report.html'}")
