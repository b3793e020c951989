"""Small networks with per-example losses in training mode, and what a look-ahead is of them by definition."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

C = 3


class Problem(NamedTuple):
    losses: Any  # (params, batch) -> ((b,), aux)
    clean_loss: Any
    params: Any
    batch: Any
    clean: Any
    weights: Any


def cross_entropy(z, y):
    return jax.nn.logsumexp(z, axis=1) - jnp.take_along_axis(z, y[:, None], axis=1)[:, 0]


def _conv(x, w):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _norm(x, p):
    """Batch norm in training mode; returns the statistics too."""
    axes = tuple(range(x.ndim - 1))
    mean, var = x.mean(axes), x.var(axes)
    return p["scale"] * (x - mean) / jnp.sqrt(var + 1e-3) + p["bias"], (mean, var)


def _mlp(params, x, key):
    h = jnp.tanh(x.reshape(len(x), -1) @ params["body"]["w"] + params["body"]["b"])
    h = h * jax.random.bernoulli(key, 0.6, h.shape) / 0.6  # dropout
    return h @ params["head"], h.mean(0)


def _cnn(params, x, key):
    h = jnp.tanh(_conv(x, params["body"]["w"]) + params["body"]["b"])
    return h.mean((1, 2)) @ params["head"], None


def _resnet(params, x, key):
    h, first = _norm(_conv(x, params["body"]["w"]), params["body"]["norm"])
    h = jax.nn.relu(h)
    more, second = _norm(_conv(h, params["block"]["w"]), params["block"]["norm"])
    return jax.nn.relu(h + more).mean((1, 2)) @ params["head"], (first, second)


FORWARD = {"mlp": _mlp, "cnn": _cnn, "resnet": _resnet}


def _params(name, normal):
    def norm(d):
        return {"scale": 1 + 0.1 * normal(d), "bias": 0.1 * normal(d)}

    if name == "mlp":
        return {"body": {"w": normal(16, 5), "b": normal(5)}, "head": normal(5, C)}
    if name == "cnn":
        return {"body": {"w": 0.5 * normal(3, 3, 1, 4), "b": normal(4)}, "head": normal(4, C)}
    return {
        "body": {"w": 0.5 * normal(3, 3, 1, 4), "norm": norm(4)},
        "block": {"w": 0.3 * normal(3, 3, 4, 4), "norm": norm(4)},
        "head": normal(4, C),
    }


def problem(name, *, b=6, m=5, seed=0):
    """Call under ``jax.enable_x64(True)`` for float64. One example of the batch has weight 0."""
    rng = np.random.default_rng(seed)
    dtype = jnp.result_type(float)
    forward = FORWARD[name]

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), dtype)

    def examples(k, number):
        labels = jnp.asarray(rng.integers(0, C, k), jnp.int32)
        return normal(k, 4, 4, 1), labels, jax.random.key(number)

    def losses(params, batch):
        x, y, key = batch
        z, aux = forward(params, x, key)
        return cross_entropy(z, y), aux

    def clean_loss(params, clean):
        return losses(params, clean)[0].sum()

    weights = jnp.asarray(rng.uniform(0.2, 1, b) * (np.arange(b) != 1), dtype)
    return Problem(losses, clean_loss, _params(name, normal), examples(b, 1), examples(m, 2), weights)
