"""Training a detector: what it learns, what it keeps, and what it refuses."""

import dataclasses
import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from lstm_runs import SMALL, planted, trace_of
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from jaxnoisy.detect import LSTMConfig, fine_tune, lstm, lstm_config, lstm_fit, lstm_network, train_detector
from jaxnoisy.dynamics import inputs

SIGNALS = ("probability", "margin")
CONFIG = dataclasses.replace(SMALL, signals=SIGNALS)
PLANTED, FLIPS = planted()
TRACE = trace_of(PLANTED)
VALUES = inputs.sequences(TRACE, signals=SIGNALS)


@pytest.fixture(scope="module")
def detector():
    return train_detector(jax.random.key(0), VALUES, FLIPS, CONFIG, about="planted")


def fitted(key, weights, values, flips, split, config):
    """As ``train_detector`` fits, which leaves the learning rate out of what is compiled."""
    fit = jax.jit(lstm_fit.fit, static_argnames="config")
    rate, config = np.float32(config.learning_rate), dataclasses.replace(config, learning_rate=1.0)
    return fit(key, weights, values, flips, split, rate, config=config)


def leaves(detector):
    return [np.asarray(a) for a in jax.tree.leaves(detector.weights)]


def test_the_order_in_time_is_what_is_learned():
    rng = np.random.default_rng(0)
    forth = np.cumsum(rng.random((320, 12)), axis=1) / 12
    # The same values, backwards: no statistic that forgets their order tells them apart.
    values = np.repeat(np.where(FLIPS[:, None], forth[:, ::-1], forth)[..., None], 2, axis=2)
    detector = train_detector(jax.random.key(0), values, FLIPS, CONFIG)
    fresh = np.repeat(np.cumsum(rng.random((200, 12, 1)), axis=1) / 12, 2, axis=2)
    scores = np.concatenate([detector.logits(fresh[:, ::-1]), detector.logits(fresh)])
    assert roc_auc_score(np.arange(400) < 200, scores) > 0.99


def test_the_same_key_gives_the_same_detector(detector, caplog):
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        again = train_detector(jax.random.key(0), VALUES, FLIPS, CONFIG)
        assert not [r for r in caplog.records if "ompiling" in r.getMessage()]  # nor does it compile anew
    for a, b in zip(leaves(detector), leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    other = train_detector(jax.random.key(1), VALUES, FLIPS, CONFIG)
    assert not any(np.array_equal(a, b) for a, b in zip(leaves(detector), leaves(other), strict=True))


def test_the_history_is_that_of_the_examples_held_out(detector):
    split = lstm_fit.hold_out(jax.random.key(7), FLIPS, 0.1)
    values = VALUES
    best, info = fitted(jax.random.key(8), detector.weights, values, FLIPS, split, CONFIG)
    assert info.validation_loss.shape == info.validation_auc.shape == info.train_loss.shape == (7,)
    kept = int(info.best)
    assert kept == np.argmin(info.validation_loss)
    held = np.concatenate([split.wrong, split.right])
    for weights, entry in ((detector.weights, 0), (best, kept)):
        logits = np.asarray(lstm_network.logits(weights, values[held]), np.float64)
        assert float(info.validation_loss[entry]) == pytest.approx(log_loss(FLIPS[held], expit(logits)), rel=1e-4)
        assert float(info.validation_auc[entry]) == pytest.approx(roc_auc_score(FLIPS[held], logits), rel=1e-5)


def test_both_kinds_are_held_out_and_learned_from():
    few = np.zeros(320, bool)
    few[[5, 77]] = True
    for flips, counts in ((FLIPS, (10, 22)), (few, (1, 32)), (~few, (32, 1))):
        train, wrong, right = lstm_fit.hold_out(jax.random.key(0), flips, 0.1)
        assert (len(wrong), len(right)) == counts
        assert flips[wrong].all()
        assert not flips[right].any()
        assert 0 < flips[train].sum() < len(train)
        np.testing.assert_array_equal(np.sort(np.concatenate([train, wrong, right])), np.arange(320))


def test_one_epoch_is_the_steps_of_adamw_one_by_one():
    config = LSTMConfig(hidden=4, layers=1, epochs=1, clip_norm=None, schedule="constant")
    values, flips = VALUES[:100, :, :1], FLIPS[:100]
    rows = np.arange(100)
    train, held = rows[20:], rows[:20]
    split = lstm_fit.Split(train, held[flips[held]], held[~flips[held]])
    draw = functools.partial(lstm_network.init, signals=1, hidden=4, layers=1)
    key, weights = jax.random.key(3), jax.jit(draw)(jax.random.key(4))
    trained, info = fitted(key, weights, values, flips, split, config)
    assert int(info.best) == 1

    def loss(weights, rows):
        z = lstm_network.logits(weights, jnp.asarray(values)[rows])
        return jnp.where(jnp.asarray(flips)[rows], jax.nn.softplus(-z), jax.nn.softplus(z)).mean()

    @jax.jit
    def step(weights, state, rows):
        value, gradient = jax.value_and_grad(loss)(weights, rows)
        updates, state = tx.update(gradient, state, weights)
        return optax.apply_updates(weights, updates), state, value

    order = np.asarray(jax.random.permutation(jax.random.split(key, 1)[0], train))
    tx = optax.adamw(config.learning_rate, weight_decay=config.weight_decay)
    state, losses = jax.jit(tx.init)(weights), []
    for batch in (order[:64], order[64:]):  # the second one is short
        weights, state, value = step(weights, state, batch)
        losses.append(float(value))
    for a, b in zip(jax.tree.leaves(trained), jax.tree.leaves(weights), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)
    assert float(info.train_loss[1]) == pytest.approx((64 * losses[0] + 16 * losses[1]) / 80, rel=1e-4)


def test_fine_tuning_adapts_and_does_no_harm(detector):
    late, flips = planted(n=320, t=20, seed=1)
    # Other data, on which everything is learned so late that the detector takes right labels for wrong.
    shifted = trace_of(late**6)
    before = lstm(detector)(shifted)
    tuned = fine_tune(jax.random.key(0), detector, shifted, flips, dataclasses.replace(CONFIG, learning_rate=0.01))
    after = lstm(tuned)(shifted)
    assert (before.flagged == flips).mean() < 0.8
    assert (after.flagged == flips).mean() > 0.9
    assert (tuned.signals, tuned.epochs) == (detector.signals, detector.epochs)
    assert tuned.card["before"]["about"] == "planted"
    assert tuned.info.validation_loss[tuned.info.best] <= tuned.info.validation_loss[0]


def test_a_fine_tuning_that_helps_nothing_is_not_kept(detector):
    trace = TRACE
    tuned = fine_tune(jax.random.key(0), detector, trace, FLIPS, dataclasses.replace(CONFIG, learning_rate=1e3))
    assert tuned.info.best == 0
    for a, b in zip(leaves(detector), leaves(tuned), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_card_says_what_it_was_trained_on(detector):
    assert detector.card["about"] == "planted"
    assert (detector.card["examples"], detector.card["mislabeled"]) == (320, 96)
    assert detector.card["config"]["learning_rate"] == CONFIG.learning_rate
    assert detector.card["validation auc"] == pytest.approx(float(detector.info.validation_auc[detector.info.best]))


def test_pooled_traces_of_other_lengths():
    (a, flips_a), (b, flips_b) = planted(n=160, t=12, seed=2), planted(n=160, t=7, seed=3)
    values = inputs.pooled([trace_of(a), trace_of(b)], signals=SIGNALS)
    detector = train_detector(jax.random.key(0), values, np.concatenate([flips_a, flips_b]), CONFIG)
    fresh, flips = planted(n=300, t=9, seed=4)
    assert roc_auc_score(flips, lstm(detector)(trace_of(fresh)).scores) > 0.95


def test_the_papers_settings():
    paper = lstm_config.PAPER
    assert (paper.hidden, paper.layers, paper.epochs, paper.batch_size) == (64, 2, 10, 64)
    assert (paper.learning_rate, paper.schedule, paper.clip_norm) == (0.1, "constant", None)
    assert lstm_config.PAPER_FINE_TUNING.learning_rate == 0.03
    assert LSTMConfig().signals == ("probability",)


@pytest.mark.parametrize(
    ("flips", "message"),
    [
        (np.zeros(320, bool), "at least 2 mislabeled examples, but flips mark 0 of 320"),
        (np.ones(320, int), "at least 2 rightly labeled examples, but flips mark 0 of 320"),
        (np.arange(320) == 3, "at least 2 mislabeled examples, but flips mark 1 of 320"),
        (FLIPS[:-1], r"flips must have shape \(320,\)"),
        (FLIPS * 2, "bool, or 0 and 1"),
        (FLIPS.astype(float), "bool, or 0 and 1"),
    ],
)
def test_flips_that_cannot_be_learned_from(flips, message):
    with pytest.raises(ValueError, match=message):
        train_detector(jax.random.key(0), VALUES, flips, CONFIG)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (VALUES[..., 0], ValueError, r"shape \(n, t, 2\) for the signals probability, margin"),
        (VALUES[..., :1], ValueError, r"\(320, 12, 1\)"),
        (VALUES[:, :1], ValueError, "at least 2 epochs, but these have 1"),
        (np.where(VALUES < 0.5, np.nan, VALUES), ValueError, "not finite"),
        (VALUES > 0.5, TypeError, "floating point"),
    ],
)
def test_sequences_that_cannot_be_learned_from(values, error, message):
    with pytest.raises(error, match=message):
        train_detector(jax.random.key(0), values, FLIPS, CONFIG)


def test_one_epoch_traces_cannot_be_fine_tuned_on(detector):
    with pytest.raises(ValueError, match="one epoch"):
        fine_tune(jax.random.key(0), detector, TRACE.until(1), FLIPS)


def test_keys_are_typed(detector):
    with pytest.raises(TypeError, match=r"jax.random.key\(seed\)"):
        train_detector(0, VALUES, FLIPS, CONFIG)
    with pytest.raises(TypeError, match=r"jax.random.key\(seed\)"):
        fine_tune(0, detector, TRACE, FLIPS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"signals": ("entropy",)},
        {"hidden": 0},
        {"epochs": 0},
        {"batch_size": 1.5},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"clip_norm": -1.0},
        {"schedule": "step"},
        {"choose": "accuracy"},
        {"validation": 1.0},
        {"weight_decay": -0.1},
    ],
    ids=str,
)
def test_settings_out_of_range(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LSTMConfig(**wrong)
