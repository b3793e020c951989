"""Traces from the command line: of a finished ``detect``, or on their own."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from jaxnoisy.dynamics import Trace


def read_trace(name: str) -> tuple["Trace", "np.ndarray | None"]:
    """The trace that a path names, and the flips that stand beside it.

    Args:
        name: a trace file, the folder of a spilled trace, or the folder of a finished ``jaxnoisy detect``.

    Returns:
        The trace, and (n,) bool flips; None where nothing says which labels are wrong.

    Raises:
        ValueError: it is none of these.
    """
    from jaxnoisy import dynamics
    from jaxnoisy.dynamics.trace import HEADER_FILE
    from jaxnoisy.report import read_flips

    folder = Path(name)
    if not folder.is_dir() or (folder / HEADER_FILE).exists():
        return dynamics.load(name), None
    if not (folder / "trace.npz").exists():
        raise ValueError(f"{name!r} is a folder without trace.npz: it holds no finished jaxnoisy detect, nor a trace")
    return dynamics.load(folder / "trace.npz"), read_flips(folder / "detections.npz")
