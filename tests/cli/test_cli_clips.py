"""``jaxnoisy detect`` on video clips: two streams with one command."""

import argparse
import csv
import json
import sys

import numpy as np
import pytest
from cli_runs import done, run
from PIL import Image

from jaxnoisy import data
from jaxnoisy.cli.clean import load_clean

N, CLASSES, FRAMES, SIDE = 36, 3, 6, 12
WRONG = np.arange(4)


def squares(n, seed):
    """Clips in which a bright square moves to the right, down, or not at all."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % CLASSES
    clips = rng.integers(0, 60, (n, 1, SIDE, SIDE, 1)).repeat(FRAMES, axis=1)
    for i, k in enumerate(classes):
        for t in range(FRAMES):
            row, column = 2 + (t if k == 1 else 0), 2 + (t if k == 0 else 0)
            clips[i, t, row : row + 4, column : column + 4] = 200 + rng.integers(0, 30, (4, 4, 1))
    return clips.astype(np.uint8), classes


@pytest.fixture
def videos(tmp_path, monkeypatch):
    """``train.npz``, of which the first clips are mislabeled, and ``clean.npz``."""
    monkeypatch.chdir(tmp_path)
    inputs, classes = squares(N, 0)
    labels = classes.copy()
    labels[WRONG] = (labels[WRONG] + 1) % CLASSES
    np.savez("train.npz", inputs=inputs, labels=labels, clean_labels=classes)
    inputs, classes = squares(9, 1)
    np.savez("clean.npz", inputs=inputs, labels=classes)
    return tmp_path


def rows(place):
    with open(place) as file:
        return list(csv.DictReader(file))


def test_clips_are_ranked_by_both_streams(videos):
    line = "detect --data clips:train.npz --clean clips:clean.npz --model mlp --epochs 10 --gamma 0.5 --out out"
    done(f"{line} --method influential-rank")
    found = json.loads((videos / "out/summary.json").read_text())
    notes = found["settings"]["influential-rank"]
    assert set(notes["flagged_by_stream"]) == {"rgb", "flow"}
    assert found["data"]["inputs"] == "clips"
    assert found["metrics"]["influential-rank"]["roc_auc"] > 0.8
    ranked = rows(videos / "out/issues.csv")
    assert len(ranked) == N
    assert sum(one["flagged"] == "true" for one in ranked) <= min(notes["flagged_by_stream"].values())
    assert len({one["id"] for one in ranked[:8]} & {str(i) for i in WRONG}) >= 3  # at random 0.9
    assert "data:image/png;base64" in (videos / "out/report.html").read_text()
    assert {place.name for place in (videos / "out/checkpoints").iterdir()} == {"main", "flow"}
    before = (videos / "out/issues.csv").read_text()
    done(f"{line} --method influential-rank --resume")
    assert (videos / "out/issues.csv").read_text() == before


def test_methods_of_the_trace_need_no_flow(videos, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    done("detect --data clips:train.npz --method aum --model linear --epochs 2 --out out")
    assert len(rows(videos / "out/issues.csv")) == N
    wanted = run("detect --data clips:train.npz --clean take:2 --method influential-rank --model linear --out other")
    assert wanted.code == 2
    assert "pip install 'jaxnoisy[video]'" in wanted.err


def test_bad_combinations_are_refused_in_one_line(videos):
    common = "detect --data clips:train.npz --method influential-rank --model mlp --epochs 1 --out out"
    for options, message in [
        ("", "influential-rank needs examples whose labels are known to be right"),
        ("--clean npz:clean.npz", "has examples of shape"),
        ("--clean clips:clean.npz --solver cg", "the solver 'cg' is not for clips"),
        ("--clean clips:clean.npz --gamma 4", "gamma asks for 4 votes, but only 3 classes"),
    ]:
        result = run(f"{common} {options}")
        assert (result.code, result.err.count("\n")) == (2, 1), result
        assert message in result.err


def test_clean_clips_that_cannot_be_read_are_left_out(videos):
    inputs, classes = squares(9, 1)
    for i, k in enumerate(classes):
        (videos / f"clean/{k}/{i}").mkdir(parents=True)
        for t in range(FRAMES):
            Image.fromarray(inputs[i, t, ..., 0]).save(videos / f"clean/{k}/{i}/{t}.png")
    (videos / "clean/0/0/3.png").write_bytes(b"")
    asked = argparse.Namespace(clean="clips:clean", seed=0, data_dir=None, skip_broken=True)
    train = data.load("clips:train.npz", flow=True)
    kept, clean = load_clean(asked, train)
    assert kept is train
    assert clean.labels.tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    assert clean.flow.shape == (8, 8, SIDE, SIDE, 10)
    asked.skip_broken = False
    with pytest.raises(ValueError, match=r"'0/0/3.png' cannot be read .* \(--skip-broken\)"):
        load_clean(asked, train)
