"""Small networks and small data for the tests of training."""

import jax
import numpy as np
from flax import nnx

from jaxnoisy.data import Dataset, make


class MLP(nnx.Module):
    def __init__(self, features: int, classes: int, *, hidden: int = 8, dropout: float = 0.0, seed: int = 0):
        rngs = nnx.Rngs(seed)
        self.first = nnx.Linear(features, hidden, rngs=rngs)
        self.drop = nnx.Dropout(dropout, rngs=rngs) if dropout else None
        self.last = nnx.Linear(hidden, classes, rngs=rngs)

    def __call__(self, x):
        x = jax.nn.relu(self.first(x.reshape(len(x), -1)))
        return self.last(x if self.drop is None else self.drop(x))


class ConvNet(nnx.Module):
    """One convolution with batch norm."""

    def __init__(self, channels: int, classes: int, *, seed: int = 0):
        rngs = nnx.Rngs(seed)
        self.conv = nnx.Conv(channels, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, momentum=0.8, rngs=rngs)
        self.last = nnx.Linear(4, classes, rngs=rngs)

    def __call__(self, x):
        return self.last(jax.nn.relu(self.norm(self.conv(x))).mean(axis=(1, 2)))


def linear(features: int, classes: int, *, seed: int = 0) -> nnx.Linear:
    return nnx.Linear(features, classes, rngs=nnx.Rngs(seed))


def features(n: int = 45, d: int = 6, c: int = 3, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * rng.uniform(0.5, 4, d) + rng.normal(size=d)
    return make(x.astype(np.float32), np.arange(n) % c)


def images(n: int = 45, c: int = 3, *, channels: int = 1, size: int = 5, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    return make(rng.integers(0, 256, (n, size, size, channels)).astype(np.uint8), np.arange(n) % c)


def leaves(tree) -> list[np.ndarray]:
    """The arrays of a tree on the host, keys as their words."""
    out = []
    for leaf in jax.tree.leaves(tree):
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        out.append(np.asarray(jax.random.key_data(leaf) if is_key else leaf))
    return out


def assert_same_run(a, b, **tolerance):
    """Two fits with the same parameters, statistics and trace: bit for bit unless a tolerance is given."""
    tolerance = tolerance or {"rtol": 0, "atol": 0}
    pairs = [((x.params, x.rest), (y.params, y.rest)) for x, y in [(a.state, b.state)]]
    if a.trace is not None:
        pairs.append(((a.trace.seen, a.trace.mean_probs), (b.trace.seen, b.trace.mean_probs)))
    for left, right in pairs:
        left, right = leaves(left), leaves(right)
        assert len(left) == len(right)
        for p, q in zip(left, right):
            np.testing.assert_allclose(p.astype(np.float64), q.astype(np.float64), **tolerance)


def differs(a, b) -> bool:
    return any(not np.array_equal(p, q) for p, q in zip(leaves(a.state.params), leaves(b.state.params)))
