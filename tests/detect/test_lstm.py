"""What a learned detector says of traces."""

import dataclasses
import logging

import jax
import numpy as np
import pytest
from lstm_runs import SMALL, planted, trace_of
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from jaxnoisy.detect import LSTMDetector, lstm, lstm_network, rules, train_detector
from jaxnoisy.dynamics import Observation, Trace, inputs
from jaxnoisy.dynamics.observation import FLOAT_FIELDS
from jaxnoisy.recurrence import last_state


@pytest.fixture(scope="module")
def detector() -> LSTMDetector:
    probabilities, flips = planted()
    return train_detector(jax.random.key(0), probabilities[..., None], flips, SMALL)


def blanked(trace: Trace, gone: np.ndarray) -> Trace:
    fields = {name: np.where(gone, np.nan, getattr(trace.seen, name)).astype(np.float32) for name in FLOAT_FIELDS}
    return dataclasses.replace(trace, seen=Observation(**fields, argmax=np.where(gone, -1, trace.seen.argmax)))


def test_late_learned_labels_of_other_data_are_found(detector):
    probabilities, flips = planted(n=500, rate=0.2, seed=1)
    found = lstm(detector)(trace_of(probabilities))
    assert roc_auc_score(flips, found.scores) > 0.97
    assert (found.flagged == flips).mean() > 0.93
    assert found.threshold == 0.5
    np.testing.assert_array_equal(found.flagged, found.scores > 0.5)
    assert found.scores.dtype == np.float64


def test_scores_are_the_probabilities_of_the_network(detector):
    trace = trace_of(planted(n=20, seed=2)[0])
    state = np.asarray(last_state(detector.weights.layers, inputs.sequences(trace)), np.float64)
    head, offset = (np.asarray(a, np.float64) for a in (detector.weights.head, detector.weights.offset))
    np.testing.assert_allclose(lstm(detector)(trace).scores, expit(state @ head + offset), rtol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 127, 129, 300])
def test_an_example_is_scored_alike_in_any_company(detector, n):
    values = planted(n=300, seed=3)[0].astype(np.float32)[..., None]
    everything = detector.logits(values)
    order = np.random.default_rng(0).permutation(300)[:n]
    np.testing.assert_array_equal(detector.logits(values[order]), everything[order])


def test_the_own_length_is_not_resampled_and_others_score_close(detector):
    fine, flips = planted(n=400, t=45, seed=4)
    exact = trace_of(fine)
    values = inputs.sequences(exact, epochs=12)
    found = lstm(detector)(exact)
    np.testing.assert_allclose(found.scores, expit(detector.logits(values).astype(float)), rtol=1e-6)
    assert roc_auc_score(flips, found.scores) > 0.97
    # Of smooth dynamics, every second epoch tells nearly the same.
    smooth = 1 / (1 + np.exp(-12 * (np.linspace(0, 1, 23) - np.random.default_rng(0).uniform(0.2, 0.8, 50)[:, None])))
    every, second = (lstm(detector)(trace_of(p)).scores for p in (smooth, smooth[:, ::2]))
    assert np.abs(every - second).max() < 0.1
    assert np.corrcoef(every, second)[0, 1] > 0.995


def test_rules_flag_in_place_of_a_half(detector):
    trace = trace_of(planted(n=100, seed=5)[0])
    found = lstm(detector, rule=rules.top_fraction(0.1))(trace)
    assert found.flagged.sum() == 10
    assert found.scores[found.flagged].min() >= found.scores[~found.flagged].max()


def test_gaps_are_borne(detector):
    probabilities, flips = planted(n=300, seed=6)
    trace = trace_of(probabilities)
    gone = np.random.default_rng(0).random(probabilities.shape) < 0.3
    found = lstm(detector)(blanked(trace, gone))
    assert roc_auc_score(flips, found.scores) > 0.95


def test_two_classes(detector):
    probabilities, flips = planted(n=300, seed=7)
    found = lstm(detector)(trace_of(probabilities, num_classes=2))
    assert roc_auc_score(flips, found.scores) > 0.97


def test_one_epoch_is_refused(detector):
    with pytest.raises(ValueError, match="lstm compares epochs and needs a trace of at least 2, but this one has 1"):
        lstm(detector)(trace_of(planted(n=10)[0]).until(1))


def test_rows_never_recorded_are_named(detector):
    trace = trace_of(planted(n=10)[0])
    gone = np.zeros((10, 12), bool)
    gone[[4, 8]] = True
    with pytest.raises(ValueError, match=r"2 of 10 examples were never recorded, the first at row 4, then 8"):
        lstm(detector)(blanked(trace, gone))


def test_the_second_trace_compiles_nothing(detector, caplog):
    lstm(detector)(trace_of(planted(n=200, seed=8)[0]))
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        lstm(detector)(trace_of(planted(n=333, t=7, seed=9)[0]))
        assert not [r for r in caplog.records if "ompil" in r.getMessage()]
        jax.jit(lambda x: x * 3.25 + len(caplog.records))(1.0)
        assert [r for r in caplog.records if "ompil" in r.getMessage()]  # the log does tell


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((3, 11, 1)), r"\(n, 12, 1\).*\(3, 11, 1\).*epochs=12"),
        (np.zeros((3, 12)), r"\(n, 12, 1\)"),
        (np.zeros((0, 12, 1)), "n >= 1"),
        (np.full((3, 12, 1), np.nan), "not finite"),
    ],
)
def test_sequences_that_do_not_fit(detector, values, message):
    with pytest.raises(ValueError, match=message):
        detector.logits(values)


def test_what_is_no_detector_is_refused(detector):
    with pytest.raises(TypeError, match="train_detector or load_detector"):
        lstm(detector.weights)


def test_weights_must_fit_each_other_and_the_signals(detector):
    weights = detector.weights
    with pytest.raises(ValueError, match=r"layer 0 kernel must have shape \(2, 32\) .* for 2 signals"):
        LSTMDetector(weights, ("probability", "margin"), 12)
    bad = weights.layers[1]._replace(bias=np.zeros(8, np.float32))
    with pytest.raises(ValueError, match=r"layer 1 bias must have shape \(32,\)"):
        LSTMDetector(weights._replace(layers=(weights.layers[0], bad)), ("probability",), 12)
    with pytest.raises(ValueError, match="no layers"):
        LSTMDetector(weights._replace(layers=()), ("probability",), 12)
    with pytest.raises(ValueError, match="not finite"):
        LSTMDetector(weights._replace(offset=np.float32(np.nan)), ("probability",), 12)
    with pytest.raises(ValueError, match="epochs must be a whole number >= 2"):
        LSTMDetector(weights, ("probability",), 1)


def test_the_network_is_the_models_lstm(detector):
    from flax import nnx

    from jaxnoisy.models import LSTM

    model = LSTM(hidden=8, rngs=nnx.Rngs(0))
    for layer, arrays in zip(model.layers, detector.weights.layers, strict=True):
        for name, array in arrays._asdict().items():
            getattr(layer, name)[...] = array
    model.head.kernel[...] = detector.weights.head[:, None]
    model.head.bias[...] = detector.weights.offset[None]
    values = planted(n=10, seed=3)[0].astype(np.float32)[..., None]
    np.testing.assert_allclose(model(values)[:, 0], lstm_network.logits(detector.weights, values), rtol=1e-5, atol=1e-6)
