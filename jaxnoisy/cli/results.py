"""How the commands that detect show their findings."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxnoisy.findings import Findings


def finish(findings: "Findings", out: Path, *, trace: bool = True, overwrite: bool = False) -> None:
    """Write the folder of results and print the comparison."""
    from rich.console import Console

    from jaxnoisy import report

    report.write(findings, out, trace=trace, overwrite=overwrite)
    Console().print(report.rich_table(report.summarize(findings)))
    flagged = int(findings.detections[findings.primary].flagged.sum())
    print(f"{flagged} of {len(findings)} labels flagged by {findings.primary}; report: {out / 'report.html'}")
