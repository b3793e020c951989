"""Checkpoints through Orbax: parameters, optimizer, batch statistics, trace and progress, whole or not at all."""

import contextlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from jaxnoisy import files
from jaxnoisy.types import PyTree

RUN_FILE = "run.json"


class Checkpoints:
    """The checkpoints of one run in one folder.

    A save becomes visible only when it is whole (Orbax renames it into place), so a run killed at any moment resumes
    from the last whole one. Only the newest is kept.

    Args:
        folder: made if it is not there.
        run: plain values that tell this run from another: settings and the data set's fingerprint.
        resume: go on with the run that the folder holds. Without it, a folder that holds a run is refused.

    Raises:
        ValueError: the folder holds a run and ``resume`` is not set, or it holds another run than ``run``.
    """

    def __init__(self, folder: files.PathLike, run: dict[str, Any], *, resume: bool = False) -> None:
        path = self._path = Path(os.path.abspath(folder))
        run_file = path / RUN_FILE
        if run_file.exists():
            if not resume:
                raise ValueError(f"{os.fspath(folder)!r} holds a run: resume it, or choose another folder")
            _same_run(files.read_json(run_file), files.plain(run), path)
        path.mkdir(parents=True, exist_ok=True)
        files.write_json(run_file, run)
        self._folder = os.fspath(folder)
        self._manager = ocp.CheckpointManager(path, options=ocp.CheckpointManagerOptions(max_to_keep=1))

    def latest(self) -> int | None:
        """Epochs done at the newest whole checkpoint; None where there is none."""
        return self._manager.latest_step()

    def save(self, epoch: int, state: PyTree) -> None:
        """Save ``state`` after ``epoch`` epochs. Copies it first, then writes while the caller goes on."""
        with _failed_write(self._path):
            self._manager.save(epoch, args=ocp.args.StandardSave(_without_keys(state)))

    def restore(self, like: PyTree) -> PyTree:
        """The newest checkpoint, with the structure, dtypes and shardings of ``like``."""
        shapes = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), _without_keys(like)
        )
        try:
            loaded = self._manager.restore(self._manager.latest_step(), args=ocp.args.StandardRestore(shapes))
        except ValueError as error:
            raise ValueError(f"{self._folder!r} holds the checkpoint of another network: {error}") from error
        return jax.tree.map(_with_key, like, loaded)

    def close(self) -> None:
        """Wait for writes under way and release the folder."""
        with _failed_write(self._path):
            try:
                self._manager.wait_until_finished()
            finally:
                self._manager.close()


def read_run(folder: files.PathLike) -> dict[str, Any]:
    """The plain values that tell a run from another, as it was begun with.

    Raises:
        ValueError: the folder holds no run, or its description cannot be read.
    """
    path = Path(folder) / RUN_FILE
    if not path.is_file():
        raise ValueError(f"{os.fspath(folder)!r} holds no checkpoints: there is no {RUN_FILE} in it")
    found = files.read_json(path)
    if not isinstance(found, dict):
        raise ValueError(f"{os.fspath(path)!r} does not describe a run: was it edited?")
    return found


def restore_part(folder: files.PathLike, like: dict[str, PyTree]) -> tuple[dict[str, PyTree], int]:
    """Read some fields of the newest checkpoint in a run's folder, the way they were saved, and nothing else of it.

    Args:
        folder: as given to :class:`Checkpoints`. Nothing is written there.
        like: by field of the saved state, a tree of arrays; the result has their shapes and dtypes, on one device.

    Returns:
        The fields, and the epochs done at that checkpoint.

    Raises:
        ValueError: there is no whole checkpoint, or it is another network's.
    """
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), _without_keys(like))
    options = ocp.CheckpointManagerOptions(create=False)
    with ocp.CheckpointManager(Path(os.path.abspath(folder)), options=options) as manager:
        step = manager.latest_step()
        if step is None:
            raise ValueError(
                f"{os.fspath(folder)!r} holds no whole checkpoint: the run ended before its first epoch did"
            )
        arguments = ocp.args.PyTreeRestore(
            item=shapes,
            restore_args=ocp.checkpoint_utils.construct_restore_args(shapes),
            partial_restore=True,
        )
        try:
            loaded = manager.restore(step, args=arguments)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise ValueError(
                f"{os.fspath(folder)!r} holds a checkpoint that cannot be read, or that of another network: {error}"
            ) from error
    same = jax.tree.map(lambda a, b: a.shape == b.shape, shapes, loaded)
    if not all(jax.tree.leaves(same)):
        raise ValueError(f"{os.fspath(folder)!r} holds the checkpoint of another network: its arrays differ in shape")
    return jax.tree.map(_with_key, like, loaded), step


@contextlib.contextmanager
def quiet_writers() -> Iterator[None]:
    """For a command line: hide what the threads of Orbax and TensorStore print when a write fails.

    The error itself is raised in the caller's thread too. After it they stay silent, since some of it comes late, up to
    the end of the process.
    """
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio", "concurrent.futures")]
    levels, hook = [logger.level for logger in loggers], sys.unraisablehook
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = lambda found: None if _is_late(found.exc_value) else hook(found)
    failed = False
    try:
        yield
    except OSError:
        failed = True
        raise
    finally:
        if not failed:
            sys.unraisablehook = hook
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)


def _is_late(error: BaseException | None) -> bool:
    return isinstance(error, RuntimeError) and str(error) == "Event loop is closed"


@contextlib.contextmanager
def _failed_write(path: Path) -> Iterator[None]:
    """Say as an OSError what Orbax's writers say in several ways, some of them a page long."""
    try:
        yield
    except (OSError, ValueError) as error:
        code = re.search(r"os_error_code='(\d+)'", str(error))
        number = int(code[1]) if code else getattr(error, "errno", None)
        if number is None:
            raise
        raise OSError(number, f"{os.strerror(number)} while writing a checkpoint", os.fspath(path)) from error


def _same_run(found: dict[str, Any], expected: dict[str, Any], path: Path) -> None:
    names = [name for name in sorted({*found, *expected}) if found.get(name) != expected.get(name)]
    if names:
        # All of them, since one that was chosen may bring others along, as a model brings its learning rate.
        told = "; ".join(f"{name} is {found.get(name)!r} there and {expected.get(name)!r} here" for name in names)
        raise ValueError(
            f"{os.fspath(path)!r} holds another run: {told}. Use the same settings and data to resume it, or choose "
            "another folder"
        )


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _with_key(like: Any, loaded: Any) -> Any:
    return jax.random.wrap_key_data(loaded, impl=jax.random.key_impl(like)) if _is_key(like) else loaded


def _without_keys(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, tree)
