"""Methods with runs of their own: BHN, which compares losses with those of clean examples, and NLNL."""

import jax
import numpy as np
import pytest
from cli_runs import FEATURES, GIVEN, LABELS, C, N, done, refused, write_files

from jaxnoisy.audit import Bhn, Nlnl, audit, run
from jaxnoisy.audit.bhn import halves
from jaxnoisy.data import make
from jaxnoisy.detect import bhn, nlnl
from jaxnoisy.files import read_json
from jaxnoisy.losses import cross_entropy
from jaxnoisy.report import read_detections
from jaxnoisy.robust import negative_learning, selective_negative
from jaxnoisy.training import TrainConfig

CONFIG = TrainConfig(epochs=2, batch_size=16, learning_rate=0.05)
CLEAN = np.random.default_rng(7).normal(size=(24, 5)).astype(np.float32) + (np.arange(24) % C)[:, None]


@pytest.fixture
def runs(monkeypatch):
    """What was trained: (data, options, result) of every run."""
    noted, fit = [], run.fit

    def trained(network, data, *arguments, **options):
        result = fit(network, data, *arguments, **options)
        noted.append((data, {"config": arguments[0], **options}, result))
        return result

    monkeypatch.setattr(run, "fit", trained)
    return noted


def data_and_clean():
    return make(FEATURES, GIVEN, clean_labels=LABELS), make(CLEAN, np.arange(24) % C)


def losses_of(fitted, inputs, labels):
    scaled = (inputs - fitted.scale.mean) / fitted.scale.std
    return np.asarray(cross_entropy(fitted.model(scaled), labels))


def test_the_halves_of_the_data_judge_each_other(runs):
    data, clean = data_and_clean()
    method = Bhn(fdr_level=0.4, learn_from="halves")
    found = audit(data, clean=clean, methods=[method], model="linear", config=CONFIG, seed=3)
    _, *own = runs
    judged = [~np.isin(data.ids, learned.ids) for learned, _, _ in own]
    assert [int(mask.sum()) for mask in judged] == [30, 30]
    np.testing.assert_array_equal(judged[0], ~judged[1])
    scores, ordinary = np.empty(N), []
    for mask, (_, _, fitted) in zip(judged, own):
        scores[mask] = losses_of(fitted, FEATURES[mask], GIVEN[mask])
        ordinary.append(losses_of(fitted, CLEAN, clean.labels))
    expected = bhn(level=0.4)(scores, np.stack(ordinary), judged[1].astype(int))
    detection = found.detections["bhn"]
    np.testing.assert_allclose(detection.scores, scores, rtol=1e-5)
    np.testing.assert_array_equal(detection.flagged, expected.flagged)
    told = found.settings["bhn"]
    assert (told["fdr_level"], told["learn_from"], told["clean_per_class"]) == (0.4, "halves", [8, 8, 8])
    assert told["largest_p_value"] == expected.info.largest
    assert told["at_least"] == expected.info.enough == 6


def test_half_of_the_clean_examples_judge_all(runs):
    data, clean = data_and_clean()
    found = audit(data, clean=clean, methods=["bhn"], model="linear", config=CONFIG, seed=3)
    ((_, main, _), (learned, own, fitted)) = runs
    assert (main["config"].batch_size, own["config"].batch_size) == (16, 8)  # few examples get steps enough
    held = ~np.isin(clean.ids, learned.ids)
    assert held.sum() == 12
    np.testing.assert_array_equal(np.bincount(clean.labels[held]), [4, 4, 4])
    expected = bhn()(losses_of(fitted, FEATURES, GIVEN), losses_of(fitted, CLEAN[held], clean.labels[held]))
    np.testing.assert_allclose(found.detections["bhn"].scores, expected.scores, rtol=1e-5)
    np.testing.assert_array_equal(found.detections["bhn"].flagged, expected.flagged)


def test_halves_are_balanced_and_random():
    labels = np.repeat([0, 1, 2], [10, 7, 3])
    first, second = (halves(jax.random.key(seed), labels) for seed in (0, 1))
    assert not np.array_equal(first, second)
    for half in (first, second):
        assert half.sum() == 10
        assert (np.abs(np.bincount(labels[half], minlength=3) - np.array([5, 3.5, 1.5])) < 1).all()


def test_nlnl_trains_three_stages(runs):
    data, _ = data_and_clean()
    found = audit(data, methods=[Nlnl(keep_above=0.4), "aum"], model="linear", config=CONFIG)
    main, *stages = runs
    assert [options["loss"] for _, options, _ in stages[:2]] == [negative_learning, selective_negative]
    assert len(stages) == 3
    expected = nlnl(keep_above=0.4)(stages[-1][2].trace)
    np.testing.assert_array_equal(found.detections["nlnl"].scores, expected.scores)
    np.testing.assert_array_equal(found.detections["nlnl"].flagged, expected.flagged)
    assert found.settings["nlnl"] == {"keep_above": 0.4}
    assert found.trace.labels is main[2].trace.labels or found.trace is main[2].trace


def test_refusals():
    data, clean = data_and_clean()
    for options, message in (
        ({"learn_from": "all"}, "learn_from must be one of halves, clean"),
        ({"fdr_level": 1.0}, r"level must lie in \(0, 1\)"),
    ):
        with pytest.raises(ValueError, match=message):
            audit(data, clean=clean, methods=[Bhn(**options)], model="linear", config=CONFIG)
    with pytest.raises(ValueError, match="half of the 2 clean examples"):
        audit(data, clean=clean.take([0, 1]), methods=["bhn"], model="linear", config=CONFIG)
    with pytest.raises(ValueError, match="but class 2 has one only: give two or more"):
        audit(data, clean=clean.take([0, 3, 1, 4, 2]), methods=["bhn"], model="linear", config=CONFIG)
    with pytest.raises(ValueError, match="half of the 3 training examples"):
        audit(data.take([0, 1, 2]), clean=clean, methods=[Bhn(learn_from="halves")], model="linear", config=CONFIG)
    with pytest.raises(ValueError, match="bhn needs examples whose labels are known to be right"):
        audit(data, methods=["bhn"], model="linear", config=CONFIG)
    with pytest.raises(ValueError, match=r"keep_above must lie in \(0, 1\)"):
        audit(data, methods=[Nlnl(keep_above=0.0)], model="linear", config=CONFIG)


def test_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files()
    np.savez("clean.npz", inputs=CLEAN, labels=np.arange(24) % C)
    line = (
        "detect --data npz:ok.npz --model linear --epochs 2 --devices 1 --out out --method bhn,nlnl,aum "
        "--clean npz:clean.npz --fdr-level 0.4 --keep-above 0.4"
    )
    done(line)
    _, found = read_detections("out/detections.npz")
    assert list(found) == ["bhn", "nlnl", "aum"]
    settings = read_json("out/summary.json")["settings"]
    assert settings["bhn"]["fdr_level"] == 0.4
    assert settings["nlnl"]["keep_above"] == 0.4
    runs = {path.name for path in (tmp_path / "out/checkpoints").iterdir()}
    assert runs >= {"main", "bhn-clean", "nlnl-negative", "nlnl-selective-negative", "nlnl-selective-positive"}
    other = line.replace("--keep-above 0.4", "--keep-above 0.6 --resume")
    assert "keep_above is 0.4 there and 0.6 here" in refused(other)
    plain = "detect --data npz:ok.npz --model linear --epochs 2 --out new"
    assert "--fdr-level is for bhn" in refused(f"{plain} --method aum --fdr-level 0.2")
    assert "--keep-above is for nlnl" in refused(f"{plain} --method aum --keep-above 0.2")
    assert "between 0 and 1" in refused(f"{plain} --method bhn --clean npz:clean.npz --fdr-level 1")
    assert "bhn needs examples" in refused(f"{plain} --method bhn")
