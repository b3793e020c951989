import jax
import numpy as np
import pytest
from noise_rates import assert_follows

from jaxnoisy.noise import symmetric, symmetric_matrix


@pytest.mark.parametrize(("c", "rate"), [(2, 0.3), (5, 0.4), (10, 0.8)])
def test_rates_follow_the_matrix(c, rate):
    labels = np.arange(20_000) % c
    noisy = symmetric(num_classes=c, rate=rate)(jax.random.key(0), labels)
    assert_follows(labels, noisy.labels, symmetric_matrix(num_classes=c, rate=rate))


def test_a_flip_never_keeps_the_label():
    labels = np.arange(20_000) % 3
    assert symmetric(num_classes=3, rate=1.0)(jax.random.key(0), labels).mask.all()


def test_rate_zero_changes_nothing():
    labels = np.arange(20_000) % 3
    np.testing.assert_array_equal(symmetric(num_classes=3, rate=0.0)(jax.random.key(0), labels).labels, labels)


def test_exact_targets_are_uniform():
    labels = np.arange(20_000) % 4
    noisy = symmetric(num_classes=4, rate=0.6, exact=True)(jax.random.key(0), labels)
    assert_follows(labels, noisy.labels, symmetric_matrix(num_classes=4, rate=0.6))


def test_classes_up_to_the_dtype_s_last():
    labels = np.arange(256).astype(np.uint8)
    noisy = symmetric(num_classes=256, rate=1.0)(jax.random.key(0), labels)
    assert noisy.mask.all()
    assert len(np.unique(noisy.labels)) > 100


def test_matrix_by_hand():
    third = 0.6 / 3
    expected = [[0.4 if i == j else third for j in range(4)] for i in range(4)]
    np.testing.assert_allclose(symmetric_matrix(num_classes=4, rate=0.6), expected, rtol=1e-15)
