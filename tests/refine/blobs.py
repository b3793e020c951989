"""Overlapping clouds of points with some wrong labels, models of them, and the algebra of a head written out."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxnoisy.data import make
from jaxnoisy.models import MLP
from jaxnoisy.training import TrainConfig, predict
from jaxnoisy.training.network import functional

D, C = 4, 3
NAMES = ("a", "b", "c")


def points(n, seed, *, noise=0.0):
    rng = np.random.default_rng(seed)
    truth = (np.arange(n) % C).astype(np.int32)
    x = (rng.normal(size=(n, D)) + 2.5 * np.eye(C, D)[truth]).astype(np.float32)
    wrong = rng.random(n) < noise
    given = np.where(wrong, (truth + rng.integers(1, C, n)) % C, truth).astype(np.int32)
    return make(x, given, clean_labels=truth, class_names=NAMES, name=f"points {seed}")


DATA, VALIDATION, TEST = points(90, 0, noise=0.25), points(45, 1), points(150, 2)


def short(epochs=2, **options):
    fixed = {"batch_size": 30, "learning_rate": 0.05, "record": "none", "on_device": False}
    return TrainConfig(epochs=epochs, **{**fixed, **options})


def normed(seed=0):
    """A model that no name makes: batch norm, and a head without a bias."""
    model = MLP(in_features=D, num_classes=C, hidden=(6,), batch_norm=True, rngs=nnx.Rngs(seed))
    model.head = nnx.Linear(6, C, use_bias=False, rngs=nnx.Rngs(seed))
    return model


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def logits_of(trained, data):
    network, params, rest = functional(trained.model)
    return predict(network, params, rest, trained.scale, data.inputs)


class DenseHead:
    """Everything of a softmax head by its full Hessian, in float64."""

    def __init__(self, kernel, bias, scale, curved, damping):
        self.kernel, self.bias, self.scale = (np.asarray(a, np.float64) for a in (kernel, bias, scale.std))
        self.mean = np.asarray(scale.mean, np.float64)
        h, p = self.ones(curved), softmax(self.logits(curved))
        outer = np.einsum("ni,nj->nij", p, p)
        middle = np.einsum("ni,ij->nij", p, np.eye(C)) - outer
        hessian = np.einsum("nd,ne,nij->diej", h, h, middle) / len(h)
        size = h.shape[1] * C
        self.inverse = np.linalg.inv(hessian.reshape(size, size) + damping * np.eye(size))

    def ones(self, data):
        x = (data.inputs.astype(np.float64) - self.mean) / self.scale
        return np.concatenate([x, np.ones((len(x), 1))], axis=1)

    def logits(self, data):
        return self.ones(data)[:, :-1] @ self.kernel + self.bias

    def gradients(self, data):
        r = softmax(self.logits(data)) - np.eye(C)[data.labels]
        return np.einsum("nd,nk->ndk", self.ones(data), r).reshape(len(r), -1)

    def osm(self, data):
        norms = np.linalg.norm(self.gradients(data) @ self.inverse, axis=1)
        return (norms - norms.mean()) / norms.std()

    def influences(self, data, queries):
        return -self.gradients(data) @ self.inverse @ self.gradients(queries).T

    def osd(self, data, queries):
        found = self.influences(data, queries)
        sigma = np.stack([found[:, queries.labels == k].std(axis=1) for k in range(C)], axis=1)
        return (sigma - sigma.mean(axis=0)) / sigma.std(axis=0)


def leaves(tree):
    """The arrays and numbers of a tree on the host, keys as their words."""
    found = [jnp.asarray(a) for a in jax.tree.leaves(tree)]
    return [np.asarray(jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a) for a in found]


def assert_same(a, b):
    """Two trees of equal arrays, bit for bit."""
    assert len(leaves(a)) == len(leaves(b))
    for x, y in zip(leaves(a), leaves(b)):
        np.testing.assert_array_equal(x, y)
