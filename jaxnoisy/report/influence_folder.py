"""The folder that a run leaves behind that explained predictions: all of its files or none."""

from pathlib import Path

from jaxnoisy import files, influence
from jaxnoisy.influences import Influences
from jaxnoisy.report.influence_summary import summarize_influences
from jaxnoisy.report.influence_tables import write_influence, write_queries, write_self_influence
from jaxnoisy.report.staging import refuse_other_results, staged

INFLUENCE_FILES = (
    "influence.csv",
    "queries.csv",
    "self_influence.csv",
    "summary.json",
    "influence.npy",
    "report.html",
)
"""Every file that such a run may write into its folder."""


def write_influences(
    found: Influences, out: files.PathLike, *, report: bool = True, matrix: bool = False, overwrite: bool = False
) -> Path:
    """Write what was found into the folder ``out``, all files or none, as :func:`jaxnoisy.report.write` does.

    Args:
        found: n training examples, k queries.
        out: the folder; it and its parents are made where missing.
        report: also write ``report.html``.
        matrix: also write ``influence.npy``, the whole (n, k) matrix in float32: rows in the order of the training
            examples, columns in that of the queries. It is streamed to disk and never held.
        overwrite: replace the files of an earlier run in ``out``, including those that this run does not write.

    Returns:
        The path of the folder.

    Raises:
        ValueError: ``out`` is not a folder, or holds another run and ``overwrite`` is not set.
        OSError: the files could not be written.
    """
    refuse_other_results(out, INFLUENCE_FILES, overwrite=overwrite)
    with staged(out, INFLUENCE_FILES) as stage:
        described = summarize_influences(found)
        write_influence(stage / "influence.csv", found)
        write_queries(stage / "queries.csv", found)
        write_self_influence(stage / "self_influence.csv", found)
        files.write_json(stage / "summary.json", described)
        if matrix:
            influence.to_npy(stage / "influence.npy")(found.rows)
        if report:
            # Here, since matplotlib takes long to import and a run without a report has no use for it.
            from jaxnoisy.report.influence_page import render_influences

            files.write_text(stage / "report.html", render_influences(found, described, matrix=matrix))
    return Path(out)
