"""The folder a run leaves behind: all of its files or none."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jaxnoisy import files
from jaxnoisy.findings import Findings
from jaxnoisy.report.detections import write_detections
from jaxnoisy.report.issues import rank_issues, write_issues
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
    with _staged(target) as stage:
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
    target = Path(out)
    if os.path.lexists(target) and not target.is_dir():
        raise ValueError(f"the output {str(target)!r} exists and is not a folder: name a folder")
    found = [name for name in FILES if os.path.lexists(target / name)]
    if found and not overwrite:
        raise ValueError(
            f"the output folder {str(target)!r} already holds a run ({', '.join(found)}): "
            "name another folder, or move the old files away"
        )


@contextlib.contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """A temporary folder whose files become those of ``target`` when the block ends, and vanish when it fails."""
    # On failure the steps are undone last first: moves, then the temporary folder, then the parents.
    with contextlib.ExitStack() as undo:
        _make_parents(target, undo)
        exists = target.is_dir()
        # Inside a folder that exists, since it may be a mount point; beside one that does not, to become it.
        place = Path(tempfile.mkdtemp(prefix=".jaxnoisy-", suffix=".partial", dir=target if exists else target.parent))
        undo.callback(shutil.rmtree, place, ignore_errors=True)
        stage, old = place / "new", place / "old"
        stage.mkdir()
        yield stage
        if exists:
            old.mkdir()
            for name in FILES:
                if os.path.lexists(target / name):
                    _move(target / name, old / name, undo)
            for file in sorted(stage.iterdir()):
                _move(file, target / file.name, undo)
        else:
            os.rename(stage, target)
        undo.pop_all()
    shutil.rmtree(place, ignore_errors=True)


def _move(source: Path, target: Path, undo: contextlib.ExitStack) -> None:
    os.rename(source, target)
    undo.callback(os.rename, target, source)


def _make_parents(target: Path, undo: contextlib.ExitStack) -> None:
    missing = [folder for folder in target.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir()
        undo.callback(_remove_if_empty, folder)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
