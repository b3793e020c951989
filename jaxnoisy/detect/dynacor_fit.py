"""DynaCor's search for two clusters as one pure function: every epoch, step and validation in one scan."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnoisy.detect.dynacor_config import DynaCorConfig
from jaxnoisy.detect.dynacor_losses import Losses, losses, validation_metric
from jaxnoisy.detect.dynacor_network import Encoder, Weights, init, q_noisy, represent
from jaxnoisy.types import Array, ArrayLike, Key, PyTree

_BLOCK = 1024
_SMALLEST_BATCH = 32  # of which three or so are corrupted copies at the default rate


class FitHistory(NamedTuple):
    """How a search went. Entry 0 is the untrained encoder, entry e the one after e epochs.

    Attributes:
        metric: (epochs + 1,) validation metric.
        losses: (epochs + 1,) means over each epoch's steps; NaN at entry 0.
        best: () the entry that was kept.
        observed: what ``observe`` returned of each, with a leading axis of epochs + 1; None without it.
    """

    metric: Array
    losses: Losses
    best: Array
    observed: PyTree = None


def fit(
    key: Key,
    values: ArrayLike,
    corrupted: ArrayLike,
    rows: ArrayLike,
    alpha: ArrayLike,
    *,
    config: DynaCorConfig,
    observe: Callable[[Weights], Any] | None = None,
) -> tuple[Weights, FitHistory]:
    """Draw an encoder, train it and its centroids, and keep the best epoch, the untrained encoder included.

    Args:
        key: decides the encoder and the order of the examples.
        values: (n, t) float32 dynamics of originals and corrupted copies.
        corrupted: (n,) bool, with both values.
        rows: (k,) the examples that the validation metric is taken over.
        alpha: () weight of the alignment loss.
        config: static under jit; its ``alphas`` and ``seeds`` are not read. Map this function over keys and alphas.
        observe: reads the weights after each epoch, for studies; what it returns stands in the history.

    Returns:
        The weights of the epoch kept, and how the search went. An epoch whose metric is not finite is never kept, and
        of equal ones the first is. Cost: about three times the forward passes of epochs x steps x batch_size dynamics,
        and epochs + 1 forward passes of k.
    """
    values, corrupted = jnp.asarray(values), jnp.asarray(corrupted)
    n, t = values.shape
    size, steps = batches(n, config)
    tx = optax.chain(optax.add_decayed_weights(config.weight_decay), optax.adam(config.learning_rate))
    of_encoder, of_order = jax.random.split(key)
    encoder = init(of_encoder, epochs=t, widths=config.widths, dimension=config.dimension, pooling=config.pooling)
    weights = Weights(encoder, *means(encoder, values, corrupted))

    def loss(weights: Weights, chosen: Array) -> tuple[Array, Losses]:
        found = losses(weights, represent(weights.encoder, values[chosen]), corrupted[chosen])
        return config.cluster_weight * found.cluster + alpha * found.align, found

    def step(state: tuple, chosen: Array) -> tuple[tuple, Losses]:
        weights, optimizer = state
        gradient, found = jax.grad(loss, has_aux=True)(weights, chosen)
        updates, optimizer = tx.update(gradient, optimizer, weights)
        return (optax.apply_updates(weights, updates), optimizer), found

    def validated(weights: Weights) -> tuple[Array, Any]:
        metric = validation_metric(assignments(weights, values[rows]), corrupted[rows])
        return metric, None if observe is None else observe(weights)

    def epoch(state: tuple, xs: tuple[Array, Key]) -> tuple[tuple, tuple[Array, Losses, Any]]:
        weights, optimizer, best, highest, kept = state
        number, order_key = xs
        order = jax.random.permutation(order_key, n)[: steps * size].reshape(steps, size)
        (weights, optimizer), found = jax.lax.scan(step, (weights, optimizer), order)
        metric, observed = validated(weights)
        better = jnp.isfinite(metric) & ((metric > highest) | (config.choose == "last"))
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), weights, best)
        state = weights, optimizer, best, jnp.where(better, metric, highest), jnp.where(better, number, kept)
        return state, (metric, jax.tree.map(jnp.mean, found), observed)

    first, seen = validated(weights)
    before = first, Losses(jnp.full_like(first, jnp.nan), jnp.full_like(first, jnp.nan)), seen
    start = weights, tx.init(weights), weights, first, jnp.zeros((), jnp.int32)
    numbers = jnp.arange(1, config.epochs + 1, dtype=jnp.int32), jax.random.split(of_order, config.epochs)
    (_, _, best, _, kept), later = jax.lax.scan(epoch, start, numbers)
    metric, found, observed = jax.tree.map(lambda one, more: jnp.concatenate([one[None], more]), before, later)
    return best, FitHistory(metric, found, kept, observed)


def batches(n: int, config: DynaCorConfig) -> tuple[int, int]:
    """Dynamics per step, and steps per epoch, which is at most one pass over n examples.

    Example:
        >>> [batches(n, DynaCorConfig()) for n in (20, 60, 2000, 50_000)]
        [(20, 1), (32, 1), (40, 50), (256, 50)]
    """
    size = min(config.batch_size, n, max(_SMALLEST_BATCH, n // config.steps))
    return size, min(config.steps, n // size)


def means(encoder: Encoder, values: Array, corrupted: Array) -> tuple[Array, Array]:
    """The centroids to start from: mean representations (d,) of the corrupted copies, and of the originals.

    Both are linear in what the convolutions give, but a block of examples at a time is simple and as fast.
    """
    shares = jnp.stack([corrupted / corrupted.sum(), ~corrupted / (~corrupted).sum()], axis=1)

    def add(total: Array, block: tuple[Array, Array]) -> tuple[Array, None]:
        block_values, block_shares = block
        return total + block_shares.T @ represent(encoder, block_values), None

    start = jnp.zeros((2, encoder.kernel.shape[1]), values.dtype)
    total, _ = jax.lax.scan(add, start, (_blocks(values), _blocks(shares.astype(values.dtype))))
    return total[0], total[1]


def assignments(weights: Weights, values: Array) -> Array:
    """(n,) chances of dynamics (n, t) to be noisy, block by block."""
    found = jax.lax.map(lambda block: q_noisy(weights, represent(weights.encoder, block)), _blocks(values))
    return found.reshape(-1)[: len(values)]


def _blocks(rows: Array) -> Array:
    """Rows as (blocks, block, ...), filled up with zeros."""
    size = min(_BLOCK, len(rows))
    filled = jnp.pad(rows, ((0, -len(rows) % size), *[(0, 0)] * (rows.ndim - 1)))
    return filled.reshape(-1, size, *rows.shape[1:])
