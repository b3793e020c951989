"""A hidden layer before the head: the network below stays as it was, and only the new head is left."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnoisy.models import Narrowed, build
from jaxnoisy.training import functional
from jaxnoisy.training.trained import start


def made(**options):
    return build("mlp", input_shape=(6,), num_classes=3, key=jax.random.key(0), hidden=(8,), **options)


def test_the_hidden_layer_is_on_the_features_of_the_same_network():
    plain, model, x = made(), made(penultimate=4), jax.random.normal(jax.random.key(1), (5, 6))
    want = jax.nn.relu(plain.features(x) @ model.hidden.kernel[...] + model.hidden.bias[...])
    np.testing.assert_allclose(model.features(x), want, rtol=1e-6)
    assert model.features(x).shape == (5, 4)
    np.testing.assert_allclose(model(x), want @ model.head.kernel[...] + model.head.bias[...], rtol=1e-6, atol=1e-7)
    *below, last = model.stages(x)
    np.testing.assert_array_equal(last, model.features(x))
    for a, b in zip(below, plain.stages(x), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_other_head_is_left():
    sizes = {a.shape for a in jax.tree.leaves(nnx.state(made(penultimate=4), nnx.Param))}
    assert sizes == {(6, 8), (8,), (8, 4), (4,), (4, 3), (3,)}


def test_it_trains_and_evaluates_as_its_network_does():
    model = build("cnn", input_shape=(8, 8, 1), num_classes=3, key=jax.random.key(0), penultimate=5, widths=(4,))
    network, params, rest = functional(model)
    x = jax.random.normal(jax.random.key(1), (6, 8, 8, 1))
    _, moved = network.train(params, rest, x)
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(rest), jax.tree.leaves(moved)))
    np.testing.assert_allclose(network.evaluate(params, rest, x[:2]), network.evaluate(params, rest, x)[:2], rtol=1e-5)
    assert model.min_size == 1
    slope = jax.grad(lambda p: network.evaluate(p, rest, x).sum())(params)
    assert all(jnp.isfinite(a).all() for a in jax.tree.leaves(slope))


@pytest.mark.parametrize("width", [0, 2.5, True])
def test_a_width_must_be_a_whole_number(width):
    with pytest.raises(ValueError, match="penultimate must be a whole number >= 1"):
        made(penultimate=width)
    with pytest.raises(ValueError, match="penultimate must be a whole number >= 1"):
        Narrowed(made(), width, rngs=nnx.Rngs(0))


def test_the_start_of_a_run_can_have_one():
    from jaxnoisy.data import make

    clips = make(np.zeros((4, 2, 8, 8, 1), np.uint8), np.array([0, 1, 2, 0]), clips=True)
    assert start("mlp", clips, penultimate=7).frames.head.kernel.shape == (7, 3)
