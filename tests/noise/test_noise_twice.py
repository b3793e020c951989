import jax
import numpy as np
import pytest
from noise_rates import assert_follows, assert_share

from jaxnoisy.noise import (
    TwiceNoisyLabels,
    asymmetric,
    asymmetric_matrix,
    instance,
    symmetric,
    symmetric_matrix,
    twice,
)

LABELS = np.arange(20_000) % 4


def test_the_whole_follows_the_product_of_the_matrices():
    noisy = twice(asymmetric(num_classes=4, rate=0.4), symmetric(num_classes=4, rate=0.3))(jax.random.key(0), LABELS)
    product = asymmetric_matrix(num_classes=4, rate=0.4) @ symmetric_matrix(num_classes=4, rate=0.3)
    assert_follows(LABELS, noisy.labels, product)


def test_the_second_sees_what_the_first_has_left():
    # Classes 0 and 1 go to 2 and 3 first; only those two flip in the second round.
    first = asymmetric(num_classes=4, rate=1.0, mapping=[2, 3, 2, 3])
    second = asymmetric(num_classes=4, rate=1.0, mapping=[0, 1, 0, 2])
    noisy = twice(first, second)(jax.random.key(0), np.array([0, 1, 2, 3]))
    assert isinstance(noisy, TwiceNoisyLabels)
    assert noisy.labels.tolist() == [0, 2, 0, 2]
    assert noisy.first_mask.tolist() == [True, True, False, False]
    assert noisy.second_mask.tolist() == [True, True, True, True]
    assert noisy.mask.tolist() == [False, True, True, True]


def test_the_two_rounds_are_independent():
    flip = symmetric(num_classes=4, rate=0.5)
    noisy = twice(flip, flip)(jax.random.key(0), LABELS)
    assert_share(noisy.first_mask, 0.5)
    assert_share(noisy.second_mask, 0.5)
    assert_share(noisy.first_mask & noisy.second_mask, 0.25)
    # A second flip restores the label with probability 1/3.
    restored = np.asarray(noisy.first_mask & noisy.second_mask & ~noisy.mask)
    assert_share(restored, 0.25 / 3)


def test_each_round_keeps_its_exact_share():
    first = symmetric(num_classes=4, rate=0.2, exact=True)
    second = symmetric(num_classes=4, rate=0.3, exact=True)
    noisy = twice(first, second)(jax.random.key(0), LABELS)
    assert int(noisy.first_mask.sum()) == 4000
    assert int(noisy.second_mask.sum()) == 6000


def test_inputs_reach_both_and_rounds_nest():
    x = np.random.default_rng(0).standard_normal((240, 6)).astype(np.float32)
    labels = np.arange(240) % 6
    by_input = instance(num_classes=6, rate=0.5)
    nested = twice(twice(symmetric(num_classes=6, rate=0.5), asymmetric(num_classes=6, rate=0.5)), by_input)
    noisy = nested(jax.random.key(0), labels, x)
    assert noisy.first_mask.any()
    assert noisy.second_mask.any()
    np.testing.assert_array_equal(noisy.mask, np.asarray(noisy.labels) != labels)
    with pytest.raises(ValueError, match="needs the inputs"):
        nested(jax.random.key(0), labels)


def test_only_generators():
    with pytest.raises(TypeError, match=r"first must be a generator .* 0\.2"):
        twice(0.2, symmetric(num_classes=4, rate=0.2))
    with pytest.raises(TypeError, match="second must be a generator"):
        twice(symmetric(num_classes=4, rate=0.2), "symmetric")
