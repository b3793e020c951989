import dataclasses

import numpy as np
import pytest
from cli_runs import FEATURES, GIVEN, LABELS

from jaxnoisy.audit import METHODS, Cores, InfluentialRank, SimiFeatRank, SimiFeatVote, allowed, audit, run, threshold
from jaxnoisy.audit.methods import known_methods
from jaxnoisy.data import make
from jaxnoisy.detect import TRACE_METHODS, aum, aum_threshold, simifeat_vote, threshold_examples
from jaxnoisy.training import TrainConfig

CONFIG = TrainConfig(epochs=2, batch_size=16, learning_rate=0.05)


@pytest.fixture(scope="module")
def examples():
    return make(FEATURES, GIVEN, clean_labels=LABELS)


def test_every_method_reads_one_recording(examples):
    found = audit(examples, model="linear", config=CONFIG)
    assert tuple(found.detections) == tuple(TRACE_METHODS)
    np.testing.assert_array_equal(found.detections["aum"].scores, aum()(found.trace).scores)
    assert found.primary == "aum"
    assert found.flips.sum() == 6
    assert set(found.timings) >= {"train", "compile", "detect aum"}
    assert found.settings["model"] == "linear"
    assert found.settings["learning_rate"] == 0.05


def test_threshold_examples_are_trained_on_in_two_more_runs(examples, monkeypatch):
    """The detector's own function on the two traces, under masks that hide each example at most once."""
    runs, fit = [], run.fit

    def noted(network, data, *arguments, **options):
        result = fit(network, data, *arguments, **options)
        runs.append((data, result.trace))
        return result

    monkeypatch.setattr(run, "fit", noted)
    found = audit(examples, methods=["aum-threshold"], model="linear", config=CONFIG, seed=4)
    (main, _), (a, trace_a), (b, trace_b) = runs
    assert main is examples
    c = examples.num_classes
    masks = [moved.labels == c for moved in (a, b)]
    assert all(moved.num_classes == c + 1 for moved in (a, b))
    assert [int(mask.sum()) for mask in masks] == [15, 15]
    assert not (masks[0] & masks[1]).any()
    for moved, mask in zip((a, b), masks):
        np.testing.assert_array_equal(moved.labels[~mask], examples.labels[~mask])
    expected = aum_threshold()(trace_a, masks[0], trace_b, masks[1])
    np.testing.assert_array_equal(found.detections["aum-threshold"].scores, expected.scores)
    np.testing.assert_array_equal(found.detections["aum-threshold"].flagged, expected.flagged)
    assert threshold_examples is threshold.threshold_examples


def test_methods_that_the_epochs_allow():
    compare_epochs, begin_late = {"forgetting", "variability", "lstm"}, {"dynacor", "lsw"}
    assert allowed(1, clean=True) == tuple(name for name in METHODS if name not in compare_epochs | begin_late)
    assert allowed(2, clean=True) == tuple(name for name in METHODS if name not in begin_late)
    assert allowed(3, clean=True) == allowed(clean=True) == METHODS
    assert allowed(2) == (*TRACE_METHODS, "aum-threshold", "cores", "nlnl", "simifeat-vote", "simifeat-rank")
    assert allowed(2, more_runs=False) == tuple(TRACE_METHODS)
    assert allowed(2, clean=True, more_runs=False) == (*TRACE_METHODS, "influential-rank")


def test_by_default_only_methods_that_the_epochs_allow(examples):
    found = audit(examples, model="linear", config=dataclasses.replace(CONFIG, epochs=1))
    assert "forgetting" not in found.detections
    assert "aum" in found.detections


def test_methods_are_taken_once_and_in_order():
    asked = InfluentialRank(gamma=2)
    assert list(known_methods(["el2n", "aum", "el2n"])) == ["el2n", "aum"]
    assert known_methods([asked, "aum", asked]) == {"influential-rank": asked, "aum": None}
    assert known_methods(["influential-rank"]) == {"influential-rank": InfluentialRank()}
    with pytest.raises(ValueError, match="influential-rank is asked for twice"):
        known_methods([asked, "influential-rank"])
    with pytest.raises(ValueError, match="no method was given: name some of aum"):
        known_methods([])
    with pytest.raises(ValueError, match=r"method must be one of aum, .*, but is 'aums'"):
        known_methods(["aum", "aums"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"methods": ["aums"]}, "method must be one of .* 'aums'"),
        ({"methods": []}, "no method was given"),
        ({"detectors": {"aums": aum()}}, "a name in detectors must be one of aum, .* 'aums'"),
        ({"methods": ["forgetting"], "config": TrainConfig(epochs=1)}, "forgetting .* at least 2, but the run has 1"),
        ({"model": "resnet19"}, "model must be one of auto, linear.* 'resnet19'"),
        ({"model": "cnn"}, "'cnn' takes images"),
        ({"dtype": "float16"}, "dtype must be one of float32, bfloat16, but is 'float16'"),
        ({"seed": -1}, "seed must be a whole number >= 0, but is -1"),
        ({"seed": 0.5}, "seed must be a whole number >= 0, but is 0.5"),
        ({"config": TrainConfig(record="none")}, 'config.record is "none".*choose "train" or "eval"'),
    ],
)
def test_arguments_are_refused_before_training(examples, monkeypatch, tmp_path, options, says):
    monkeypatch.setattr(run, "fit", lambda *_args, **_options: pytest.fail("it trained"))
    with pytest.raises(ValueError, match=says):
        audit(examples, checkpoints=tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def test_too_few_examples_for_thresholds_are_refused_before_training(monkeypatch):
    monkeypatch.setattr(run, "fit", lambda *_args, **_options: pytest.fail("it trained"))
    with pytest.raises(ValueError, match="at least 3 examples"):
        audit(make(FEATURES[:2], LABELS[:2]), methods=["aum-threshold"], model="linear")


def test_the_seed_draws_the_parameters_also_where_a_config_has_its_own(examples):
    first, again, other = (
        audit(examples, methods=["aum"], model="linear", config=CONFIG, seed=seed).trace.seen.log_p_given
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_progress_hears_of_every_epoch_of_every_run(examples):
    heard = []
    audit(
        examples,
        methods=["aum-threshold"],
        model="linear",
        config=CONFIG,
        progress=lambda name, report, epochs: heard.append((name, report.epoch, epochs)),
    )
    assert heard == [(name, epoch, 2) for name in ("main", "threshold-a", "threshold-b") for epoch in (1, 2)]


def test_cores_trains_a_run_of_its_own_under_its_loss(examples, monkeypatch):
    runs, fit = [], run.fit

    def noted(network, data, *arguments, **options):
        runs.append(fit(network, data, *arguments, **options))
        return runs[-1]

    monkeypatch.setattr(run, "fit", noted)
    found = audit(examples, methods=[Cores(beta=1.0)], model="linear", config=CONFIG)
    main, own = runs
    assert (own.trace.seen.log_p_given != main.trace.seen.log_p_given).any()
    assert found.settings["cores"] == {"beta": 1.0, "sieved": found.detections["cores"].flagged.mean()}
    logits = np.asarray(own.model((FEATURES - own.scale.mean) / own.scale.std))
    expected = logits.mean(axis=1) - logits[np.arange(len(logits)), examples.labels]
    np.testing.assert_allclose(found.detections["cores"].scores, expected, atol=1e-5)


def test_simifeat_compares_standardised_features(examples):
    found = audit(examples, methods=[SimiFeatVote(neighbours=5), "simifeat-rank"], model="linear", config=CONFIG)
    scaled = ((FEATURES - FEATURES.mean(axis=0)) / FEATURES.std(axis=0)).astype(np.float32)
    expected = simifeat_vote(num_classes=3, neighbours=5)([scaled], examples.labels)
    np.testing.assert_allclose(found.detections["simifeat-vote"].scores, expected.scores, atol=1e-12)
    assert found.settings["simifeat-vote"] == {"neighbours": 5, "passes": 1}
    assert 0 <= found.settings["simifeat-rank"]["estimated_noise_rate"] < 0.5


@pytest.mark.parametrize("shape", [(6, 6, 3), (2, 8, 8, 1)], ids=["images", "clips"])
def test_simifeat_compares_what_the_model_makes_of_images(shape):
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 2
    pixels = rng.integers(0, 80, (24, *shape)) + 120 * labels.reshape(-1, *[1] * len(shape))
    data = make(pixels.astype(np.uint8), labels, clips=len(shape) == 4)
    found = audit(data, methods=[SimiFeatVote(neighbours=3, passes=2)], model="linear", config=CONFIG)
    assert found.settings["simifeat-vote"]["passes"] == 2
    assert not found.detections["simifeat-vote"].flagged.any()


@pytest.mark.parametrize(
    ("method", "says"),
    [
        (Cores(beta=-1.0), "beta must be a finite number >= 0, but is -1.0"),
        (SimiFeatVote(passes=2), "2 passes over features would all be the same"),
        (SimiFeatVote(neighbours=1000), "1000 neighbours of each example need at least 1001 examples"),
        (SimiFeatRank(neighbours=1), "neighbours must be a whole number >= 2, but is 1"),
        (SimiFeatRank(passes=0), "passes must be a whole number >= 1, but is 0"),
    ],
)
def test_options_of_methods_are_refused_before_training(examples, monkeypatch, method, says):
    monkeypatch.setattr(run, "fit", lambda *_args, **_options: pytest.fail("it trained"))
    with pytest.raises(ValueError, match=says):
        audit(examples, methods=[method], model="linear")


def test_more_classes_than_third_order_statistics_are_taken_of(monkeypatch):
    monkeypatch.setattr(run, "fit", lambda *_args, **_options: pytest.fail("it trained"))
    data = make(np.random.default_rng(0).normal(size=(600, 2)).astype(np.float32), np.arange(600) % 300)
    with pytest.raises(ValueError, match="at most 256 classes, but the data have 300: use simifeat-vote"):
        audit(data, methods=["simifeat-rank"], model="linear")
