"""A disk that fills up: one line, and never a part of the results."""

import contextlib
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runs import Run, contents, done, run

from jaxnoisy.report import FILES

DETECT = "detect --data npz:ok.npz --model linear --method aum --epochs 2 --devices 1 --out out"
WITHOUT_CHECKPOINTS = {
    "score": ("score --pred-probs probs.npy --labels y.npy --out out", 4),
    "noise": ("noise --labels npy:y.npy --kind symmetric --rate 0.2 --out noisy.npz", 1),
}


def full(*_arguments, **_options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def one_line(result):
    assert result.code in (1, 2), result
    assert result.err.count("\n") == 1, result.err
    assert result.err.startswith("jaxnoisy: error: ")
    return result.err


@pytest.fixture
def full_after(monkeypatch):
    """``full_after(calls)``: forcing a file to disk fails from the given call on."""

    @contextlib.contextmanager
    def begin(calls):
        left = iter(range(calls))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: full() if next(left, None) is None else None)
            yield

    return begin


@pytest.mark.parametrize("command", WITHOUT_CHECKPOINTS)
def test_nothing_is_left_where_there_is_nothing_to_resume(here, full_after, command):
    line, writes = WITHOUT_CHECKPOINTS[command]
    before = contents()
    for calls in range(writes):
        with full_after(calls):
            message = one_line(run(line))
        assert "No space left on device: free some space and try again" in message
        assert "--resume" not in message
        assert contents() == before
    with full_after(writes):
        done(line)
    assert contents() != before


@pytest.mark.parametrize("calls", [0, 1, 3, 5])
def test_detect_keeps_what_can_be_resumed_and_no_part_of_the_results(here, full_after, calls):
    """The run's own file, then the five of the results."""
    with full_after(calls):
        message = one_line(run(DETECT))
    assert "No space left on device: free some space and try again" in message
    assert "go on with --out out --resume" in message
    assert {p.name for p in Path("out").iterdir()} == {"checkpoints"}
    done(f"{DETECT} --resume")
    assert {p.name for p in Path("out").iterdir()} == {"checkpoints", *FILES}


def test_a_resumed_run_that_fails_keeps_the_earlier_results(here, full_after):
    done(DETECT)
    before = contents("out")
    with full_after(3):
        one_line(run(f"{DETECT} --method el2n --resume"))
    assert {k: v for k, v in contents("out").items() if k in FILES} == {k: v for k, v in before.items() if k in FILES}


@pytest.mark.parametrize("limit", [700, 2000])
def test_checkpoints_that_cannot_be_written(here, limit):
    """No file may grow past ``limit`` bytes: a real error, of Python's and of TensorStore's writes alike.

    In a process of its own, where nothing stands between the writers' threads and standard error.
    """
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    script = f"{limited}; import sys; from jaxnoisy.cli import main; sys.exit(main(sys.argv[1:]))"
    # Compiled programs are read, but not written: that would fail as well.
    environment = {**os.environ, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9"}
    result = subprocess.run(
        [sys.executable, "-c", script, *DETECT.split()], capture_output=True, text=True, check=False, env=environment
    )
    message = one_line(Run(result.returncode, result.stdout, result.stderr))
    assert os.strerror(errno.EFBIG) in message
    assert "go on with --out out --resume" in message
    assert "while writing a checkpoint" in message
    assert not re.search(r"OUT_OF_RANGE|os_error_code", message)
    assert {p.name for p in Path("out").iterdir()} == {"checkpoints"}
    done(f"{DETECT} --resume")
    assert set(FILES) <= {p.name for p in Path("out").iterdir()}
