"""Features on disk are read by blocks, and four times as many examples take no more memory."""

import functools
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoisy import curvature, influence
from jaxnoisy.curvature import last_layer

N, D, C, BLOCK = 1024, 256, 3, 64
"""Features of N examples take 1 MiB."""


class Watched(np.memmap):
    """An array on disk that notes the rows of what is taken of it, and the bytes that JAX holds at that time."""

    def __array_finalize__(self, array):
        super().__array_finalize__(array)
        self.taken, self.held = [], []

    def __getitem__(self, place):
        part = np.asarray(super().__getitem__(place))
        if part.ndim == 2:
            self.taken.append(len(part))
            self.held.append(sum(a.nbytes for a in jax.live_arrays()))
        return part


class Data:
    def __init__(self, folder, n):
        rng = np.random.default_rng(0)
        path = folder / f"features-{n}"
        rng.normal(size=(n, D)).astype(np.float32).tofile(path)
        self.features = Watched(path, np.float32, "r", shape=(n, D))
        self.labels = rng.integers(0, C, n).astype(np.int32)
        self.logits = rng.normal(size=(n, C)).astype(np.float32)


KERNEL = jnp.asarray(np.random.default_rng(1).normal(size=(D, C)), jnp.float32)


def loss(kernel, example):
    x, y = example
    z = x @ kernel
    return jax.nn.logsumexp(z) - z[y]


def _top(mode, data):
    rows = influence.pairwise(loss, mode=mode, batch_size=BLOCK)
    return influence.top(count=2)(rows(KERNEL, (data.features, data.labels), jnp.stack([KERNEL, -KERNEL])))


def _self_influence(data):
    inverse = functools.partial(curvature.cg(damping=1.0), curvature.from_function(jnp.negative))
    scores = influence.self_influence(loss, batch_size=BLOCK)
    return scores(KERNEL, (data.features, data.labels), inverse)[0].values


def _head(data):
    given = data.features, data.logits
    factor = last_layer.factorise(*given, damping=1.0, bias=False, block_size=BLOCK)
    scores = influence.head.self_influence(factor, *given, data.labels, block_size=BLOCK)
    rows = influence.head.pairwise(jnp.stack([KERNEL, -KERNEL]), *given, data.labels, block_size=BLOCK)
    return scores.values, influence.top(count=2)(rows)


WAYS = {
    "forward": functools.partial(_top, "forward"),
    "reverse": functools.partial(_top, "reverse"),
    "self_influence": _self_influence,
    "head": _head,
}


def peak(way, data):
    """Bytes that NumPy and JAX hold at most, above what they held before."""
    before = sum(a.nbytes for a in jax.live_arrays())
    tracemalloc.start()
    try:
        way(data)
        return tracemalloc.get_traced_memory()[1] + max(data.features.held) - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", WAYS)
def test_memory_does_not_grow_with_the_examples(name, tmp_path):
    few, many = Data(tmp_path, N), Data(tmp_path, 4 * N)
    WAYS[name](few)  # compiles
    grown = peak(WAYS[name], many) - peak(WAYS[name], few)
    # What may grow is a few numbers per example: labels, weights, results.
    assert grown < (many.features.nbytes - few.features.nbytes) / 5
    assert max(many.features.taken) == BLOCK
    passes, rest = divmod(sum(many.features.taken), 4 * N)
    assert passes >= 1
    assert rest == 0
