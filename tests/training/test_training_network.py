import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tiny import MLP, ConvNet, leaves, linear

from jaxnoisy.training import functional

X = jnp.asarray(np.random.default_rng(0).normal(size=(16, 4, 4, 1)), jnp.float32)


def test_a_linear_layer_is_its_formula_in_both_modes():
    model = linear(16, 3)
    network, params, rest = functional(model)
    x = X.reshape(16, 16)
    expected = x @ model.kernel[...] + model.bias[...]
    np.testing.assert_allclose(network.evaluate(params, rest, x), expected, rtol=1e-6)
    np.testing.assert_allclose(network.train(params, rest, x)[0], expected, rtol=1e-6)


def test_batch_norm_trains_on_the_batch_and_evaluates_on_the_running_statistics():
    network, params, rest = functional(ConvNet(1, 3))
    _, later = network.train(params, rest, X)
    conv, norm, last = params["conv"], params["norm"], params["last"]
    hidden = jax.lax.conv_general_dilated(
        X, conv["kernel"][...], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    hidden += conv["bias"][...]
    mean, var = hidden.mean(axis=(0, 1, 2)), hidden.var(axis=(0, 1, 2))
    # Flax: running = momentum * running + (1 - momentum) * batch, from 0 and 1.
    np.testing.assert_allclose(later["norm"]["mean"][...], 0.2 * mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(later["norm"]["var"][...], 0.8 + 0.2 * var, rtol=1e-4)

    def by_hand(mean, var):
        h = (hidden - mean) / jnp.sqrt(var + 1e-5) * norm["scale"][...] + norm["bias"][...]
        return jax.nn.relu(h).mean(axis=(1, 2)) @ last["kernel"][...] + last["bias"][...]

    np.testing.assert_allclose(network.train(params, rest, X)[0], by_hand(mean, var), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(network.evaluate(params, rest, X), by_hand(0.0, 1.0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        network.evaluate(params, later, X), by_hand(0.2 * mean, 0.8 + 0.2 * var), rtol=1e-4, atol=1e-5
    )


def test_dropout_drops_in_training_only_and_anew_each_time():
    network, params, rest = functional(MLP(16, 3, dropout=0.5))
    first, rest_1 = network.train(params, rest, X)
    second, _ = network.train(params, rest_1, X)
    again, _ = network.train(params, rest, X)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)
    evaluated = network.evaluate(params, rest, X)
    np.testing.assert_array_equal(evaluated, network.evaluate(params, rest_1, X))
    assert not np.array_equal(first, evaluated)


def test_the_module_is_left_as_it_is():
    for model in (ConvNet(1, 3), MLP(16, 3, dropout=0.5)):
        before = leaves(nnx.state(model))
        network, params, rest = functional(model)
        network.train(params, rest, X)
        jax.jit(network.train)(params, rest, X)
        network.evaluate(params, rest, X)
        for a, b in zip(before, leaves(nnx.state(model))):
            np.testing.assert_array_equal(a, b)
        modes = [m.use_running_average for m in [getattr(model, "norm", None)] if m] or [model.drop.deterministic]
        assert modes == [False]


def test_the_merged_module_evaluates():
    network, params, rest = functional(ConvNet(1, 3))
    _, rest = network.train(params, rest, X)
    module = network.merge(params, rest)
    np.testing.assert_allclose(module(X), network.evaluate(params, rest, X), rtol=1e-6)
    np.testing.assert_array_equal(module(X[:1])[0], module(X[:1])[0])


def test_it_differentiates_and_vmaps():
    network, params, rest = functional(MLP(16, 3))
    gradient = jax.grad(lambda p: network.train(p, rest, X)[0].sum())(params)
    # The gradient of a sum with respect to the last bias counts the examples.
    np.testing.assert_allclose(gradient["last"]["bias"][...], 16.0)
    single = jax.vmap(lambda x: network.evaluate(params, rest, x[None])[0])(X)
    np.testing.assert_allclose(single, network.evaluate(params, rest, X), rtol=1e-5, atol=1e-6)
