"""The folder that a repair leaves behind: all of its files or none."""

from pathlib import Path

from jaxnoisy import files
from jaxnoisy.repaired import Repaired
from jaxnoisy.report.repair_arrays import write_scores
from jaxnoisy.report.repair_summary import summarize_repair
from jaxnoisy.report.repair_tables import write_labels, write_rounds
from jaxnoisy.report.staging import refuse_other_results, staged

REPAIR_FILES = ("labels.csv", "rounds.csv", "summary.json", "scores.npz", "report.html")
"""Every file that a repair writes into its folder, beside the checkpoints of its models."""


def write_repair(found: Repaired, out: files.PathLike, *, report: bool = True, overwrite: bool = False) -> Path:
    """Write what a repair came to into the folder ``out``, all files or none, as :func:`jaxnoisy.report.write` does.

    Whatever else lies in ``out``, such as ``checkpoints``, is left as it is. A repair in one pass has no
    ``rounds.csv``, and a page of its own.

    Args:
        found: n training examples.
        out: the folder; it and its parents are made where missing.
        report: also write ``report.html``.
        overwrite: replace the files of an earlier repair in ``out``, including those that this one does not write.

    Returns:
        The path of the folder.

    Raises:
        ValueError: ``out`` is not a folder, or holds another repair and ``overwrite`` is not set.
        OSError: the files could not be written.
    """
    refuse_other_results(out, REPAIR_FILES, overwrite=overwrite)
    with staged(out, REPAIR_FILES) as stage:
        described = summarize_repair(found)
        write_labels(stage / "labels.csv", found)
        if found.rounds:
            write_rounds(stage / "rounds.csv", found)
        files.write_json(stage / "summary.json", described)
        write_scores(stage / "scores.npz", found)
        if report:
            # Here, since matplotlib takes long to import and a run without a report has no use for it.
            from jaxnoisy.report.repair_page import render_repair
            from jaxnoisy.report.retrain_page import render_retrained

            render = render_repair if found.rounds else render_retrained
            files.write_text(stage / "report.html", render(found, described))
    return Path(out)
