import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp, softmax

from jaxnoisy.dynamics import observe
from jaxnoisy.dynamics.observation import class_dtype


def batch(b=40, c=7, scale=6.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(b, c)) * scale, rng.integers(0, c, b)


def others(z, y):
    """(b, c - 1): every row without its given class."""
    return np.stack([np.delete(row, k) for row, k in zip(z, y)])


@pytest.mark.parametrize("scale", [0.1, 1.0, 6.0, 40.0])
@pytest.mark.parametrize("c", [2, 3, 10])
def test_fields_are_what_scipy_says_in_float64(c, scale):
    z, y = batch(c=c, scale=scale)
    seen = observe(z, y)
    rows = np.arange(len(y))
    np.testing.assert_allclose(seen.log_p_given, log_softmax(z, axis=1)[rows, y], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(seen.log_p_other, others(log_softmax(z, axis=1), y).max(axis=1), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(seen.log_normalizer, logsumexp(z, axis=1), rtol=1e-12)
    error_norm = np.linalg.norm(softmax(z, axis=1) - np.eye(c)[y], axis=1)
    np.testing.assert_allclose(seen.squared_error, error_norm**2, rtol=1e-9, atol=1e-16)
    np.testing.assert_array_equal(seen.argmax, z.argmax(axis=1))


def test_device_and_host_agree_and_keep_to_their_own_arrays():
    z, y = batch()
    host = observe(z.astype(np.float32), y)
    device = observe(jnp.asarray(z, jnp.float32), jnp.asarray(y))
    for a, b in zip(host, device):
        assert isinstance(a, np.ndarray)
        assert isinstance(b, jax.Array)
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6)


def test_adding_a_constant_to_the_logits_moves_the_normaliser_only():
    # Quarters, so that the shift itself is exact.
    z, y = batch()
    z = np.round(z * 4) / 4
    plain, shifted = observe(z, y), observe(z + 512.0, y)
    for name in ("log_p_given", "log_p_other", "squared_error", "argmax"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(shifted, name))
    np.testing.assert_allclose(shifted.log_normalizer - plain.log_normalizer, 512.0, rtol=1e-12)


def test_half_precision_logits_are_computed_wider():
    z, y = batch()
    half = z.astype(np.float16)
    seen = observe(half, y)
    assert seen.log_p_given.dtype == np.float32
    expected = log_softmax(half.astype(np.float64), axis=1)[np.arange(len(y)), y]
    np.testing.assert_allclose(seen.log_p_given, expected, rtol=1e-6, atol=1e-6)
    assert observe(jnp.asarray(half, jnp.bfloat16), jnp.asarray(y)).log_p_given.dtype == jnp.float32


def test_huge_logits_stay_finite():
    z = np.array([[1e4, -1e4, 0.0], [-3e4, -3e4, -3e4]], np.float32)
    seen = observe(z, np.array([1, 2]))
    np.testing.assert_array_equal(seen.log_p_given, np.float32([-2e4, -np.log(3.0)]))
    assert all(np.isfinite(field).all() for field in seen)


def test_two_classes_and_a_tie_take_the_smaller_class():
    seen = observe(np.array([[0.5, 0.5]]), np.array([1]))
    assert seen.argmax[0] == 0
    np.testing.assert_allclose(seen.log_p_given, np.log(0.5))
    np.testing.assert_allclose(seen.log_p_other, np.log(0.5))


@pytest.mark.parametrize(("c", "expected"), [(2, "int8"), (127, "int8"), (128, "int16"), (32768, "int32")])
def test_classes_are_stored_in_the_smallest_type_that_holds_them(c, expected):
    assert class_dtype(c) == expected
    assert np.iinfo(class_dtype(c)).max >= c - 1
