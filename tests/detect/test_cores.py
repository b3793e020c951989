import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoisy.detect import cores
from jaxnoisy.losses import at_epoch, cross_entropy
from jaxnoisy.losses import cores as cores_loss

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (40, 5)).astype(np.float32)
LABELS = RNG.integers(0, 5, 40).astype(np.int32)


def cross_entropies():
    """(n, c) in float64: what the cross entropy would be under each label."""
    z = LOGITS.astype(np.float64)
    return np.log(np.exp(z).sum(axis=1, keepdims=True)) - z


def test_the_score_is_the_cross_entropy_less_its_mean_over_classes():
    losses = cross_entropies()
    expected = losses[np.arange(40), LABELS] - losses.mean(axis=1)
    found = cores()(LOGITS, LABELS)
    np.testing.assert_allclose(found.scores, expected, atol=1e-6)
    np.testing.assert_array_equal(found.flagged, expected > 0)
    assert found.threshold == 0
    moved = cores()(LOGITS + RNG.normal(size=(40, 1)), LABELS)
    np.testing.assert_allclose(moved.scores, found.scores, atol=1e-5)


@pytest.mark.parametrize(
    ("logits", "labels", "says"),
    [
        (LOGITS[0], LABELS[:1], r"logits must have shape \(n, c\).* \(5,\)"),
        (LOGITS[:, :1], LABELS, "c >= 2 classes"),
        (LOGITS * np.nan, LABELS, "logits has 200 values that are not finite"),
        (LOGITS, LABELS[:3], "labels has 3 entries for 40 examples"),
        (LOGITS, LABELS + 1, "there are 5 classes"),
    ],
)
def test_what_the_sieve_refuses(logits, labels, says):
    with pytest.raises(ValueError, match=says):
        cores()(logits, labels)


@pytest.mark.parametrize(
    ("epoch", "weight", "sieving"), [(0, 0, False), (2, 0, False), (5, 1, False), (6, 4 / 3, True), (19, 2, True)]
)
def test_the_loss_of_each_epoch(epoch, weight, sieving):
    each = cross_entropies()
    given = each[np.arange(40), LABELS]
    expected = given - weight * -np.log(np.exp(-each) + 1e-8).mean(axis=1)
    if sieving:
        kept = given <= each.mean(axis=1)
        assert 0 < kept.sum() < 40
        expected = np.where(kept, expected * 40 / kept.sum(), 0)
    found = jax.jit(lambda e: at_epoch(cores_loss(epochs=20), e)(LOGITS, LABELS))(jnp.asarray(epoch))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_loss_without_its_parts():
    plain = at_epoch(cores_loss(epochs=10, beta=0.0, sieve=False), 9)(LOGITS, LABELS)
    np.testing.assert_allclose(plain, cross_entropy(LOGITS, LABELS), rtol=1e-5)
    assert (at_epoch(cores_loss(epochs=10, sieve=False), 9)(LOGITS, LABELS) != 0).all()


def test_the_reward_is_bounded_and_a_batch_without_a_likely_label_teaches_nothing():
    logits, labels = jnp.array([[300.0, 0.0], [200.0, 0.0]]), jnp.array([1, 1])
    late = at_epoch(cores_loss(epochs=10), 9)
    value, gradient = jax.value_and_grad(lambda z: late(z, labels).sum())(logits)
    assert value == 0
    assert (gradient == 0).all()
    right = late(logits, jnp.array([0, 0]))
    np.testing.assert_allclose(right, np.log(1e-8), rtol=1e-3)


def test_a_plain_loss_is_that_of_every_epoch():
    assert at_epoch(cross_entropy, 3) is cross_entropy


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epochs": 0}, "epochs must be a whole number >= 1, but is 0"),
        ({"epochs": 2, "beta": -1.0}, "beta must be a finite number >= 0, but is -1.0"),
        ({"epochs": 2, "beta": np.inf}, "beta must be a finite number >= 0, but is inf"),
    ],
)
def test_choices_of_the_loss_out_of_range(options, says):
    with pytest.raises(ValueError, match=says):
        cores_loss(**options)
