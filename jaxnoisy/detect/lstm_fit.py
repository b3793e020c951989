"""The whole training of a learned detector as one pure function: every epoch, batch and validation in one scan."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnoisy.detect.lstm_config import LSTMConfig
from jaxnoisy.detect.lstm_network import LSTMWeights, logits
from jaxnoisy.types import Array, ArrayLike, Key


class Split(NamedTuple):
    """Rows of the sequences.

    Attributes:
        train: (k,) rows that are learned from.
        wrong: rows of mislabeled examples held out.
        right: rows of rightly labeled examples held out.
    """

    train: ArrayLike
    wrong: ArrayLike
    right: ArrayLike


class LSTMInfo(NamedTuple):
    """How a training went. Entry 0 is the detector before it, entry e the one after e epochs.

    Attributes:
        train_loss: (epochs + 1,) mean binary cross entropy in nats over each epoch's batches; NaN at entry 0.
        validation_loss: (epochs + 1,) the same over the examples held out.
        validation_auc: (epochs + 1,) area under the ROC curve over the examples held out.
        best: the entry that was kept.
    """

    train_loss: ArrayLike
    validation_loss: ArrayLike
    validation_auc: ArrayLike
    best: Array | int


def hold_out(key: Key, wrong: np.ndarray, share: float) -> Split:
    """Hold out ``share`` of the mislabeled and of the others, at least one of each, and leave at least one of each.

    Args:
        key: a typed key.
        wrong: (n,) bool, with at least two of either value.
        share: in (0, 1).
    """
    # On the host, as every number of examples would compile a shuffle of its own.
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    held, kept = [], []
    for rows in (np.flatnonzero(wrong), np.flatnonzero(~wrong)):
        shuffled = rng.permutation(rows)
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        held.append(shuffled[:count])
        kept.append(shuffled[count:])
    return Split(np.sort(np.concatenate(kept)), *held)


def fit(
    key: Key,
    weights: LSTMWeights,
    sequences: Array,
    flips: Array,
    split: Split,
    learning_rate: Array,
    *,
    config: LSTMConfig,
) -> tuple[LSTMWeights, LSTMInfo]:
    """Train ``weights`` and keep the best of them, the untrained ones included.

    Args:
        key: decides the order of the examples.
        weights: to start from.
        sequences: (n, t, s) float32.
        flips: (n,) bool, True where the label is wrong.
        split: which rows are learned from, and which choose the epoch.
        learning_rate: () at the start, in place of the config's: one compiled program then serves all rates.
        config: static under jit.

    Returns:
        The weights of the best epoch, and how training went. An epoch whose validation is not finite is never kept.
        Cost: about three times the forward passes of epochs x k sequences, in sequence.
    """
    targets = flips.astype(sequences.dtype)
    size, count = config.batch_size, len(split.train)
    steps = -(-count // size)
    tx = _optimizer(config, learning_rate, steps)

    def loss(weights: LSTMWeights, rows: Array, counted: Array) -> Array:
        each = optax.sigmoid_binary_cross_entropy(logits(weights, sequences[rows]), targets[rows])
        return (each * counted).sum() / counted.sum()

    def step(state: tuple, batch: tuple[Array, Array]) -> tuple[tuple, Array]:
        weights, optimizer = state
        value, gradient = jax.value_and_grad(loss)(weights, *batch)
        updates, optimizer = tx.update(gradient, optimizer, weights)
        return (optax.apply_updates(weights, updates), optimizer), value * batch[1].sum()

    def epoch(state: tuple, xs: tuple[Array, Key]) -> tuple[tuple, tuple[Array, Array, Array]]:
        weights, optimizer, best, lowest, kept = state
        number, epoch_key = xs
        order = jax.random.permutation(epoch_key, split.train)
        position = jnp.arange(steps * size)
        # The last batch is filled up with examples that do not count.
        batches = order[position % count].reshape(steps, size), (position < count).reshape(steps, size)
        (weights, optimizer), losses = jax.lax.scan(step, (weights, optimizer), batches)
        found, auc = _validation(weights, sequences, split)
        criterion = found if config.choose == "loss" else -auc
        better = jnp.isfinite(found) & (criterion < lowest)
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), weights, best)
        state = weights, optimizer, best, jnp.where(better, criterion, lowest), jnp.where(better, number, kept)
        return state, (losses.sum() / count, found, auc)

    first, first_auc = _validation(weights, sequences, split)
    start = weights, tx.init(weights), weights, first if config.choose == "loss" else -first_auc, jnp.zeros((), int)
    numbers = jnp.arange(1, config.epochs + 1), jax.random.split(key, config.epochs)
    (_, _, best, _, kept), history = jax.lax.scan(epoch, start, numbers)
    before = jnp.full_like(first, jnp.nan), first, first_auc
    losses, found, auc = (jnp.append(value, later) for value, later in zip(before, history, strict=True))
    return best, LSTMInfo(losses, found, auc, kept)


def _optimizer(config: LSTMConfig, rate: Array, steps: int) -> optax.GradientTransformation:
    total = config.epochs * steps
    share = optax.cosine_decay_schedule(1.0, total) if config.schedule == "cosine" else optax.constant_schedule(1.0)
    adamw = optax.adamw(lambda step: rate * share(step), weight_decay=config.weight_decay)
    return adamw if config.clip_norm is None else optax.chain(optax.clip_by_global_norm(config.clip_norm), adamw)


def _validation(weights: LSTMWeights, sequences: Array, split: Split) -> tuple[Array, Array]:
    """Mean loss, and the chance that a mislabeled example's logit exceeds another's, ties counting half."""
    held_out = logits(weights, sequences[jnp.concatenate([split.wrong, split.right])])
    wrong, right = jnp.split(held_out, [len(split.wrong)])
    total = jax.nn.softplus(-wrong).sum() + jax.nn.softplus(right).sum()
    others = jnp.sort(right)
    below, not_above = (jnp.searchsorted(others, wrong, side=side) for side in ("left", "right"))
    return total / (len(wrong) + len(right)), ((below + not_above) / (2 * len(right))).mean()
