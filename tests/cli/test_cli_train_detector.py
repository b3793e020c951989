"""``jaxnoisy train-detector``, and what it writes in ``detect`` and ``score``."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_runs import GIVEN, LABELS, N, arrays, done, refused, write_files

import jaxnoisy.detect
from jaxnoisy import dynamics, files
from jaxnoisy.detect import load_detector, lstm, shipped_detector
from jaxnoisy.dynamics import HostRecorder
from jaxnoisy.report import read_flips

# What is trained again has the same settings, so that one program is compiled for all.
OWN = "--signals margin,probability --length 6 --epochs 2 --batch-size 32"
DETECT = "detect --data npz:ok.npz --model linear --epochs 4 --devices 1"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished ``detect`` on data whose truth is known, and a detector that learned from it."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_files()
        done(f"{DETECT} --method aum --out run")
        printed = done(f"train-detector --trace run {OWN} --about blobs --out own.npz")
    assert "learned from 60 examples, 6 of them mislabeled; " in printed
    return folder


@pytest.fixture
def work(here, made):
    shutil.copytree(made / "run", "run")
    shutil.copy(made / "own.npz", ".")
    return here


def test_a_finished_detect_says_which_labels_are_wrong(work):
    np.testing.assert_array_equal(read_flips("run/detections.npz"), GIVEN != LABELS)
    shutil.copy("run/trace.npz", "trace.npz")
    line = refused("train-detector --trace trace.npz --out d.npz")
    assert "nothing says which labels of 'trace.npz' were wrong" in line
    done(f"train-detector --trace trace.npz --clean-labels y.npy {OWN} --about blobs --out same.npz")
    first, again = arrays("own.npz"), arrays("same.npz")
    assert first.keys() == again.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)


def test_the_detector_is_used_where_it_is_named(work):
    done(f"{DETECT} --method lstm,aum --detector own.npz --out out")
    trace = dynamics.load("out/trace.npz")
    own, shipped = (lstm(d)(trace).scores for d in (load_detector("own.npz"), shipped_detector()))
    np.testing.assert_array_equal(arrays("out/detections.npz")["lstm/scores"], own)
    assert files.read_json("out/summary.json")["settings"]["detector"] == "own.npz"
    done("score --trace out/trace.npz --method lstm --detector own.npz --out scored")
    np.testing.assert_array_equal(arrays("scored/detections.npz")["lstm/scores"], own)
    done("score --trace out/trace.npz --method lstm --out plain")
    np.testing.assert_array_equal(arrays("plain/detections.npz")["lstm/scores"], shipped)
    assert np.abs(own - shipped).max() > 1e-3


def test_the_card_says_where_it_comes_from(work):
    card = load_detector("own.npz").card
    assert (card["about"], card["examples"], card["mislabeled"]) == ("blobs", N, 6)
    assert card["config"]["batch_size"] == 32
    files.write_json("more.json", {"data": "blobs", "licence": "Apache-2.0"})
    options = "--epochs 2 --batch-size 32 --learning-rate 0.01 --card more.json"
    done(f"train-detector --trace run --from own.npz {options} --out d.npz")
    tuned = load_detector("d.npz")
    assert tuned.card["before"]["about"] == "blobs"
    assert (tuned.card["data"], tuned.card["examples"]) == ("blobs", N)
    assert (tuned.card["config"]["epochs"], tuned.card["config"]["learning_rate"]) == (2, 0.01)
    assert (tuned.signals, tuned.epochs) == (("margin", "probability"), 6)


def test_the_shipped_one_is_fine_tuned_by_name(work, monkeypatch):
    monkeypatch.setattr(jaxnoisy.detect, "shipped_detector", lambda: load_detector("own.npz"))
    done("train-detector --trace run --from shipped --epochs 2 --batch-size 32 --out d.npz")
    assert load_detector("d.npz").card["before"]["about"] == "blobs"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--trace run --clean-labels given.npy", "at least 2 mislabeled examples, but flips mark 0 of 60"),
        ("--trace run run --clean-labels y.npy", "one file for each trace, but names 1 for 2"),
        ("--trace run --clean-labels probs.npy", "clean_labels"),
        ("--trace run --from own.npz --length 9", "--length is for a new detector"),
        ("--trace run --from own.npz --signals loss", "--signals is for a new detector"),
        ("--trace run --from cut.npz", "'cut.npz' is not a readable .npz file, or is truncated"),
        ("--trace run --from old.npz", "old.npz is not a detector of this version"),
        ("--trace run --from run/trace.npz", "is not a detector of this version (format 'jaxnoisy-trace-1'"),
        ("--trace run --signals entropy", "signals[0] must be one of"),
        ("--trace run --length 1", "whole number >= 2"),
        ("--trace run --card list.json", "must hold a JSON object, but holds list"),
        ("--trace empty", "holds no finished jaxnoisy detect, nor a trace"),
        ("--trace none", "'none' does not exist"),
        ("--trace one.npz --clean-labels y.npy", "at least 2 epochs, but these have 1"),
        ("--trace missing.npz --clean-labels y.npy", "60 of 60 examples were never recorded"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(work, line, says):
    Path("empty").mkdir()
    Path("cut.npz").write_bytes(Path("own.npz").read_bytes()[:-500])
    np.savez("old.npz", **{**arrays("own.npz"), "format": np.array("jaxnoisy-lstm-detector-0")})
    files.write_json("list.json", [1])
    recorder = HostRecorder(GIVEN, epochs=1)
    recorder.record(0, np.arange(N), np.random.default_rng(0).normal(size=(N, 3)))
    recorder.trace().save("one.npz")
    HostRecorder(GIVEN, epochs=3, num_classes=3).trace().save("missing.npz")
    assert says in refused(f"train-detector {line} --out d.npz")


@pytest.mark.parametrize("out", ["d", "run", "none/d.npz"])
def test_out_is_the_name_of_a_file(work, out):
    assert "--out" in refused(f"train-detector --trace run --out {out}")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"{DETECT} --method aum --detector own.npz", "--detector is for lstm, which is not among the methods"),
        (f"{DETECT} --method lstm --detector y.npy", "holds a single array"),
        (f"{DETECT} --method lstm --detector cut.npz", "truncated"),
        (f"{DETECT} --method lstm --epochs 1", "lstm compares epochs and needs at least 2, but the run has 1"),
        ("score --trace run/trace.npz --method lstm --detector none.npz", "does not exist"),
        ("score --trace missing.npz --method lstm", "60 of 60 examples were never recorded"),
        ("score --pred-probs probs.npy --labels given.npy --method lstm", "needs a trace of at least 2"),
    ],
)
def test_detectors_and_traces_that_do_not_do_are_refused(work, line, says):
    Path("cut.npz").write_bytes(Path("own.npz").read_bytes()[:-500])
    HostRecorder(GIVEN, epochs=3, num_classes=3).trace().save("missing.npz")
    assert says in refused(f"{line} --out out")


def test_a_truth_that_was_not_known_is_not_written(work):
    done("score --trace run/trace.npz --method aum --out plain")
    assert read_flips("plain/detections.npz") is None
