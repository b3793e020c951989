"""The share of flipped labels that ``exact=True`` promises."""

import jax
import numpy as np
import pytest
from noise_rates import assert_share

from jaxnoisy.noise import asymmetric, superclass, symmetric

RATES = [0, 0.05, 0.15, 0.25, 1 / 3, 0.5, 0.6, 0.999, 1]


@pytest.mark.parametrize("n", [1, 10, 359])
@pytest.mark.parametrize("rate", RATES)
def test_every_kind_flips_the_rounded_share(n, rate):
    expected = round(rate * n)
    labels = np.arange(n) % 4
    for corrupt in (
        symmetric(num_classes=4, rate=rate, exact=True),
        asymmetric(num_classes=4, rate=rate, exact=True),
        superclass(num_classes=4, rate=rate, groups=[0, 1, 0, 1], exact=True),
    ):
        assert int(corrupt(jax.random.key(3), labels).mask.sum()) == expected


@pytest.mark.parametrize(
    "corrupt",
    [
        asymmetric(num_classes=4, rate=0.4, mapping=[1, 0, 2, 3], exact=True),
        superclass(num_classes=4, rate=0.4, groups=[0, 0, 1, 2], exact=True),
    ],
    ids=["asymmetric", "superclass"],
)
def test_the_share_is_of_those_that_can_flip(corrupt):
    labels = np.array([0] * 30 + [1] * 25 + [2] * 200 + [3] * 104)
    for seed in range(5):
        mask = np.asarray(corrupt(jax.random.key(seed), labels).mask)
        assert mask[:55].sum() == 22
        assert not mask[55:].any()


def test_nobody_can_flip():
    corrupt = asymmetric(num_classes=3, rate=1.0, mapping=[1, 1, 2], exact=True)
    assert not corrupt(jax.random.key(0), np.array([1, 2, 2, 1, 1] * 2)).mask.any()


def test_every_example_is_chosen_equally_often():
    corrupt = symmetric(num_classes=3, rate=0.3, exact=True)
    keys = jax.random.split(jax.random.key(0), 4000)
    masks = np.asarray(jax.jit(jax.vmap(lambda key: corrupt(key, np.arange(10) % 3).mask))(keys))
    assert (masks.sum(axis=1) == 3).all()
    for i in range(10):
        assert_share(masks[:, i], 0.3)
    # Without replacement the pair (0, 1) is chosen with probability 3/10 * 2/9.
    assert_share(masks[:, 0] & masks[:, 1], 1 / 15)


def test_the_rounding_is_python_s_also_where_the_labels_are_traced():
    n, rates = 20_000, (0.05, 0.15, 0.5, 0.99997)
    corrupts = [asymmetric(num_classes=3, rate=rate, mapping=[1, 0, 2], exact=True) for rate in rates]
    # One program for all rates: they share the permutation, which takes most of the compilation.
    counts = jax.jit(lambda key, labels: [corrupt(key, labels).mask.sum() for corrupt in corrupts])
    for m in (0, 1, 10, 30, 50, 10_001, 16_666, n):
        labels = np.where(np.arange(n) < m, 0, 2)
        assert [int(k) for k in counts(jax.random.key(m), labels)] == [round(rate * m) for rate in rates], m
