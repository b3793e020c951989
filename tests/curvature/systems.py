"""Linear systems over a small pytree, with their matrices at hand."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxnoisy import curvature

LIKE = {"a": np.zeros((3, 2)), "b": np.zeros(4)}
P = 10


def orthogonal(p=P, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(p, p)))[0]


def with_eigenvalues(values, seed=0):
    q = orthogonal(len(values), seed)
    return q * values @ q.T


def spd(condition=100.0, seed=0):
    return with_eigenvalues(np.geomspace(1 / condition, 1.0, P), seed)


def like():
    return jax.tree.map(jnp.asarray, LIKE)


def _times(a, x):
    flat, unravel = ravel_pytree(x)
    return unravel(a @ flat)


def operator(a):
    return curvature.from_function(jax.tree_util.Partial(_times, jnp.asarray(a)))


def block(rows):
    """Rows of (k, p) as a block."""
    return jax.vmap(ravel_pytree(like())[1])(jnp.asarray(rows))


def rows(x):
    return np.concatenate([np.asarray(x["a"]).reshape(len(x["a"]), -1), np.asarray(x["b"])], axis=1)


def random_rows(k, seed=1):
    return np.random.default_rng(seed).normal(size=(k, P))


class CountedStream:
    """A re-iterable of rank-one examples whose mean square is the matrix a; counts its passes."""

    def __init__(self, a):
        values, vectors = np.linalg.eigh(a)
        self.examples = (vectors * np.sqrt(values * len(values))).T
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        yield self.examples[:7]
        yield self.examples[7:]


def streamed(a):
    """The operator of a positive definite matrix as a streamed Hessian, and the stream."""

    def loss(params, example):
        return 0.5 * (ravel_pytree(params)[0] @ example) ** 2

    stream = CountedStream(a)
    return curvature.hessian(loss)(like(), curvature.Stream(stream)), stream
