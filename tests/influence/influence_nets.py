"""Small networks, and their influences from whole matrices, by definition and in float64."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxnoisy import tree
from jaxnoisy.curvature import SolveInfo

C = 3


class Problem(NamedTuple):
    loss: Any
    params: Any  # those differentiated
    frozen: Any
    train: Any
    queries: Any


def cross_entropy(z, y):
    return jax.nn.logsumexp(z) - z[y]


def _mlp(params, example):
    x, y = example
    return cross_entropy(jnp.tanh(x @ params["in"]["w"] + params["in"]["b"]) @ params["out"], y)


def _cnn(params, example):
    x, y = example
    maps = jax.lax.conv_general_dilated(
        x[None], params["filters"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return cross_entropy(jnp.tanh(maps[0] + params["bias"]).mean((0, 1)) @ params["head"], y)


def _batch_norm(params, example):
    """In evaluation mode: by running statistics, which are not differentiated."""
    x, y = example
    h = x @ params["w"]
    norm = params["norm"]
    h = norm["scale"] * (h - norm["mean"]) / jnp.sqrt(norm["var"] + 1e-5) + norm["bias"]
    return cross_entropy(jax.nn.softplus(h) @ params["out"], y)


def _tied(params, example):
    x, target = example
    return 0.5 * jnp.sum((jnp.tanh(x @ params["code"]) @ params["code"].T + params["bias"] - target) ** 2)


NAMES = ("mlp", "cnn", "batch norm", "tied")


def problem(name, *, n=11, k=4, seed=0):
    """Call under ``jax.enable_x64(True)`` for float64."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.result_type(float))

    def labelled(m, *shape):
        return normal(m, *shape), jnp.asarray(rng.integers(0, C, m), jnp.int32)

    if name == "mlp":
        params = {"in": {"w": normal(4, 3), "b": normal(3)}, "out": normal(3, C)}
        return Problem(_mlp, params, None, labelled(n, 4), labelled(k, 4))
    if name == "cnn":
        params = {"filters": normal(3, 3, 2, 2), "bias": normal(2), "head": normal(2, C)}
        return Problem(_cnn, params, None, labelled(n, 4, 4, 2), labelled(k, 4, 4, 2))
    if name == "batch norm":
        norm = {"scale": normal(3), "bias": normal(3), "mean": normal(3), "var": normal(3) ** 2, "steps": jnp.int32(7)}
        both = {"w": normal(4, 3), "norm": norm, "out": normal(3, C)}
        learned = ("'w'", "'scale'", "'bias'", "'out'")
        params, frozen = tree.split(both, lambda path, leaf: any(part in path for part in learned))
        return Problem(_batch_norm, params, frozen, labelled(n, 4), labelled(k, 4))
    x, q = normal(n, 4), normal(k, 4)
    return Problem(_tied, {"code": normal(4, 2), "bias": normal(4)}, None, (x, x), (q, q))


class Dense(NamedTuple):
    hessian: np.ndarray  # (p, p), of the mean loss
    gradients: np.ndarray  # (n, p)
    of_queries: np.ndarray  # (k, p)
    damping: float  # makes the Hessian positive definite

    @property
    def inverse(self):
        return np.linalg.inv(self.hessian + self.damping * np.eye(len(self.hessian)))

    @property
    def pairwise(self):
        return -self.gradients @ self.inverse @ self.of_queries.T

    @property
    def self_influence(self):
        return np.einsum("ni,ij,nj->n", self.gradients, self.inverse, self.gradients)

    @property
    def norms(self):
        return np.linalg.norm(self.gradients @ self.inverse, axis=1)


def dense(p, *, weights=None):
    """Call under ``jax.enable_x64(True)``, with a problem of float64."""
    flat, unravel = ravel_pytree(p.params)

    def one(theta, example):
        params = unravel(theta) if p.frozen is None else tree.merge(unravel(theta), p.frozen)
        return p.loss(params, example)

    each = jax.jit(jax.vmap(lambda t, e: (jax.grad(one)(t, e), jax.hessian(one)(t, e)), (None, 0)))
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), p.train, p.queries)
    g, h = map(np.asarray, each(flat, both))
    n = len(p.train[0])
    hessian = np.average(h[:n], axis=0, weights=weights)
    lowest = float(np.linalg.eigvalsh(hessian)[0])
    return Dense(hessian, g[:n], g[n:], 0.1 + max(0.0, -lowest))


def as_matrix(block):
    return np.concatenate([np.asarray(a).reshape(len(a), -1) for a in jax.tree.leaves(block)], axis=1)


def as_block(rows, params):
    return jax.vmap(ravel_pytree(params)[1])(jnp.asarray(rows))


def _solve(inverse, rhs):
    leaves, structure = jax.tree.flatten(rhs)
    k = len(leaves[0])
    flat = jnp.concatenate([a.reshape(k, -1) for a in leaves], axis=1) @ inverse
    ends = np.cumsum([a.size // k for a in leaves])[:-1]
    parts = [a.reshape(b.shape) for a, b in zip(jnp.split(flat, ends, axis=1), leaves)]
    none = jnp.zeros(k, flat.dtype)
    return jax.tree.unflatten(structure, parts), SolveInfo(jnp.int32(0), none, none.astype(jnp.int32))


def bound(dense):
    """The exact inverse, as influence functions take one."""
    return jax.tree_util.Partial(_solve, jnp.asarray(dense.inverse, jnp.result_type(float)))
