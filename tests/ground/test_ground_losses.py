import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax, softmax

from jaxnoisy.losses import cross_entropy


def test_cross_entropy_is_minus_the_log_softmax():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(50, 6)) * 5, rng.integers(0, 6, 50)
    expected = -log_softmax(z, axis=1)[np.arange(50), y]
    np.testing.assert_allclose(
        cross_entropy(jnp.asarray(z, jnp.float32), jnp.asarray(y)), expected, rtol=2e-5, atol=1e-6
    )


def test_its_gradient_is_the_probabilities_less_the_label():
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=(20, 4)), rng.integers(0, 4, 20)
    gradient = jax.grad(lambda logits: cross_entropy(logits, jnp.asarray(y)).sum())(jnp.asarray(z, jnp.float32))
    np.testing.assert_allclose(gradient, softmax(z, axis=1) - np.eye(4)[y], rtol=1e-4, atol=1e-6)


def test_bfloat16_logits_are_summed_in_float32():
    z = jnp.zeros((1, 1000), jnp.bfloat16)
    loss = cross_entropy(z, jnp.array([3]))
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, np.log(1000.0), rtol=1e-6)
