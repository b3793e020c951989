"""Removal and relabelling in one pass: who is trained on, under which labels, in which batches."""

import dataclasses
import sys

import jax
import numpy as np
import pytest

from jaxnoisy.data import make
from jaxnoisy.detect import Detection, lstm
from jaxnoisy.retrain import METHODS, first_run, retrain, scaled
from jaxnoisy.training import TrainConfig, fit
from jaxnoisy.training.trained import start

N, C = 120, 3
CONFIG = TrainConfig(epochs=8, batch_size=40, learning_rate=0.1, weight_decay=0.0)


def blobs(n, seed):
    rng = np.random.default_rng(seed)
    clean = np.arange(n) % C
    points = rng.normal(size=(n, 6)) + 2.5 * np.eye(C, 6)[clean]
    flips = np.arange(n) < 30
    rng.shuffle(flips)
    return points.astype(np.float32), clean, flips


@pytest.fixture(scope="module")
def data():
    points, clean, flips = blobs(N, 0)
    return make(points, np.where(flips, (clean + 1) % C, clean), clean_labels=clean)


@pytest.fixture(scope="module")
def test():
    points, clean, _ = blobs(300, 1)
    return make(points, clean)


@pytest.fixture(scope="module")
def first(data):
    return first_run(data, "linear", CONFIG)


@pytest.fixture(scope="module")
def detection(data):
    """Nearly the truth: the wrong ones first, but for two."""
    scores = data.flips + np.random.default_rng(2).uniform(0, 0.5, N)
    wrong = np.flatnonzero(data.flips)
    scores[wrong[:2]] -= 1
    return Detection(scores, scores > 0.9, 0.9)


@pytest.fixture(scope="module")
def removed(data, first, detection, test):
    return retrain(data, first[0], detection, config=CONFIG, test=test)


@pytest.fixture(scope="module")
def relabelled(data, first, detection, test):
    return retrain(data, first[0], detection, method="relabel", fraction=0.1, config=CONFIG, test=test)


def leaves(trained):
    from flax import nnx

    return [np.asarray(a) for a in jax.tree.leaves(nnx.state(trained.model, nnx.Param))]


def same(a, b):
    for x, y in zip(leaves(a), leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_first_run_is_the_one_that_detectors_read(data, first):
    _, trace = first
    np.testing.assert_array_equal(trace.labels, data.labels)
    assert trace.epochs == 8
    assert lstm()(trace).scores.shape == (N,)
    again = fit(start("linear", data), data, CONFIG)
    np.testing.assert_array_equal(trace.seen.log_p_given, again.trace.seen.log_p_given)
    with pytest.raises(ValueError, match="record is"):
        first_run(data, "linear", dataclasses.replace(CONFIG, record="none"))


def test_what_is_flagged_is_removed_and_the_batch_shrinks_with_it(data, first, detection, removed):
    found, last = removed
    taken = detection.flagged
    assert taken.sum() == 28
    np.testing.assert_array_equal(found.used, ~taken)
    np.testing.assert_array_equal(found.removed_in, taken)
    assert found.settings["training_anew"]["batch_size"] == round(40 * 92 / 120)
    config = dataclasses.replace(CONFIG, batch_size=31, record="none")
    reference = fit(start("linear", data), data, config, keep=~taken, scale=first[0].scale)
    same(last, first[0]._replace(model=reference.model))
    assert found.final == "trained anew"
    assert (found.noise_before, found.noise_after) == (0.25, 2 / 92)
    assert found.accuracies["trained anew"]["test"] > found.accuracies["original"]["test"]


def test_a_removed_example_is_told_its_label_by_the_model_that_did_not_see_it(data, removed):
    found, _ = removed
    np.testing.assert_array_equal(found.labels[found.used], data.labels[found.used])
    assert (found.labels == data.clean_labels)[found.removed].mean() > 0.8
    assert ((found.confidence > 1 / C) | ~found.removed).all()


def test_relabelling_asks_a_model_that_saw_no_suspect(data, first, detection, relabelled):
    found, last = relabelled
    assert found.removed.sum() == 12
    assert found.used.all()
    assert list(found.accuracies) == ["original", "without suspects", "trained anew"]
    # Besides the 12, what the detector flags was kept from the judge.
    without = detection.flagged | found.removed
    assert found.settings["left_out_first"] == without.sum() == 28
    judge_config = dataclasses.replace(CONFIG, batch_size=31, record="none")
    judge = fit(start("linear", data), data, judge_config, keep=~without, scale=first[0].scale)
    logits = judge.model((data.inputs - first[0].scale.mean) / first[0].scale.std)
    np.testing.assert_array_equal(found.labels[found.removed], np.asarray(logits).argmax(axis=1)[found.removed])
    np.testing.assert_array_equal(found.labels[~found.removed], data.labels[~found.removed])
    final_config = dataclasses.replace(CONFIG, record="none")
    final = fit(start("linear", data), data.with_labels(found.labels), final_config, scale=first[0].scale)
    same(last, first[0]._replace(model=final.model))
    assert found.noise_after < found.noise_before


def test_the_truth_may_be_looked_up(data, first, detection):
    found, _ = retrain(data, first[0], detection, method="relabel", fraction=0.1, true_labels=True, config=CONFIG)
    np.testing.assert_array_equal(found.labels, np.where(found.removed, data.clean_labels, data.labels))
    assert list(found.accuracies) == ["original", "trained anew"]
    assert np.isnan(found.confidence).all()
    assert found.settings["training_anew"]["batch_size"] == 40


def test_nothing_suspicious_changes_nothing(data, first, detection):
    for method in METHODS:
        found, last = retrain(data, first[0], detection, method=method, threshold=9.0, config=CONFIG)
        assert found.final == "original"
        assert found.used.all()
        assert not found.changed.any()
        same(last, first[0])


def test_a_floor_spares_the_least_suspicious_of_a_class(data, first, detection):
    everyone = Detection(detection.scores, np.ones(N, bool), 0.0)
    with pytest.raises(ValueError, match="no example would be left of the class '0', '1', '2'"):
        retrain(data, first[0], everyone, config=CONFIG)
    found, _ = retrain(data, first[0], everyone, class_floor=5, config=CONFIG)
    assert np.bincount(data.labels[found.used]).tolist() == [5, 5, 5]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "drop"}, "method must be one of remove, relabel"),
        ({"fraction": 0.1, "threshold": 0.5}, "not both"),
        ({"fraction": 1.5}, "fraction must lie"),
        ({"class_floor": 0}, "class_floor must be"),
        ({"true_labels": True}, "true_labels needs"),
        ({"test": make(np.zeros((3, 5), np.float32), np.arange(3))}, "test set"),
    ],
)
def test_arguments_are_refused_before_training(data, first, detection, monkeypatch, options, says):
    # The module, whose name in the package is that of its function.
    monkeypatch.setattr(sys.modules[retrain.__module__], "fit", lambda *_, **__: pytest.fail("it trained"))
    with pytest.raises(ValueError, match=says):
        retrain(data, first[0], detection, **options)


def test_a_detection_of_other_data_is_refused(data, first, detection):
    short = Detection(detection.scores[:9], detection.flagged[:9], 0.9)
    with pytest.raises(ValueError, match="of 9 examples, but the data holds 120"):
        retrain(data, first[0], short)
    blind = dataclasses.replace(data, clean_labels=None)
    with pytest.raises(ValueError, match="true_labels needs"):
        retrain(blind, first[0], detection, method="relabel", true_labels=True)


def test_the_batch_stays_a_multiple_of_the_devices():
    assert scaled(TrainConfig(batch_size=256), 0.6).batch_size == 154
    assert scaled(TrainConfig(batch_size=8), 0.01).batch_size == 1
    if len(jax.devices()) >= 4:
        from jaxnoisy.mesh import data_mesh

        assert scaled(TrainConfig(batch_size=64), 0.7, data_mesh(4)).batch_size == 44
    for share in (0, 1.2):
        with pytest.raises(ValueError, match="share must lie"):
            scaled(TrainConfig(), share)
