"""The small models: their arithmetic against NumPy, their options, and that they learn."""

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from sklearn.datasets import load_digits

from jaxnoisy.models import build

# Compiles several times faster than the default generator, once for every shape of a kernel.
KEY = jax.random.key(0, impl="rbg")


def draw(shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def normalised(x):
    """Batch norm by the batch's own statistics, at unit scale and no shift."""
    axes = tuple(range(x.ndim - 1))
    return (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5)


def convolved(x, kernel, before, after):
    """Cross-correlation with zeros around the image: ``before`` at the near sides, ``after`` at the far ones."""
    size, (height, width) = kernel.shape[0], x.shape[1:3]
    padded = np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
    return sum(
        padded[:, i : i + height, j : j + width] @ np.asarray(kernel[i, j]) for i in range(size) for j in range(size)
    )


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_mlp_is_matrix_products_and_relu(batch_norm):
    mlp = build("mlp", input_shape=(2, 3), num_classes=3, key=KEY, hidden=(6, 5), batch_norm=batch_norm)
    x = draw((4, 2, 3))
    h = x.reshape(4, 6)
    for layer in mlp.layers:
        h = h @ np.asarray(layer.kernel[...])
        h = np.maximum(normalised(h) if batch_norm else h, 0)
    np.testing.assert_allclose(mlp.features(x), h, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("patch", [1, 2])
def test_the_cnn_is_convolutions_pools_and_relu(patch, batch_norm):
    options = {"widths": (5, 4), "patch": patch, "batch_norm": batch_norm}
    cnn = build("cnn", input_shape=(8, 8, 2), num_classes=3, key=KEY, **options)
    x = draw((3, 8, 8, 2))
    side = 8 // patch
    y = x.reshape(3, side, patch, side, patch, 2).swapaxes(2, 3).reshape(3, side, side, -1)
    first, second = (np.asarray(layer.kernel[...]) for layer in cnn.convs)
    y = convolved(y, first, 1, 1) if patch == 1 else convolved(y, first, 0, 1)
    y = y.reshape(3, side // 2, 2, side // 2, 2, 5).max((2, 4))
    y = convolved(np.maximum(normalised(y) if batch_norm else y, 0), second, 1, 1)
    y = np.maximum(normalised(y) if batch_norm else y, 0).max((1, 2))
    np.testing.assert_allclose(cnn.features(x), y, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [(28, 28, 1), (9, 13, 3)])
def test_the_cnn_takes_odd_sizes_and_sees_their_last_pixel(size):
    model = build("cnn", input_shape=size, num_classes=10, key=KEY)
    model.eval()
    x = draw((1, *size))
    moved = x.copy()
    moved[0, -1, -1] += 50
    graphdef, state = nnx.split(model)
    logits = jax.jit(lambda x: nnx.merge(graphdef, state)(x))
    assert logits(x).shape == (1, 10)
    assert np.isfinite(logits(x)).all()
    assert not np.allclose(logits(x), logits(moved), atol=1e-3)


def test_options_reach_the_model():
    mlp = build("mlp", input_shape=(4,), num_classes=3, key=KEY, hidden=(6, 5), batch_norm=True)
    assert [layer.kernel.shape for layer in mlp.layers] == [(4, 6), (6, 5)]
    assert len(mlp.norms) == 2
    fine, coarse = (build("cnn", input_shape=(s, s, 1), num_classes=3, key=KEY, widths=(4,)) for s in (15, 16))
    assert (fine.patch, coarse.patch) == (1, 2)
    assert build("cnn", input_shape=(8, 8, 1), num_classes=3, key=KEY, patch=2).patch == 2


def test_a_cnn_without_batch_norm_has_no_other_state():
    plain = build("cnn", input_shape=(8, 8, 1), num_classes=3, key=KEY, widths=(4, 4), batch_norm=False)
    assert not jax.tree.leaves(nnx.split(plain, nnx.Param, ...)[2])
    x = draw((3, 8, 8, 1))
    np.testing.assert_allclose(plain(x)[:1], plain(x[:1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "least"), [("linear", 0.9), ("mlp", 0.93), ("cnn", 0.95)])
def test_small_models_learn_the_digits(name, least):
    x, y = load_digits(return_X_y=True)
    x = (x.reshape(-1, 8, 8, 1) / 16 - 0.3).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:1280], order[1280:]
    model = build(name, input_shape=(8, 8, 1), num_classes=10, key=KEY)
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    optimizer = optax.sgd(0.05, momentum=0.9)

    @jax.jit
    def step(params, rest, state, x, y):
        def loss(params):
            module = nnx.merge(graphdef, params, rest, copy=True)
            value = optax.softmax_cross_entropy_with_integer_labels(module(x), y).mean()
            return value, nnx.split(module, nnx.Param, ...)[2]

        gradients, rest_after = jax.grad(loss, has_aux=True)(params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), rest_after, state

    state = optimizer.init(params)
    for epoch in range(6):
        for batch in np.random.default_rng(epoch).permutation(train).reshape(-1, 64):
            params, rest, state = step(params, rest, state, x[batch], y[batch])
    trained = nnx.merge(graphdef, params, rest)
    trained.eval()
    assert np.mean(np.argmax(trained(x[test]), axis=1) == y[test]) > least
