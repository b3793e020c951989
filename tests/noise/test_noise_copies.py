"""Corrupted copies: which labels they get, and how many of them are wrong whatever the noise of the originals."""

import jax
import numpy as np
import pytest

from jaxnoisy.noise import asymmetric, corrupted_copies, instance, superclass, symmetric, transition, twice

N = 6000
INPUTS = np.random.default_rng(0).standard_normal((N, 4)).astype(np.float32)


def kinds(c):
    """Every kind of noise, at rates that leave the right label the most frequent one of its class."""
    groups = np.arange(c) // 2
    drift = 0.7 * np.eye(c) + 0.3 * np.roll(np.eye(c), 1, axis=1)
    found = {
        "symmetric": symmetric(num_classes=c, rate=0.45 if c == 2 else 0.6),
        "asymmetric": asymmetric(num_classes=c, rate=0.3),
    }
    if c == 2:
        return found
    return found | {
        "instance": instance(num_classes=c, rate=0.4, features="unit_norm"),
        "transition": transition(matrix=drift),
        "twice": twice(symmetric(num_classes=c, rate=0.2), asymmetric(num_classes=c, rate=0.2)),
        "superclass": superclass(num_classes=c, groups=groups, rate=0.4),
    }


@pytest.mark.parametrize(("c", "gamma"), [(2, 1.0), (10, 0.3)])
def test_the_noise_of_copies_has_a_lower_bound_under_every_kind_of_noise(c, gamma):
    clean = np.arange(N) % c
    for number, (kind, corrupt) in enumerate(kinds(c).items()):
        of_noise, of_copies = jax.random.split(jax.random.key(number))
        given = np.asarray(corrupt(of_noise, clean, INPUTS).labels)
        rows, labels = (np.asarray(a) for a in corrupted_copies(num_classes=c, rate=gamma)(of_copies, given))
        wrong, eta = (labels != clean[rows]).mean(), (given != clean)[rows].mean()
        # Given which originals are wrong, the copies of right ones are all wrong, and the others by a draw of c - 1.
        spread = np.sqrt(max(eta / (c - 1) * (1 - 1 / (c - 1)), 0) / len(rows))
        assert abs(wrong - (1 - eta / (c - 1))) <= 5 * spread + 1e-6, kind
        assert eta < 1 - 1 / c, kind
        assert wrong >= 1 - 1 / c - 5 * spread, kind
        assert wrong > eta, kind


@pytest.mark.parametrize(("n", "rate", "copies"), [(50, 1.0, 50), (3, 0.1, 1)])
def test_as_many_copies_as_asked_for_each_of_another_example(n, rate, copies):
    given = (np.arange(n) % 3).astype(np.int16)
    corrupt = corrupted_copies(num_classes=3, rate=rate)
    rows, labels = corrupt(jax.random.key(0), given)
    assert len(rows) == len(np.unique(rows)) == copies
    assert labels.dtype == np.int16
    assert (np.asarray(labels) != given[rows]).all()
    again = jax.jit(corrupt)(jax.random.key(0), given)
    np.testing.assert_array_equal(again.rows, rows)
    np.testing.assert_array_equal(again.labels, labels)


def test_every_other_label_is_as_likely():
    copies = corrupted_copies(num_classes=5, rate=1.0)(jax.random.key(3), np.zeros(4000, int))
    counts = np.bincount(copies.labels, minlength=5)
    assert counts[0] == 0
    assert abs(counts[1:] - 1000).max() < 5 * np.sqrt(750)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 1}, "num_classes must be a whole number >= 2, but is 1"),
        ({"num_classes": 3, "rate": 0.0}, r"rate must lie in \(0, 1\], but is 0"),
        ({"num_classes": 3, "rate": -0.1}, r"rate must lie in \(0, 1\], but is -0.1"),
        ({"num_classes": 3, "rate": 1.5}, r"rate must lie in \(0, 1\], but is 1.5"),
    ],
)
def test_bad_rates_and_classes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        corrupted_copies(**options)
