"""Meta-Weight-Net against differentiating through everything, its start, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from learners import ROWS, TX, N, ahead, made, plain_step, start, task

from jaxnoisy import weights as weighting
from jaxnoisy.weights.mwnet import value


def test_mwnet_against_differentiating_through_everything():
    """By Adam's first step, which is the sign of the gradient."""
    p, learner = task(), made("mwnet")
    state, params, opt_state = start("mwnet")
    each = p.losses(params, p.batch)[0]

    def clean_loss(network):
        gradient = jax.grad(lambda q: (value(network, each) * p.losses(q, p.batch)[0]).mean())(params)
        updates, _ = TX.update(gradient, opt_state, params)
        return p.clean_loss(optax.apply_updates(params, updates), p.clean)

    slope = jax.jit(jax.grad(clean_loss))(state.network)
    done = learner.learn(state, params, opt_state, ROWS, p.batch, p.clean)
    for g, new, old in zip(*(jax.tree.leaves(t) for t in (slope, done.state.network, state.network))):
        g = np.asarray(g + 1e-4 * old)
        sure = np.abs(g) > 0.05 * np.abs(g).max()
        np.testing.assert_allclose(np.asarray(new - old)[sure], -1e-3 * np.sign(g[sure]), rtol=0.05)
    np.testing.assert_allclose(done.weights, value(done.state.network, each), rtol=1e-4)


def test_mwnet_begins_level_and_its_weights_are_relative_by_default():
    """Every weight is 0.5 at first, by whatever key, and the first step raises those of examples that help."""
    p = task()
    learner = weighting.mwnet(jax.random.key(1), p.losses, p.clean_loss, TX, has_aux=True)
    state, opt_state = learner.init(N), TX.init(p.params)
    np.testing.assert_array_equal(value(state.network, jnp.linspace(0, 9, 6)), 0.5)
    done = jax.jit(learner.learn)(state, p.params, opt_state, ROWS, p.batch, p.clean)
    gradient = ahead("sum")(p.params, opt_state, jnp.full(6, 0.5), p.batch, p.clean).gradient
    # As a function of the loss alone: along its own change, the clean loss falls.
    assert float(gradient @ (done.weights - 0.5)) < 0
    plain = plain_step("sum")(p.params, opt_state, done.weights, p.batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), done.params, plain.params)


def test_bad_choices():
    p = task()
    with pytest.raises(TypeError, match="key must be a single typed key"):
        weighting.mwnet(0, p.losses, p.clean_loss, TX)
    with pytest.raises(ValueError, match="learning_rate must be positive, but is -1"):
        weighting.mwnet(jax.random.key(0), p.losses, p.clean_loss, TX, learning_rate=-1)
    with pytest.raises(ValueError, match="start must be one of level, random, but is 'flat'"):
        weighting.mwnet(jax.random.key(0), p.losses, p.clean_loss, TX, start="flat")
    with pytest.raises(ValueError, match="normalise must be one of sum, count, but is 'max'"):
        weighting.mwnet(jax.random.key(0), p.losses, p.clean_loss, TX, normalise="max")
