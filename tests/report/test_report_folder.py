import errno
import os
from pathlib import Path

import numpy as np
import pytest
from report_examples import findings

from jaxnoisy import dynamics, report
from jaxnoisy.report import folder

ALWAYS = {"issues.csv", "summary.json", "detections.npz"}


def contents(path):
    return {str(p.relative_to(path)): p.read_bytes() if p.is_file() else None for p in sorted(path.rglob("*"))}


def full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_everything_is_there(tmp_path):
    found = findings()
    out = report.write(found, tmp_path / "new" / "parents" / "run")
    assert out == tmp_path / "new" / "parents" / "run"
    assert {p.name for p in out.iterdir()} == set(report.FILES)
    assert {p.name for p in out.parent.iterdir()} == {"run"}
    trace = dynamics.load(out / "trace.npz")
    np.testing.assert_array_equal(trace.seen.log_p_given, found.trace.seen.log_p_given)
    ids, detections = report.read_detections(out / "detections.npz")
    np.testing.assert_array_equal(ids, found.ids)
    assert list(detections) == ["aum", "small-loss"]
    for name, read in detections.items():
        np.testing.assert_array_equal(read.scores, found.detections[name].scores)
        np.testing.assert_array_equal(read.flagged, found.detections[name].flagged)
        assert read.threshold == found.detections[name].threshold


def test_detections_have_plain_names(tmp_path):
    report.write_detections(tmp_path / "d.npz", findings())
    with np.load(tmp_path / "d.npz", allow_pickle=False) as pack:
        assert {"ids", "aum/scores", "aum/flagged", "small-loss/scores", "small-loss/flagged"} <= set(pack.files)


def test_other_arrays_are_not_detections(tmp_path):
    np.savez(tmp_path / "d.npz", **{"aum/scores": np.zeros(3)})
    with pytest.raises(ValueError, match="aum/flagged"):
        report.read_detections(tmp_path / "d.npz")
    np.savez(tmp_path / "e.npz", ids=np.zeros(3))
    with pytest.raises(ValueError, match="any scores"):
        report.read_detections(tmp_path / "e.npz")


def test_parts_can_be_left_out(tmp_path):
    out = report.write(findings(), tmp_path / "run", report=False, trace=False)
    assert {p.name for p in out.iterdir()} == ALWAYS


def test_files_of_others_are_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    report.write(findings(), tmp_path, report=False)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == {*ALWAYS, "trace.npz", "notes.txt"}


def test_the_folder_has_the_usual_permissions(tmp_path):
    (tmp_path / "usual").mkdir()
    out = report.write(findings(), tmp_path / "run", report=False)
    assert out.stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("name", report.FILES)
def test_another_run_is_refused(tmp_path, name):
    (tmp_path / name).write_text("old")
    with pytest.raises(ValueError, match=f"already holds a run \\({name}\\)"):
        report.write(findings(), tmp_path)
    assert contents(tmp_path) == {name: b"old"}


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "run").write_text("old")
    with pytest.raises(ValueError, match="not a folder"):
        report.write(findings(), tmp_path / "run")


def test_overwriting_replaces_the_whole_run(tmp_path):
    report.write(findings(n=30), tmp_path / "run")
    out = report.write(findings(n=40), tmp_path / "run", report=False, overwrite=True)
    assert {p.name for p in out.iterdir()} == {*ALWAYS, "trace.npz"}
    assert len(report.read_issues(out / "issues.csv").id) == 40
    assert len(dynamics.load(out / "trace.npz")) == 40


@pytest.mark.parametrize("earlier", ["nothing", "folder", "run"])
@pytest.mark.parametrize("calls_before", [0, 1, 2, 3, 4])
def test_a_full_disk_changes_nothing(tmp_path, monkeypatch, earlier, calls_before):
    """The disk is found full when the first, second, ... file is forced to disk; the fifth is the report."""
    out = tmp_path / "a" / "run"
    if earlier != "nothing":
        out.mkdir(parents=True)
        (out / "notes.txt").write_text("mine")
    if earlier == "run":
        report.write(findings(n=30), out, report=False)
    before = contents(tmp_path)
    calls = iter(range(100))
    monkeypatch.setattr(os, "fsync", lambda _: full() if next(calls) >= calls_before else None)
    with pytest.raises(OSError, match="No space left"):
        report.write(findings(), out, report=calls_before == 4, overwrite=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("part", ["write_issues", "write_detections", "summarize"])
def test_a_failing_part_changes_nothing(tmp_path, monkeypatch, part):
    monkeypatch.setattr(folder, part, full)
    with pytest.raises(OSError, match="No space left"):
        report.write(findings(), tmp_path / "x" / "y")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("calls_before", range(8))
def test_a_move_that_fails_is_undone(tmp_path, monkeypatch, calls_before):
    """Replacing a run of four files takes eight moves; those before the one that fails are taken back."""
    out = report.write(findings(n=30), tmp_path / "run", report=False)
    before = contents(tmp_path)
    calls, rename = iter(range(100)), os.rename

    def fails_once(source, target):
        return full() if next(calls) == calls_before else rename(source, target)

    monkeypatch.setattr(os, "rename", fails_once)
    with pytest.raises(OSError, match="No space left"):
        report.write(findings(), out, report=False, overwrite=True)
    assert contents(tmp_path) == before


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "write_detections", interrupted)
    with pytest.raises(KeyboardInterrupt):
        report.write(findings(), tmp_path / "x")
    assert contents(tmp_path) == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_device_that_is_full(tmp_path, monkeypatch):
    """The real error of the operating system, at the first write to the table."""
    real = os.fdopen
    monkeypatch.setattr(
        os, "fdopen", lambda handle, mode: (os.close(handle), real(os.open("/dev/full", os.O_WRONLY), mode))[1]
    )
    with pytest.raises(OSError, match="No space left"):
        report.write(findings(), tmp_path / "x")
    monkeypatch.undo()
    assert contents(tmp_path) == {}
