"""What is computed over examples that are split between devices: a new part joins by one line of MEMBERS."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import curvature, influence
from jaxnoisy.curvature import Stream, last_layer

N, K, D, H, C = 48, 3, 3, 4, 3
DAMPING = 0.1
BATCH = {"batch_size": 16}
BLOCK = {"block_size": 16}
KEY = jax.random.key(0)


class Examples(NamedTuple):
    inputs: Any
    labels: Any
    weights: Any


class Whole(NamedTuple):
    """What every device needs a copy of."""

    params: Any
    query_labels: Any
    vectors: Any  # a block of K


def on_host():
    """Made-up examples and the rest, the same in every process."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    def labels(n):
        return rng.integers(0, C, n).astype(np.int32)

    params = {"in": normal(D, H), "bias": normal(H), "out": normal(H, C)}
    vectors = {name: normal(K, *a.shape) for name, a in params.items()}
    weights = rng.uniform(size=N).astype(np.float32)
    return Examples(normal(N, D), labels(N), weights), Whole(params, labels(K), vectors)


def hidden(params, x):
    return jnp.tanh(x @ params["in"] + params["bias"])


def model(params, x):
    return hidden(params, x) @ params["out"]


def cross_entropy(z, y):
    return jax.nn.logsumexp(z) - z[y]


def loss(params, example):
    return cross_entropy(model(params, example[0]), example[1])


@jax.jit
def head(params, inputs):
    features = hidden(params, inputs)
    return features, features @ params["out"]


# Matrices are built outside jit, where values are checked, and passed through it.
_apply = jax.jit(lambda function, *given: function(*given))
_factorised = jax.jit(lambda matrix, like: curvature.factorised(matrix, like, damping=DAMPING))
_arnoldi = jax.jit(lambda matrix, like: curvature.arnoldi(KEY, matrix, like, rank=3, steps=4, damping=DAMPING))


@functools.cache
def _solver(method):
    solve = getattr(curvature, method)(damping=DAMPING, tolerance=1e-6)
    return jax.jit(lambda matrix, vectors: solve(matrix, vectors))


class Placed:
    """The arrays where they are to be, and what several members start from."""

    def __init__(self, split, whole):
        examples, rest = on_host()
        self.inputs, self.labels, self.weights = map(split, examples)
        self.params, self.query_labels, self.vectors = jax.tree.map(whole, rest)
        self.data = self.inputs, self.labels

    def streamed(self):
        matrix = curvature.hessian(loss, memory=0, **BATCH)(self.params, Stream([self.data]))
        matrix.block(self.vectors)
        return matrix.block(self.vectors)  # compared with the first pass

    @functools.cached_property
    def matrix(self):
        build = curvature.gauss_newton(model, cross_entropy, memory=0, **BATCH)
        return build(self.params, self.data, weights=self.weights)

    @functools.cached_property
    def inverse(self):
        return _factorised(self.matrix, self.params)

    def solved(self, method):
        x, info = _solver(method)(self.matrix, self.vectors)
        return x, info.converged

    @functools.cached_property
    def ekfac(self):
        return curvature.ekfac(model, cross_entropy, **BATCH)(self.params, self.data, weights=self.weights)

    def ekfac_forms(self):
        forms = curvature.ekfac_quadratic_forms(model, cross_entropy, damping=DAMPING, **BATCH)
        return forms(self.ekfac, self.params, self.data)

    def rows(self, mode):
        return influence.pairwise(loss, mode=mode, **BATCH)(self.params, self.data, self.vectors)

    def self_influence(self):
        found, info = influence.self_influence(loss, **BATCH)(self.params, self.data, self.inverse)
        return found, info.converged

    @functools.cached_property
    def head(self):
        return head(self.params, self.inputs)

    @functools.cached_property
    def head_factor(self):
        return last_layer.factorise(*self.head, damping=DAMPING, weights=self.weights, bias=False, **BLOCK)

    def head_scores(self):
        return influence.head.self_influence(self.head_factor, *self.head, self.labels, **BLOCK)

    def head_rows(self):
        return influence.head.pairwise(self.vectors["out"], *self.head, self.labels, **BLOCK)


MEMBERS = {
    "hessian of a stream": lambda a: a.streamed(),
    "block_cg": lambda a: a.solved("block_cg"),
    "factorised": lambda a: _apply(a.inverse, a.vectors)[0],
    "arnoldi": lambda a: _apply(_arnoldi(a.matrix, a.params), a.vectors)[0],
    "ekfac": lambda a: a.ekfac_forms(),
    "gradients": lambda a: influence.gradients(loss, **BATCH)(a.params, a.data),
    "forward": lambda a: influence.matrix(a.rows("forward")),
    "relative": lambda a: influence.matrix(influence.relative(a.rows("forward"), a.weights)),
    "top": lambda a: influence.top(count=2)(a.rows("forward")),
    "self_influence": lambda a: a.self_influence(),
    "head": lambda a: (a.head_scores(), influence.matrix(a.head_rows())),
}
"""``member(placed) -> tree of arrays``."""

ACROSS = (
    "hessian of a stream",
    "block_cg",
    "ekfac",
    "forward",
    "relative",
    "top",
    "self_influence",
    "head",
)
"""Those for two processes: each way in which arrays are read, and in which results are put together."""

EXPLICIT = (
    "hessian of a stream",
    "factorised",
    "arnoldi",
    "gradients",
    "forward",
    "head",
)
"""Those for an Explicit mesh: what the tests of its own part do not have on one."""


class Expected:
    """What members find with everything on one device, computed once."""

    def __init__(self):
        self.placed, self.found = Placed(jnp.asarray, jnp.asarray), {}

    def __getitem__(self, name):
        if name not in self.found:
            self.found[name] = [np.asarray(a) for a in jax.tree.leaves(MEMBERS[name](self.placed))]
        return self.found[name]


def assert_equal_to_rounding(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max(initial=0))
