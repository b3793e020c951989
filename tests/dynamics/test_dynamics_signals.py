import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from jaxnoisy.dynamics import Observation, observe, signals

N, T, C = 23, 5, 4


@pytest.fixture(scope="module")
def run():
    """Logits (n, t, c), labels, and their observation with fields (n, t), all in float64."""
    rng = np.random.default_rng(3)
    z, y = rng.normal(size=(N, T, C)) * 4, rng.integers(0, C, N)
    return z, y, stacked(z, y)


def stacked(z, y):
    columns = [observe(z[:, e], y) for e in range(z.shape[1])]
    return Observation(*(np.stack(fields, axis=1) for fields in zip(*columns)))


def given(values, y):
    return np.take_along_axis(values, y[:, None, None], axis=2)[..., 0]


def largest_other(values, y):
    masked = values.copy()
    np.put_along_axis(masked, np.broadcast_to(y[:, None, None], (*values.shape[:2], 1)), -np.inf, axis=2)
    return masked.max(axis=2)


def expected_signals(z, y):
    p, onehot = softmax(z, axis=2), np.eye(z.shape[2])[y][:, None]
    margin = given(z, y) - largest_other(z, y)
    return {
        "probability": given(p, y),
        "loss": -given(log_softmax(z, axis=2), y),
        "margin": margin,
        "probability-margin": given(p, y) - largest_other(p, y),
        "quantised-margin": np.sign(margin),
        "error-norm": np.linalg.norm(p - onehot, axis=2),
    }


def test_every_signal_is_checked():
    assert set(expected_signals(np.zeros((1, 1, 2)), np.zeros(1, int))) == set(signals.SIGNALS)


@pytest.mark.parametrize("name", sorted(signals.SIGNALS))
def test_signal_is_its_formula(run, name):
    z, y, seen = run
    value = signals.SIGNALS[name](seen)
    assert value.shape == (N, T)
    np.testing.assert_allclose(value, expected_signals(z, y)[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted(signals.SIGNALS))
def test_signal_is_the_same_on_the_device(run, name):
    _, _, seen = run
    host = Observation(*(np.asarray(f, np.float32 if f.dtype == np.float64 else np.int8) for f in seen))
    value = signals.SIGNALS[name](Observation(*map(jnp.asarray, host)))
    np.testing.assert_allclose(value, signals.SIGNALS[name](host), rtol=1e-5, atol=1e-6)


def test_correctness_is_the_prediction_against_the_label(run):
    z, y, seen = run
    np.testing.assert_array_equal(signals.correctness(seen, y), z.argmax(axis=2) == y[:, None])
    on_device = signals.correctness(Observation(*map(jnp.asarray, seen)), jnp.asarray(y))
    np.testing.assert_array_equal(on_device, z.argmax(axis=2) == y[:, None])


def test_a_tie_counts_as_right_in_the_quantised_margin():
    seen = stacked(np.array([[[1.0, 1.0, 0.0]], [[0.0, 1.0, 1.0]]]), np.array([1, 0]))
    np.testing.assert_array_equal(signals.quantised_margin(seen), [[1.0], [-1.0]])


def test_missing_entries_are_nan_in_every_signal(run):
    _, y, seen = run
    gaps = np.random.default_rng(0).random((N, T)) < 0.3
    floats = [np.where(gaps, np.nan, f) for f in seen[:4]]
    missing = Observation(*floats, argmax=np.where(gaps, -1, seen.argmax))
    for name, signal in signals.SIGNALS.items():
        np.testing.assert_array_equal(np.isnan(signal(missing)), gaps, err_msg=name)
        np.testing.assert_array_equal(np.isnan(signal(Observation(*map(jnp.asarray, missing)))), gaps, err_msg=name)
    np.testing.assert_array_equal(np.isnan(signals.correctness(missing, y)), gaps)


def half(seen):
    return Observation(*(f.astype(np.float16) for f in seen[:4]), argmax=seen.argmax)


def test_a_small_loss_under_large_logits_survives_half_precision():
    # Raw float16 logits near 20 lie 1/64 apart; the loss here is a sixteenth of that.
    z = np.array([[[20.0, 20.0 + np.log(np.expm1(1e-3))]]])
    seen = half(stacked(z, np.array([0])))
    np.testing.assert_allclose(signals.loss(seen), 1e-3, rtol=2**-11)


def test_half_precision_keeps_eleven_bits(run):
    z, y, seen = run
    expected, stored = expected_signals(z, y), half(seen)
    np.testing.assert_allclose(signals.loss(stored), expected["loss"], rtol=2**-11, atol=2**-25)
    np.testing.assert_allclose(signals.error_norm(stored), expected["error-norm"], rtol=2**-11, atol=2**-12)
    # d p / p = d log p
    relative = np.abs(signals.probability(stored) / expected["probability"] - 1)
    assert (relative <= 1.01 * 2**-11 * expected["loss"] + 1e-6).all()
    # Both terms of the margin are rounded, each to 2^-11 of itself.
    bound = 2**-11 * (np.abs(seen.log_p_given) + np.abs(seen.log_p_other)) + 1e-6
    assert (np.abs(signals.margin(stored) - expected["margin"]) <= bound).all()


def test_error_norm_of_a_perfect_fit_is_zero_and_of_a_certain_miss_is_root_two():
    seen = stacked(np.array([[[200.0, 0.0, 0.0]], [[200.0, 0.0, 0.0]]], np.float32), np.array([0, 1]))
    np.testing.assert_array_equal(signals.error_norm(seen)[0], 0.0)
    np.testing.assert_allclose(signals.error_norm(seen)[1], np.sqrt(2.0), rtol=1e-6)


def test_error_norm_of_a_close_fit_does_not_cancel():
    # Two classes: p_other = 1e-6, and the norm is sqrt(2) of it; 1 + p^2 - 2 p_y is zero in float32.
    seen = stacked(np.array([[[np.log(1e6 - 1), 0.0]]], np.float32), np.array([0]))
    np.testing.assert_allclose(signals.error_norm(seen), np.sqrt(2.0) * 1e-6, rtol=1e-5)
