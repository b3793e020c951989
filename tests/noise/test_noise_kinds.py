import jax
import numpy as np
import pytest

from jaxnoisy.noise import KINDS, asymmetric, by_kind, instance, superclass, symmetric

C, N = 6, 240
GROUPS = [0, 0, 0, 1, 1, 1]
LABELS = np.arange(N) % C
INPUTS = np.random.default_rng(0).standard_normal((N, 6)).astype(np.float32)

DIRECT = {
    "symmetric": symmetric(num_classes=C, rate=0.4),
    "asymmetric": asymmetric(num_classes=C, rate=0.4),
    "instance": instance(num_classes=C, rate=0.4, features="unit_norm"),
    "superclass": superclass(num_classes=C, rate=0.4, groups=GROUPS),
}


def test_the_words():
    assert set(KINDS) == set(DIRECT)


@pytest.mark.parametrize("kind", DIRECT)
def test_a_word_names_its_generator(kind):
    chosen = by_kind(kind, num_classes=C, rate=0.4, groups=GROUPS, features="unit_norm")
    key = jax.random.key(0)
    np.testing.assert_array_equal(chosen(key, LABELS, INPUTS).labels, DIRECT[kind](key, LABELS, INPUTS).labels)


@pytest.mark.parametrize("kind", ["symmetric", "asymmetric", "superclass"])
def test_exact_is_passed_on(kind):
    corrupt = by_kind(kind, num_classes=C, rate=0.4, groups=GROUPS, exact=True)
    assert int(corrupt(jax.random.key(0), LABELS).mask.sum()) == 96


def test_refusals():
    with pytest.raises(
        ValueError, match="kind must be one of symmetric, asymmetric, instance, superclass, but is 'sym'"
    ):
        by_kind("sym", num_classes=4, rate=0.4)
    with pytest.raises(ValueError, match="superclass noise needs groups"):
        by_kind("superclass", num_classes=4, rate=0.4)
    with pytest.raises(ValueError, match="exact=True is not defined for instance noise"):
        by_kind("instance", num_classes=4, rate=0.4, exact=True)
    with pytest.raises(ValueError, match="features must be one of raw, unit_norm"):
        by_kind("instance", num_classes=4, rate=0.4, features="pixels")
