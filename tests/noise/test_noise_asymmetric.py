import jax
import numpy as np
import pytest
from noise_rates import assert_follows

from jaxnoisy.noise import asymmetric, asymmetric_matrix

CIFAR10 = [0, 1, 0, 5, 7, 3, 6, 7, 8, 1]


@pytest.mark.parametrize("mapping", [None, CIFAR10], ids=["pairs", "cifar10"])
def test_rates_follow_the_matrix(mapping):
    labels = np.arange(20_000) % 10
    noisy = asymmetric(num_classes=10, rate=0.4, mapping=mapping)(jax.random.key(0), labels)
    assert_follows(labels, noisy.labels, asymmetric_matrix(num_classes=10, rate=0.4, mapping=mapping))


def test_default_is_the_next_class_around_the_end():
    noisy = asymmetric(num_classes=256, rate=1.0)(jax.random.key(0), np.arange(256).astype(np.uint8))
    np.testing.assert_array_equal(noisy.labels, [*range(1, 256), 0])


def test_classes_mapped_to_themselves_never_flip():
    noisy = asymmetric(num_classes=10, rate=1.0, mapping=CIFAR10)(jax.random.key(0), np.arange(10))
    np.testing.assert_array_equal(noisy.labels, CIFAR10)
    np.testing.assert_array_equal(np.flatnonzero(noisy.mask), [2, 3, 4, 5, 9])


def test_matrix_by_hand():
    expected = [[0.75, 0.25, 0.0], [0.0, 0.75, 0.25], [0.25, 0.0, 0.75]]
    np.testing.assert_array_equal(asymmetric_matrix(num_classes=3, rate=0.25), expected)


@pytest.mark.parametrize(
    ("mapping", "error", "message"),
    [
        ([1, 0], ValueError, "mapping has 2 entries"),
        ([1, 2, 3], ValueError, r"mapping\[2\] is 3"),
        ([1.0, 2.0, 0.0], TypeError, "mapping must be integers"),
        ([0, 1, 2], ValueError, "every class to itself"),
    ],
)
def test_bad_mappings(mapping, error, message):
    for build in (asymmetric, asymmetric_matrix):
        with pytest.raises(error, match=message):
            build(num_classes=3, rate=0.1, mapping=mapping)
