"""``jaxnoisy detect --method lsw``: learned weights from the command line."""

import re
from pathlib import Path

import numpy as np
import pytest
from cli_runs import FEATURES, GIVEN, LABELS, C, N, done, refused, run, same_arrays, write_files

from jaxnoisy.audit import allowed
from jaxnoisy.audit import run as audit_run
from jaxnoisy.files import read_json
from jaxnoisy.report import read_detections

DETECT = "detect --data npz:ok.npz --model linear --epochs 4 --devices 1 --out out --method lsw"
LSW = f"{DETECT} --weight-rate 0.5 --weight-start 1 --learning-rate 0.02"
BOTH = LSW.replace("--method lsw", "--method lsw,aum")
CLEAN = np.random.default_rng(7).normal(size=(12, 5)).astype(np.float32) + (np.arange(12) % C)[:, None]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, made once."""
    folder = tmp_path_factory.mktemp("finished-lsw")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_files()
        np.savez("clean.npz", inputs=CLEAN, labels=np.arange(12) % C)
        done(f"{BOTH} --clean npz:clean.npz")
    return folder


def test_weights_flag_and_are_reported(finished):
    _, found = read_detections(finished / "out/detections.npz")
    weights = 1 - found["lsw"].scores
    np.testing.assert_array_equal(found["lsw"].flagged, weights < 0.3)
    assert weights[GIVEN != LABELS].mean() < weights[GIVEN == LABELS].mean()
    told = read_json(finished / "out/summary.json")["settings"]["lsw"]
    looked = told.pop("look_aheads")
    assert looked["looked"] == 3 * -(-N // read_json(finished / "out/summary.json")["settings"]["batch_size"])
    assert told == {
        "weight_rate": 0.5,
        "weight_start": 1,
        "weight_every": 1,
        "weight_part": "body",
        "weight_threshold": 0.3,
        "clean_examples": "clean",
        "clean_per_class": [4, 4, 4],
        "clean_notes": [],
    }
    page = (finished / "out/report.html").read_text()
    assert "What weights were learned" in page
    assert re.search(r"Histograms of 60 weights after epochs 1, 2, 3, 4; after the last, the median is", page)
    assert re.search(r"Weights over 4 epochs; kept: mean from 0\.5", page)
    assert (finished / "out/checkpoints/lsw").is_dir()


def test_interrupted_it_goes_on_to_the_same_weights(finished, here, monkeypatch):
    np.savez("clean.npz", inputs=CLEAN, labels=np.arange(12) % C)
    line = f"{BOTH} --clean npz:clean.npz"
    fit = audit_run.fit

    def interrupted(network, data, config, *, learning=None, on_epoch=None, **options):
        def stop(report):
            if learning is not None and report.epoch == 2:
                raise KeyboardInterrupt

        return fit(network, data, config, learning=learning, on_epoch=stop, **options)

    with monkeypatch.context() as patch:
        patch.setattr(audit_run, "fit", interrupted)
        assert run(line).code == 130
    done(f"{line} --resume")
    same_arrays("out/detections.npz", finished / "out/detections.npz")


def test_what_cannot_be_learned_from_is_refused(here):
    assert "lsw needs examples whose labels are known to be right" in refused(DETECT)
    np.savez("clean.npz", inputs=CLEAN, labels=np.arange(12) % C)
    clean = "--clean npz:clean.npz"
    assert "lsw begins to learn weights after 4 epochs, but the run has 4" in refused(
        f"{DETECT} {clean} --weight-start 4"
    )
    assert "threshold must lie in (0, 1), but is 0.0" in refused(f"{DETECT} {clean} --weight-threshold 0")
    other = DETECT.replace("lsw", "aum")
    assert "--weight-rate is for lsw, which is not among the methods" in refused(f"{other} --weight-rate 1")
    assert "--weight-part" in refused(f"{DETECT} {clean} --weight-part tail")
    bad = np.full((12, 5), 1e38, np.float32)
    np.savez("huge.npz", inputs=bad, labels=np.arange(12) % C)
    line = f"{DETECT} --clean npz:huge.npz --weight-start 0 --batch-size 2"
    assert "the clean loss after a step was not finite" in refused(line, code=1)


def test_clean_examples_that_say_little_are_told_of(here):
    """Classes without any, and examples that are trained on as well."""
    np.savez("few.npz", inputs=FEATURES[:6], labels=np.zeros(6, int))
    result = run(f"{LSW} --clean npz:few.npz")
    assert result.code == 0
    assert "warning: no clean example is of the classes 1, 2" in result.err
    assert "warning: 6 of 6 clean examples stand in the training data too" in result.err
    notes = read_json("out/summary.json")["settings"]["lsw"]["clean_notes"]
    assert len(notes) == 2
    assert Path("out/report.html").read_text().count("stand in the training data too") >= 1


def test_it_is_among_all_methods_of_a_run_that_is_long_enough():
    assert "lsw" in allowed(3, clean=True)
    assert "lsw" not in allowed(2, clean=True)
    assert "lsw" not in allowed(3, clean=False)
    assert "lsw" not in allowed(3, clean=True, more_runs=False)
