import shutil
from pathlib import Path

import numpy as np
import pytest
from cleanlab.filter import find_label_issues
from cli_runs import GIVEN, LABELS, N, arrays, contents, done, refused

from jaxnoisy.detect import TRACE_METHODS
from jaxnoisy.dynamics import HostRecorder
from jaxnoisy.files import read_json
from jaxnoisy.report import read_issues

METHODS = "aum,confident-learning,forgetting,el2n"


@pytest.fixture(scope="module")
def detected(tmp_path_factory):
    """The folder of a finished ``detect``."""
    folder = tmp_path_factory.mktemp("detected")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        from cli_runs import write_files

        write_files()
        done(f"detect --data npz:ok.npz --model linear --epochs 5 --method {METHODS} --devices 1 --out run")
    return folder / "run"


@pytest.fixture
def trace(here, detected):
    shutil.copy(detected / "trace.npz", ".")
    return "trace.npz"


def test_a_trace_scored_again_gives_the_same(detected, trace):
    done(f"score --trace {trace} --method {METHODS} --out out")
    first, again = arrays(detected / "detections.npz"), arrays("out/detections.npz")
    assert first.pop("flips").sum() == 6  # which the data told, and a trace does not
    assert first.keys() == again.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)
    # Ids are row numbers here and there, so that the tables are the same to the last byte too.
    assert Path("out/issues.csv").read_bytes() == (detected / "issues.csv").read_bytes()
    expected, found = read_json(detected / "summary.json"), read_json("out/summary.json")
    assert found.keys() == expected.keys()
    assert found["methods"] == expected["methods"]
    assert found["noise_rate"] == expected["noise_rate"]
    assert found["metrics"] == {}
    assert {p.name for p in Path("out").iterdir()} == {"issues.csv", "summary.json", "detections.npz", "report.html"}


def test_known_truth_measures_the_detectors(detected, trace):
    done(f"score --trace {trace} --method {METHODS} --labels given.npy --clean-labels y.npy --out out")
    expected = read_json(detected / "summary.json")["metrics"]
    assert expected["aum"]["roc_auc"] > 0.5
    assert read_json("out/summary.json")["metrics"] == expected


def test_arrays_may_come_from_an_npz_by_name(detected, trace):
    done(f"score --trace {trace} --method aum --labels ok.npz --clean-labels npy:ok.npz --out out")
    assert read_json("out/summary.json")["known_noise_rate"] == pytest.approx(6 / N)


@pytest.mark.parametrize("method", ["", "--method all"])
def test_without_names_every_method_that_the_trace_allows(trace, method):
    done(f"score --trace {trace} {method} --out out")
    assert tuple(read_json("out/summary.json")["methods"]) == tuple(TRACE_METHODS)


def test_a_trace_without_probabilities_leaves_confident_learning_out(here):
    recorder = HostRecorder(LABELS, epochs=1)
    recorder.record(0, np.arange(N), np.random.default_rng(0).normal(size=(N, 3)))
    recorder.trace().save("plain.npz")
    done("score --trace plain.npz --method all --out out")
    kept = {"aum", "margin-mixture", "small-loss", "mean-loss", "confidence", "el2n"}
    assert set(read_json("out/summary.json")["methods"]) == kept
    line = refused("score --trace plain.npz --method confident-learning --out other")
    assert "probabilities" in line
    line = refused("score --trace plain.npz --method variability --out other")
    assert "at least 2" in line


def test_a_spilled_trace_is_read_from_its_folder(here):
    rng = np.random.default_rng(0)
    kept = HostRecorder(LABELS, epochs=3)
    spilled = HostRecorder(LABELS, epochs=3, directory="spilled")
    for epoch in range(3):
        logits = rng.normal(size=(N, 3)).astype(np.float32)
        for recorder in (kept, spilled):
            recorder.record(epoch, np.arange(N), logits)
    kept.trace().save("kept.npz")
    spilled.trace()
    before = contents("spilled")
    done("score --trace kept.npz --out a")
    done("score --trace spilled --labels y.npy --out b")
    for name, value in arrays("a/detections.npz").items():
        np.testing.assert_array_equal(arrays("b/detections.npz")[name], value, err_msg=name)
    assert contents("spilled") == before


def test_a_trace_of_other_data_is_refused(trace):
    line = refused(f"score --trace {trace} --labels y.npy --out out")
    assert "other labels" in line
    assert "6 of 60 differ" in line
    assert "row 0" in line
    np.save("short.npy", GIVEN[:59])
    line = refused(f"score --trace {trace} --labels short.npy --out out")
    assert "60 examples" in line
    assert "59 labels" in line
    np.save("long.npy", np.append(GIVEN, 1))
    assert "61 labels" in refused(f"score --trace {trace} --labels long.npy --out out")


@pytest.mark.parametrize("kept", [200, 0.5, 0.99])
def test_a_trace_that_is_cut_off_is_refused(trace, kept):
    whole = Path(trace).read_bytes()
    Path("cut.npz").write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    assert "'cut.npz'" in refused("score --trace cut.npz --out out")


def test_a_trace_without_one_of_its_arrays_is_refused(trace):
    for name in arrays(trace):
        if name == "mean_probs":
            continue
        rest = {key: value for key, value in arrays(trace).items() if key != name}
        np.savez("part.npz", **rest)
        assert "part.npz" in refused("score --trace part.npz --out out")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_confident_learning_finds_what_cleanlab_finds(here, dtype):
    rng = np.random.default_rng(3)
    n, c = 500, 4
    truth = rng.integers(0, c, n)
    given = np.where(rng.random(n) < 0.15, rng.integers(0, c, n), truth)
    logits = rng.normal(size=(n, c)) + 2.5 * np.eye(c)[truth]
    probs = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(dtype)
    np.save("p.npy", probs)
    np.savez("l.npz", labels=given)
    done("score --method confident-learning --pred-probs p.npy --labels l.npz --out out")
    table = read_issues("out/issues.csv")
    expected = find_label_issues(given, probs, n_jobs=1)
    assert 20 < expected.sum() < 200
    np.testing.assert_array_equal(np.sort(table.id[table.flagged].astype(int)), np.flatnonzero(expected))
    np.testing.assert_array_equal(table.flagged, np.arange(n) < expected.sum())


def test_probabilities_may_come_from_an_npz_by_name(here):
    np.savez("both.npz", pred_probs=np.load("probs.npy"), labels=GIVEN)
    done("score --pred-probs both.npz --labels both.npz --out a")
    done("score --pred-probs probs.npy --labels given.npy --out b")
    assert Path("a/issues.csv").read_bytes() == Path("b/issues.csv").read_bytes()
    assert "forgetting" not in read_json("a/summary.json")["methods"]


def test_a_probability_of_zero_for_the_given_label_is_no_obstacle(here):
    np.save("sure.npy", np.eye(3, dtype=np.float32)[LABELS])
    done("score --pred-probs sure.npy --labels given.npy --out out")
    table = read_issues("out/issues.csv")
    assert np.isfinite(table.score).all()
    assert set(table.id[:6].astype(int)) == set(range(6))
    rows = table.id.astype(int)
    np.testing.assert_array_equal(table.suggested_label[:6], LABELS[rows[:6]].astype(str))
