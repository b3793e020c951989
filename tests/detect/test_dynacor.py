"""DynaCor on traces: what is searched, what is kept, what it finds, and what it refuses."""

import dataclasses
import logging
import sys

import dynacor_reference as reference
import jax
import numpy as np
import pytest
from lstm_runs import planted, trace_of
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score, roc_auc_score
from trained_digits import stacked, trained_logits

from jaxnoisy.detect import DynaCorConfig, dynacor, dynacor_fit
from jaxnoisy.detect.dynacor_network import represent
from jaxnoisy.dynamics import inputs
from jaxnoisy.noise import corrupted_copies

SMALL = DynaCorConfig(
    epochs=4, steps=4, batch_size=64, learning_rate=1e-3, widths=(4, 8, 8), dimension=16, validation=1000
)
KEY = jax.random.key(0)

P, LATE = planted(360, 12)
TRACE = trace_of(P)
COPIES = LATE & (np.random.default_rng(1).random(360) < 0.4)
WRONG = LATE[~COPIES]


@pytest.fixture(scope="module")
def found():
    return dynacor(SMALL)(KEY, TRACE, COPIES)


def test_planted_clusters_are_found(found):
    n = len(WRONG)
    assert found.scores.shape == found.flagged.shape == (n,)
    assert found.scores.dtype == np.float64
    assert found.threshold == pytest.approx(0.5, abs=1e-5)
    np.testing.assert_array_equal(found.flagged, found.scores > found.threshold)
    assert roc_auc_score(WRONG, found.scores) > 0.97
    assert f1_score(WRONG, found.flagged) > 0.8
    assert found.info.copies_found > 0.9
    assert found.info.remark == ""


def test_info_tells_what_was_searched_and_kept(found):
    info = found.info
    assert info.metric.shape == info.cluster.shape == info.align.shape == (4, 5)
    assert info.alphas.tolist() == [0.05, 0.5, 0.05, 0.5]
    assert info.seeds.tolist() == [0, 0, 1, 1]
    assert info.metric[info.candidate, info.epoch] == info.metric.max()
    assert np.isnan(info.cluster[:, 0]).all()
    assert np.isfinite(info.cluster[:, 1:]).all()
    # Candidates of one seed start from one encoder.
    np.testing.assert_array_equal(info.metric[[0, 2], 0], info.metric[[1, 3], 0])
    assert info.metric[0, 0] != info.metric[2, 0]
    assert info.counts.sum() == 360
    assert info.counts[1].sum() == COPIES.sum()
    assert info.counts[0, 1] == found.flagged.sum()
    values = inputs.sequences(TRACE, signals=("quantised-margin",))[..., 0]
    np.testing.assert_allclose(info.dynamics[0, 1], values[~COPIES][found.flagged].mean(axis=0), atol=1e-6)
    drawn = info.drawn
    np.testing.assert_array_equal(drawn.rows, np.arange(360))
    np.testing.assert_array_equal(drawn.corrupted, COPIES)
    np.testing.assert_array_equal(drawn.scores[~COPIES], found.scores)
    np.testing.assert_allclose(drawn.representations, represent(info.weights.encoder, values), atol=1e-5)


def test_scores_and_metric_are_those_of_the_equations(found):
    values = inputs.sequences(TRACE, signals=("quantised-margin",))[..., 0]
    kept = found.info.weights
    z = reference.represent(kept.encoder, values)
    q = reference.q_noisy(z, np.float64(kept.noisy), np.float64(kept.clean))
    np.testing.assert_allclose(found.scores, q[~COPIES], atol=1e-5)
    assert found.info.metric.max() == pytest.approx(reference.metric(q, COPIES), rel=1e-3)


def test_the_first_step_is_taken_from_the_mean_representations_jitted_or_not():
    """One step over all examples: its losses, and the metric before it, from the encoder that the key draws."""
    config = dataclasses.replace(SMALL, epochs=1, steps=1, batch_size=360, choose="last")
    values = inputs.sequences(TRACE, signals=("quantised-margin",))[..., 0]

    def fit(key, values, copies, rows, alpha):
        return dynacor_fit.fit(key, values, copies, rows, alpha, config=config, observe=lambda weights: weights)

    arguments = (KEY, values, COPIES, np.arange(360), np.float32(0.5))
    trained, history = fit(*arguments)
    assert int(history.best) == 1
    untrained = jax.tree.map(lambda array: array[0], history.observed)
    z = reference.represent(untrained.encoder, values)
    np.testing.assert_allclose(untrained.noisy, z[COPIES].mean(0), atol=1e-5)
    np.testing.assert_allclose(untrained.clean, z[~COPIES].mean(0), atol=1e-5)
    q = reference.q_noisy(z, z[COPIES].mean(0), z[~COPIES].mean(0))
    assert float(history.metric[0]) == pytest.approx(reference.metric(q, COPIES), rel=1e-3)
    assert float(history.losses.cluster[1]) == pytest.approx(reference.cluster_loss(q), rel=1e-3)
    assert float(history.losses.align[1]) == pytest.approx(reference.align_loss(z, q, COPIES), rel=1e-3)
    # Adam's first step has the length of the learning rate in every coordinate.
    np.testing.assert_allclose(np.abs(trained.noisy - untrained.noisy), 1e-3, rtol=0.05)
    # And its sign there: of the last bias, which moves all representations alike, by central differences.
    target = reference.p_noisy(q)

    def slopes(weight):
        def loss(moved):
            moved_q = reference.q_noisy(moved, z[COPIES].mean(0), z[~COPIES].mean(0))
            return weight * reference.cluster_loss(moved_q, target) + 0.5 * reference.align_loss(moved, q, COPIES)

        return np.array([loss(z + step) - loss(z - step) for step in 1e-4 * np.eye(z.shape[1])])

    taken = np.sign(trained.encoder.bias - untrained.encoder.bias)
    np.testing.assert_array_equal(taken, -np.sign(slopes(config.cluster_weight)))
    assert (np.sign(slopes(1.0)) != np.sign(slopes(config.cluster_weight))).any()
    for a, b in zip(*map(jax.tree.leaves, ((trained, history), jax.jit(fit)(*arguments))), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_equal_chances_are_ranked_by_the_mean_margin(found):
    values = inputs.sequences(TRACE, signals=("quantised-margin",))[~COPIES, :, 0]
    margin = np.log(P / (1 - P))[~COPIES].mean(axis=1)
    _, kind = np.unique(values, axis=0, return_inverse=True)
    shared = np.flatnonzero(np.bincount(kind) > 1)
    assert len(shared)
    for group in (np.flatnonzero(kind == k) for k in shared):
        assert np.ptp(found.scores[group]) <= 1e-9
        np.testing.assert_array_equal(np.argsort(-found.scores[group]), np.argsort(margin[group]))


def test_the_order_of_examples_does_not_matter(found, caplog):
    order = np.random.default_rng(0).permutation(360)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        moved = dynacor(SMALL)(KEY, TRACE.take(order), COPIES[order])
        assert not [r for r in caplog.records if "ompiling" in r.getMessage()]  # nor does it compile anew
    scores = np.empty(360)
    scores[~COPIES] = found.scores
    np.testing.assert_array_equal(moved.scores, scores[order][~COPIES[order]])
    np.testing.assert_array_equal(moved.info.metric, found.info.metric)


def test_the_key_decides(found):
    other = dynacor(SMALL)(jax.random.key(1), TRACE, COPIES)
    assert not np.array_equal(other.scores, found.scores)


@pytest.mark.parametrize("signal", ["margin", "probability", "loss"])
@pytest.mark.parametrize("change", [{}, {"pooling": "mean", "seeds": 1, "epochs": 1}], ids=["flattened", "pooled"])
def test_other_signals(signal, change):
    found = dynacor(dataclasses.replace(SMALL, signal=signal, **change))(KEY, TRACE, COPIES)
    assert np.isfinite(found.scores).all()
    assert roc_auc_score(WRONG, found.scores) > 0.9


def test_two_classes():
    trace = trace_of(P, num_classes=2)
    found = dynacor(SMALL)(KEY, trace, COPIES)
    assert roc_auc_score(WRONG, found.scores) > 0.95


@pytest.fixture(scope="module")
def digits():
    """A network on the digits, 30 % of whose labels are wrong, beside jittered copies under other labels."""
    rng = np.random.default_rng(0)
    clean = load_digits().target.astype(np.int32)
    flips = rng.random(len(clean)) < 0.3
    given = np.where(flips, (clean + rng.integers(1, 10, len(clean))) % 10, clean).astype(np.int32)
    rows, labels = (np.asarray(a) for a in corrupted_copies(num_classes=10)(KEY, given))
    x = (load_digits().data / 16).astype(np.float32)
    x = np.concatenate([x, x[rows] + rng.normal(0, 0.08, (len(rows), 64)).astype(np.float32)])
    given = np.concatenate([given, labels])
    trace = stacked(trained_logits(given, 10, epochs=20, inputs=x), given)
    return trace, np.arange(len(given)) >= len(clean), flips


def test_real_noise_is_found_no_worse_than_by_untrained_encoders(digits):
    trace, copies, flips = digits
    config = DynaCorConfig(seeds=1, epochs=6, steps=8, learning_rate=1e-4, dimension=64)
    trained, untrained = (
        dynacor(dataclasses.replace(config, epochs=epochs))(KEY, trace, copies) for epochs in (config.epochs, 0)
    )
    assert untrained.info.metric.shape == (2, 1)
    assert untrained.info.epoch == 0
    assert trained.info.metric.max() > untrained.info.metric.max()
    assert f1_score(flips, trained.flagged) > f1_score(flips, untrained.flagged) - 0.01
    assert f1_score(flips, trained.flagged) > 0.9
    assert roc_auc_score(flips, trained.scores) > 0.97


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trace": TRACE.until(2)}, "needs a trace of at least 3 epochs, but this one has 2"),
        ({"trace": dataclasses.replace(TRACE, labels=np.zeros(360, np.int32))}, "holds one class only"),
        ({"corrupted": COPIES[:-1]}, r"corrupted must be \(360,\) bool, one entry per example of the trace"),
        ({"corrupted": COPIES.astype(int)}, r"is \(360,\) int64"),
        ({"corrupted": np.zeros(360, bool)}, "corrupted marks none of the 360 examples"),
        ({"corrupted": np.ones(360, bool)}, "corrupted marks all of the 360 examples"),
    ],
)
def test_traces_and_masks_are_refused(change, message):
    arguments = {"trace": TRACE, "corrupted": COPIES} | change
    with pytest.raises(ValueError, match=message):
        dynacor(SMALL)(KEY, arguments["trace"], arguments["corrupted"])


def test_a_raw_key_is_refused():
    with pytest.raises(TypeError, match="typed key"):
        dynacor(SMALL)(0, TRACE, COPIES)


def test_dynamics_that_are_all_the_same_flag_none_and_say_so():
    found = dynacor(dataclasses.replace(SMALL, validation=1000))(KEY, trace_of(np.full((360, 12), 0.8)), COPIES)
    assert not found.flagged.any()
    assert "no original lies in the noisy cluster" in found.info.remark
    assert np.isfinite(found.info.metric).all()


def test_when_every_example_is_flagged_it_says_so(found, monkeypatch):
    def turned(key, values, corrupted, config):
        weights = jax.tree.map(lambda a: np.asarray(a)[None], found.info.weights)
        centre = represent(found.info.weights.encoder, values[:1])
        nothing = dynacor_fit.Losses(np.zeros((1, 5)), np.zeros((1, 5)))
        history = dynacor_fit.FitHistory(np.zeros((1, 5)), nothing, np.zeros(1, int))
        return weights._replace(noisy=np.asarray(centre), clean=-np.asarray(centre)), history

    monkeypatch.setattr(sys.modules[dynacor.__module__], "search", turned)
    same = trace_of(np.full((360, 12), 0.8))
    found = dynacor(SMALL)(KEY, same, COPIES)
    assert found.flagged.all()
    assert "every original lies in the noisy cluster" in found.info.remark


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signal": "sign"}, "must be one of"),
        ({"alphas": ()}, "alphas must be finite numbers >= 0, and at least one"),
        ({"alphas": (-0.1,)}, "alphas must be finite numbers >= 0"),
        ({"seeds": 0}, "seeds must be a whole number >= 1, but is 0"),
        ({"epochs": -1}, "epochs must be a whole number >= 0, but is -1"),
        ({"widths": ()}, "the encoder needs at least one convolution"),
        ({"learning_rate": 0.0}, "learning_rate must be positive and finite, but is 0"),
        ({"cluster_weight": np.inf}, "cluster_weight must be positive and finite, but is inf"),
        ({"pooling": "max"}, "pooling must be one of flatten, mean"),
        ({"choose": "best"}, "choose must be one of metric, last"),
    ],
)
def test_choices_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DynaCorConfig(**options)
