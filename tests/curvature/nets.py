"""Small networks whose matrices can be formed, and those matrices, from their definitions."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxnoisy import curvature


class Problem(NamedTuple):
    model: Any  # (params, x) -> outputs
    params: Any
    data: Any  # (inputs, targets)
    output_loss: Any

    def loss(self, params, example):
        x, y = example
        return self.output_loss(self.model(params, x), y)


def cross_entropy(z, y):
    return jax.nn.logsumexp(z) - z[y]


def half_square(z, y):
    return 0.5 * jnp.sum((z - y) ** 2)


def _mlp(params, x):
    return jnp.tanh(x @ params["in"]["w"] + params["in"]["b"]) @ params["out"]


def _cnn(params, x):
    maps = jax.lax.conv_general_dilated(
        x[None], params["filters"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jnp.tanh(maps[0] + params["bias"]).mean((0, 1)) @ params["head"]


def _tied(params, x):
    return jnp.tanh(x @ params["code"]) @ params["code"].T + params["bias"]


def problem(name, *, n=11, seed=0):
    """Call under ``jax.enable_x64(True)`` for float64."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.result_type(float))

    labels = jnp.asarray(rng.integers(0, 3, n), jnp.int32)
    if name == "mlp":
        params = {"in": {"w": normal(4, 3), "b": normal(3)}, "out": normal(3, 3)}
        return Problem(_mlp, params, (normal(n, 4), labels), cross_entropy)
    if name == "cnn":
        params = {"filters": normal(3, 3, 2, 2), "bias": normal(2), "head": normal(2, 3)}
        return Problem(_cnn, params, (normal(n, 4, 4, 2), labels), cross_entropy)
    x = normal(n, 4)
    return Problem(_tied, {"code": normal(4, 2), "bias": normal(4)}, (x, x), half_square)


NAMES = ("mlp", "cnn", "tied")
KINDS = ("hessian", "gauss_newton", "fisher")


def made(kind, p, **static):
    """The constructor of ``kind`` on the problem's functions."""
    if kind == "gauss_newton":
        return curvature.gauss_newton(p.model, p.output_loss, **static)
    return getattr(curvature, kind)(p.loss, **static)


def dense(kind, p, *, weights=None):
    """The (p, p) matrix of the weighted mean, from jax.hessian or whole Jacobians."""
    numbers = b"".join(np.asarray(a).tobytes() for a in jax.tree.leaves((p.params, p.data)))
    key = kind, p.model, p.output_loss, numbers
    if key not in _each_example:
        _each_example[key] = _matrices(kind, p)
    return np.average(_each_example[key], axis=0, weights=weights)


_each_example = {}


def _matrices(kind, p):
    flat, unravel = ravel_pytree(p.params)

    def one(theta, example):
        return p.loss(unravel(theta), example)

    def each(theta, example):
        if kind == "hessian":
            return jax.hessian(one)(theta, example)
        if kind == "fisher":
            g = jax.grad(one)(theta, example)
            return jnp.outer(g, g)
        x, y = example
        jac = jax.jacobian(lambda t: p.model(unravel(t), x))(theta)
        return jac.T @ jax.hessian(p.output_loss)(p.model(unravel(theta), x), y) @ jac

    return np.asarray(jax.jit(jax.vmap(each, (None, 0)))(flat, p.data))


def vectors(params, k, *, seed=1):
    """A block of k random vectors, and the same as (k, p)."""
    rng = np.random.default_rng(seed)
    block = jax.tree.map(lambda a: rng.normal(size=(k, *a.shape)).astype(a.dtype), params)
    return jax.tree.map(jnp.asarray, block), as_matrix(block)


def as_matrix(block):
    return np.concatenate([np.asarray(a).reshape(len(a), -1) for a in jax.tree.leaves(block)], axis=1)


def as_vector(x):
    return np.concatenate([np.ravel(a) for a in jax.tree.leaves(x)])
