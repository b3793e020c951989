"""A trained network's predictions, block by block."""

import functools
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from jaxnoisy import mesh as sharding
from jaxnoisy.training.network import Network
from jaxnoisy.training.normalize import Moments, normalize
from jaxnoisy.types import Array, PyTree


def predict_blocks(
    network: Network,
    params: PyTree,
    rest: PyTree,
    scale: Moments,
    inputs: np.ndarray,
    block: int,
    mesh: Mesh | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray, Array]]:
    """Yield ``(source, rows, logits)`` over all inputs in order, in evaluation mode.

    ``source`` (b,) says which input each row of ``logits`` (b, c) belongs to. Every block has the same shape, so that
    there is one compilation: the last is filled up with its first input, and those repeats carry n in ``rows``, where
    a recorder leaves them out; elsewhere ``rows`` equals ``source``.
    """
    forward = _forward(network)
    n = len(inputs)
    block = sharding.padded_length(min(block, n), mesh)
    for start in range(0, n, block):
        positions = np.arange(start, start + block)
        source = np.where(positions < n, positions, start)
        batch = jax.device_put(inputs[source], sharding.over_examples(mesh))
        yield source, np.where(positions < n, positions, n), forward(params, rest, scale, batch)


@functools.lru_cache(maxsize=4)  # a program per network, without holding on to every network ever evaluated
def _forward(network: Network):  # type: ignore[no-untyped-def]
    return jax.jit(lambda params, rest, scale, inputs: network.evaluate(params, rest, normalize(inputs, scale)))


def predict(
    network: Network, params: PyTree, rest: PyTree, scale: Moments, inputs: np.ndarray, *, block: int = 512
) -> np.ndarray:
    """Logits of every input in evaluation mode, (n, c) float32 on the host."""
    blocks = predict_blocks(network, params, rest, scale, inputs, block)
    return np.concatenate([np.asarray(logits, np.float32)[source == rows] for source, rows, logits in blocks])
