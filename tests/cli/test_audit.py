import dataclasses

import numpy as np
import pytest
from cli_runs import FEATURES, GIVEN, LABELS

from jaxnoisy.audit import METHODS, InfluentialRank, allowed, audit, run, threshold
from jaxnoisy.audit.methods import known_methods
from jaxnoisy.data import make
from jaxnoisy.detect import TRACE_METHODS, aum, aum_threshold, threshold_examples
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
    compare_epochs = {"forgetting", "variability", "dynacor"}
    assert allowed(1, clean=True) == tuple(name for name in METHODS if name not in compare_epochs)
    assert allowed(3, clean=True) == allowed(clean=True) == METHODS
    assert allowed(2, clean=True) == tuple(name for name in METHODS if name != "dynacor")
    assert allowed(2) == (*TRACE_METHODS, "aum-threshold")
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
