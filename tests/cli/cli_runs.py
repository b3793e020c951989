"""Calls of the command line inside this process, and small data to call it on."""

import contextlib
import io
import shlex
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxnoisy.cli import main

N, C = 60, 3
LABELS = (np.arange(N) % C).astype(np.int64)
FEATURES = np.random.default_rng(0).normal(size=(N, 5)).astype(np.float32) + LABELS[:, None]
GIVEN = np.where(np.arange(N) < 6, (LABELS + 1) % C, LABELS)


class Run(NamedTuple):
    code: int
    out: str
    err: str


def run(line: str) -> Run:
    """``jaxnoisy LINE`` with exit code, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(shlex.split(line))
        except SystemExit as left:
            code = left.code
    return Run(code, out.getvalue(), err.getvalue())


def done(line: str) -> str:
    """Run what must succeed, in silence on standard error; returns its standard output."""
    result = run(line)
    assert result.code == 0, result
    assert result.err == ""
    return result.out


def refused(line: str, *, code: int = 2) -> str:
    """Run what must fail with one line and leave every file below the current folder as it was; returns the line."""
    before = contents()
    result = run(line)
    assert result.code == code, result
    assert result.err.count("\n") == 1, result.err
    assert result.err.startswith("jaxnoisy")
    assert "error: " in result.err
    assert result.out == ""
    assert contents() == before
    return result.err


def contents(root: str | Path = ".") -> dict[str, bytes | None]:
    """Every file and folder below ``root``."""
    paths = sorted(Path(root).rglob("*"))
    return {str(p.relative_to(root)): p.read_bytes() if p.is_file() else None for p in paths}


def arrays(path: str | Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as pack:
        return dict(pack)


def same_arrays(a: str | Path, b: str | Path) -> None:
    """Bit for bit: NaN equals NaN, -0 does not equal 0."""
    first, second = arrays(a), arrays(b)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert (value.dtype, value.shape) == (second[name].dtype, second[name].shape), name
        assert value.tobytes() == second[name].tobytes(), name


def write_files() -> None:
    """Write the small data set and arrays that go with it into the current folder."""
    np.savez("ok.npz", inputs=FEATURES, labels=GIVEN, clean_labels=LABELS)
    np.save("y.npy", LABELS)
    np.save("given.npy", GIVEN)
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(N, C)) + 3 * np.eye(C)[LABELS]
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.save("probs.npy", probs.astype(np.float32))
