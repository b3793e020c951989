"""The folder a run leaves behind: all of its files or none."""

from pathlib import Path

from jaxnoisy import files
from jaxnoisy.findings import Findings
from jaxnoisy.report.detections import write_detections
from jaxnoisy.report.issues import rank_issues, write_issues
from jaxnoisy.report.staging import refuse_other_results, staged
from jaxnoisy.report.summary import summarize

FILES = ("issues.csv", "summary.json", "detections.npz", "trace.npz", "report.html")
"""Every file that a run may write into its folder."""


def write(
    findings: Findings, out: files.PathLike, *, report: bool = True, trace: bool = True, overwrite: bool = False
) -> Path:
    """Write what was found into the folder ``out``, all files or none.

    Everything is written, and forced to disk, in a temporary folder on the same file system and then renamed into
    place. Whatever fails before that, a full disk for instance, leaves ``out`` as it was; other files in ``out`` are
    never touched.

    Args:
        findings: of n examples.
        out: the folder; it and its parents are made where missing.
        report: also write ``report.html``.
        trace: also write ``trace.npz``.
        overwrite: replace the files of an earlier run in ``out``, including those that this run does not write.

    Returns:
        The path of the folder, which then holds ``issues.csv``, ``summary.json``, ``detections.npz`` and what was
        asked for.

    Raises:
        ValueError: ``out`` is not a folder, or holds another run and ``overwrite`` is not set.
        OSError: the files could not be written.
    """
    target = Path(out)
    refuse_other_run(target, overwrite=overwrite)
    with staged(target, FILES) as stage:
        suggested = findings.suggested()
        described = summarize(findings)
        write_issues(stage / "issues.csv", rank_issues(findings, suggested))
        files.write_json(stage / "summary.json", described)
        write_detections(stage / "detections.npz", findings)
        if trace:
            findings.trace.save(stage / "trace.npz")
        if report:
            # Here, since matplotlib takes long to import and a run without a report has no use for it.
            from jaxnoisy.report.page import render_page

            files.write_text(stage / "report.html", render_page(findings, described, suggested))
    return target


def refuse_other_run(out: files.PathLike, *, overwrite: bool = False) -> None:
    """Refuse a folder that :func:`write` would refuse; to be called before the work whose results go there.

    Raises:
        ValueError: ``out`` is not a folder, or holds another run and ``overwrite`` is not set.
    """
    refuse_other_results(out, FILES, overwrite=overwrite)
