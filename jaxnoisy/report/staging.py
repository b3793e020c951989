"""A folder of results that appears whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxnoisy import files


def refuse_other_results(out: files.PathLike, names: Sequence[str], *, overwrite: bool = False) -> None:
    """Refuse a folder that :func:`staged` should not write to; to be called before the work whose results go there.

    Args:
        out: the folder.
        names: the files that results may consist of.
        overwrite: whether those of an earlier run may be replaced.

    Raises:
        ValueError: ``out`` is not a folder, or holds another run and ``overwrite`` is not set.
    """
    target = Path(out)
    if os.path.lexists(target) and not target.is_dir():
        raise ValueError(f"the output {str(target)!r} exists and is not a folder: name a folder")
    found = [name for name in names if os.path.lexists(target / name)]
    if found and not overwrite:
        raise ValueError(
            f"the output folder {str(target)!r} already holds a run ({', '.join(found)}): "
            "name another folder, or move the old files away"
        )


@contextlib.contextmanager
def staged(out: files.PathLike, names: Sequence[str]) -> Iterator[Path]:
    """A temporary folder whose files become those of ``out`` when the block ends, and vanish when it fails.

    It lies on the same file system, and its files are renamed into place. Whatever fails before that, a full disk for
    instance, leaves ``out`` as it was. Of what is there already only ``names`` are replaced, or removed.

    Args:
        out: the folder; it and its parents are made where missing.
        names: the files that results may consist of.
    """
    target = Path(out)
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
            for name in names:
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
