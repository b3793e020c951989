"""Losses of negative learning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from jaxnoisy.losses import cross_entropy
from jaxnoisy.robust import negative_learning, selective_negative, selective_positive

RNG = np.random.default_rng(0)
Z, Y = RNG.normal(size=(40, 5)) * 3, RNG.integers(0, 5, 40)
P = softmax(Z, axis=1)
OTHER = np.eye(5)[Y] == 0
LOGITS, LABELS = jnp.asarray(Z, jnp.float32), jnp.asarray(Y)


def test_negative_learning_by_its_definition():
    expected = -(OTHER * np.log1p(-P)).sum(axis=1)
    np.testing.assert_allclose(negative_learning(LOGITS, LABELS), expected, rtol=2e-5)


def test_it_is_the_papers_loss_in_expectation():
    """One other class drawn at random, c - 1 times."""
    draws = (Y + np.random.default_rng(1).integers(1, 5, (20_000, 40))) % 5
    drawn = -np.log1p(-P[np.arange(40), draws])
    error = 4 * drawn.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(4 * drawn.mean(axis=0) - np.asarray(negative_learning(LOGITS, LABELS))) < 4 * error + 1e-4).all()


def test_its_gradient():
    """sum over k != y of p_k / (1 - p_k) (e_k - p)."""
    weights = np.where(OTHER, P / (1 - P), 0)
    expected = weights - weights.sum(axis=1, keepdims=True) * P
    gradient = jax.grad(lambda z: negative_learning(z, LABELS).sum())(LOGITS)
    np.testing.assert_allclose(gradient, expected, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("size", [50.0, 1e4])
@pytest.mark.parametrize("label", [0, 1])
def test_certain_predictions_have_finite_losses_and_gradients(size, label):
    logits, labels = jnp.array([[size, 0.0, -1.0]]), jnp.array([label])
    value, gradient = jax.value_and_grad(lambda z: negative_learning(z, labels)[0])(logits)
    # The class believed in, if it is another one, is denied: -log(1 - p) is its logit less those of the rest.
    expected = 0.0 if label == 0 else size - np.log(1 + np.exp(-1.0))
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    rest = np.array([1, np.exp(-1.0)]) / (1 + np.exp(-1.0))
    slope = [0, 0, 0] if label == 0 else [1, -rest[0], -rest[1]]
    np.testing.assert_allclose(gradient[0], slope, rtol=1e-5, atol=1e-6)


def test_two_classes_deny_the_other_one():
    z = LOGITS[:, :2]
    np.testing.assert_allclose(negative_learning(z, LABELS % 2), cross_entropy(z, LABELS % 2), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "plain", "above"),
    [
        (selective_negative, negative_learning, 1 / 5),
        (selective_positive, cross_entropy, 0.5),
        (lambda z, y: selective_positive(z, y, above=0.1), cross_entropy, 0.1),
    ],
)
def test_selection(loss, plain, above):
    likely = P[np.arange(40), Y] > above
    assert 5 < likely.sum() < 35
    np.testing.assert_allclose(loss(LOGITS, LABELS), np.where(likely, plain(LOGITS, LABELS), 0), rtol=1e-6)
    gradient = jax.grad(lambda z: loss(z, LABELS).sum())(LOGITS)
    of_all = jax.grad(lambda z: plain(z, LABELS).sum())(LOGITS)
    np.testing.assert_allclose(gradient, np.where(likely[:, None], of_all, 0), rtol=1e-5, atol=1e-7)


def test_bfloat16_logits_are_summed_in_float32():
    for loss in (negative_learning, selective_negative, selective_positive):
        assert loss(LOGITS.astype(jnp.bfloat16), LABELS).dtype == jnp.float32


@pytest.mark.parametrize("above", [-0.1, 1.0, 1.5])
def test_thresholds_out_of_range(above):
    with pytest.raises(ValueError, match="above must"):
        selective_positive(LOGITS, LABELS, above=above)
