"""The LSTM against its equations written out in NumPy, and against Flax's cells with the same parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnoisy import recurrence
from jaxnoisy.models import LSTM


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def by_the_equations(layers, x):
    """The last layer's last state, one example, one gate and one step at a time, in float64."""
    out = []
    for sequence in np.asarray(x, np.float64):
        for kernel, recurrent, bias in (tuple(np.asarray(a, np.float64) for a in layer) for layer in layers):
            w, u, b = (np.split(a, 4, axis=-1) for a in (kernel, recurrent, bias))
            h = c = np.zeros(recurrent.shape[0])
            states = []
            for step in sequence:
                i, f, g, o = (step @ w[k] + h @ u[k] + b[k] for k in range(4))
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
                states.append(h)
            sequence = np.array(states)
        out.append(sequence[-1])
    return np.array(out)


def random_layers(features, hidden, layers, seed=0):
    """Layers whose every number matters, biases too."""
    rng = np.random.default_rng(seed)
    drawn = recurrence.init(jax.random.key(seed), features=features, hidden=hidden, layers=layers)
    return tuple(
        recurrence.LSTMLayer(*(jnp.asarray(a + rng.normal(0, 0.5, a.shape), jnp.float32) for a in layer))
        for layer in drawn
    )


@pytest.mark.parametrize(("features", "hidden", "layers", "t"), [(1, 4, 2, 9), (2, 4, 1, 5), (2, 4, 3, 1)])
def test_the_state_is_that_of_the_equations(features, hidden, layers, t):
    stack = random_layers(features, hidden, layers)
    x = np.random.default_rng(1).normal(size=(5, t, features)).astype(np.float32)
    np.testing.assert_allclose(recurrence.last_state(stack, x), by_the_equations(stack, x), rtol=2e-5, atol=1e-6)


def test_gradients_are_those_of_the_equations():
    stack, x = random_layers(1, 4, 2), np.random.default_rng(1).normal(size=(2, 6, 1)).astype(np.float32)
    gradient = jax.grad(lambda stack: recurrence.last_state(stack, x).sum())(stack)
    for layer in range(2):
        for name in recurrence.LSTMLayer._fields:
            array = np.asarray(getattr(stack[layer], name), np.float64)
            for entry in [tuple(0 for _ in array.shape), tuple(s - 1 for s in array.shape)]:
                step = np.zeros_like(array)
                step[entry] = 1e-5
                moved = [
                    by_the_equations(
                        [*stack[:layer], stack[layer]._replace(**{name: array + s}), *stack[layer + 1 :]], x
                    )
                    for s in (step, -step)
                ]
                difference = (moved[0] - moved[1]).sum() / 2e-5
                assert float(getattr(gradient[layer], name)[entry]) == pytest.approx(difference, rel=1e-3, abs=1e-5)


def test_flax_cells_with_the_same_parameters_agree():
    model = LSTM(in_features=2, hidden=4, rngs=nnx.Rngs(3))
    x = np.random.default_rng(1).normal(size=(4, 7, 2)).astype(np.float32)
    y = jnp.asarray(x)
    for layer, features in zip(model.layers, (2, 4), strict=True):
        cell = nnx.OptimizedLSTMCell(features, 4, rngs=nnx.Rngs(0))
        cell.dense_i.kernel[...] = layer.kernel[...]
        cell.dense_h.kernel[...] = layer.recurrent[...]
        cell.dense_h.bias[...] = layer.bias[...]
        y = nnx.RNN(cell)(y, initial_carry=(jnp.zeros((4, 4)), jnp.zeros((4, 4))))
    np.testing.assert_allclose(model.features(x), y[:, -1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model(x), model.head(y[:, -1]), rtol=1e-5, atol=1e-6)


def test_each_gate_starts_orthogonal_and_forgets_little():
    for layer in recurrence.init(jax.random.key(0), features=1, hidden=4, layers=2):
        for gate in np.split(np.asarray(layer.recurrent, np.float64), 4, axis=1):
            np.testing.assert_allclose(gate @ gate.T, np.eye(4), atol=1e-5)
        np.testing.assert_array_equal(layer.bias.reshape(4, 4), np.repeat([[0.0], [1.0], [0.0], [0.0]], 4, axis=1))


def test_keys_decide_the_parameters():
    one, same, other = (recurrence.init(jax.random.key(seed), features=1, hidden=4, layers=2) for seed in (0, 0, 1))
    for a, b, c in zip(jax.tree.leaves(one), jax.tree.leaves(same), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.ndim == 1 or not np.allclose(a, c)


def test_the_default_network_is_the_papers():
    model = nnx.eval_shape(lambda: LSTM(rngs=nnx.Rngs(0)))
    assert [layer.kernel.shape for layer in model.layers] == [(1, 256), (64, 256)]
    assert [layer.recurrent.shape for layer in model.layers] == [(64, 256), (64, 256)]
    assert model.head.kernel.shape == (64, 1)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((2, 5), np.float32), ValueError, r"x\[..., None\]"),
        (np.zeros((2, 5, 3), np.float32), ValueError, r"\(n, t, 1\)"),
        (np.zeros((2, 0, 1), np.float32), ValueError, "t >= 1"),
        (np.zeros((2, 5, 1), int), TypeError, "floating point"),
    ],
)
def test_other_inputs_are_refused(x, error, message):
    with pytest.raises(error, match=message):
        LSTM(hidden=4, rngs=nnx.Rngs(0))(x)


@pytest.mark.parametrize("option", ["in_features", "outputs", "hidden", "layers"])
def test_sizes_must_be_positive(option):
    with pytest.raises(ValueError, match="whole number >= 1"):
        LSTM(**{option: 0}, rngs=nnx.Rngs(0))
