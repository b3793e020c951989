"""Folders for results: found, checked before any work, and left clean."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path


def checkpoints(out: Path) -> Path:
    """Where ``detect`` keeps its checkpoints."""
    return out / "checkpoints"


def free_folder(name: str) -> Path:
    """``name``, or ``name-2``, ``name-3``, ... where it is taken."""
    number = 1
    while (path := Path(name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return path


def claim(out: Path, names: Sequence[str] | None = None, *, overwrite: bool = False) -> None:
    """Refuse a folder that the results could not be written to, before the work is done.

    Args:
        out: the folder.
        names: the files that results consist of; by default those of findings.
        overwrite: whether those of an earlier run may be replaced.
    """
    from jaxnoisy import report

    report.refuse_other_results(out, report.FILES if names is None else names, overwrite=overwrite)
    writable(out, made=True)


def writable(folder: Path, *, made: bool) -> None:
    """Refuse a folder that cannot be written to; with ``made``, it and its parents may still have to be made."""
    there = folder
    while made and not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        what = "is not a folder" if os.path.lexists(there) else "does not exist"
        raise ValueError(f"--out cannot be written: {str(there)!r} {what}; name another")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"--out cannot be written: no permission to write in {str(there)!r}; name another folder")


@contextlib.contextmanager
def nothing_left_by_bad_input(out: Path) -> Iterator[None]:
    """Remove the checkpoints of a new run that could not go on in any case; what can be resumed stays."""
    missing = [folder for folder in (out, *out.parents) if not folder.exists()]
    new = not checkpoints(out).exists()
    try:
        yield
    except (ValueError, TypeError, FloatingPointError):
        if new:
            shutil.rmtree(checkpoints(out), ignore_errors=True)
            with contextlib.suppress(OSError):
                for folder in missing:
                    folder.rmdir()
        raise
