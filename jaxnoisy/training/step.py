"""One training step, and one epoch of them, as pure functions."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from jaxnoisy import mesh as sharding
from jaxnoisy.dynamics import recorder
from jaxnoisy.losses import ByEpoch, Loss, at_epoch
from jaxnoisy.training.augment import augment
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.network import Network
from jaxnoisy.training.normalize import Moments, normalize
from jaxnoisy.training.state import TrainState
from jaxnoisy.types import Array, Key
from jaxnoisy.weights import draw_clean

_CLEAN = 3  # apart from what augmentation folds into a step's key


class Batch(NamedTuple):
    """One batch. Padding has weight 0 and a row number past the end: it is neither learned nor recorded.

    Attributes:
        inputs: (b, ...) as stored.
        labels: (b,) given labels.
        weights: (b,) float32.
        rows: (b,) int32 position in the training set.
        clean: examples with clean labels beside the batch, for a run that learns weights from them.
    """

    inputs: Array
    labels: Array
    weights: Array
    rows: Array
    clean: "CleanBatch | None" = None


class CleanBatch(NamedTuple):
    """Examples whose labels are right: inputs (m, ...) as stored, labels (m,)."""

    inputs: Array
    labels: Array


class Sums(NamedTuple):
    """Weighted sums over the examples of a batch or an epoch: loss, right predictions, weight."""

    loss: Array
    right: Array
    weight: Array


Step = Callable[[TrainState, Batch, Key], tuple[TrainState, Sums]]


def train_step(
    network: Network,
    loss: Loss | ByEpoch,
    tx: optax.GradientTransformation,
    config: TrainConfig,
    scale: Moments,
    mesh: Mesh | None = None,
) -> Step:
    """Make ``step(state, batch, key) -> (state, sums)``: augment, forward, weighted loss, backward, update, record.

    The loss is sum_i w_i l_i / sum_i w_i over the batch. With ``config.record == "train"`` the forward pass's own
    logits go to the recorder, which adds no pass over the network.
    """

    def step(state: TrainState, batch: Batch, key: Key) -> tuple[TrainState, Sums]:
        batch = sharding.split_batch(batch, mesh)
        inputs = augmented(key, batch.inputs, config, scale)
        weight = batch.weights.sum()

        def objective(params):  # type: ignore[no-untyped-def]
            logits, rest = network.train(params, state.rest, inputs)
            total = (batch.weights * at_epoch(loss, state.epoch)(logits, batch.labels)).sum()
            return total / jnp.maximum(weight, 1e-12), (logits, rest, total)

        gradient, (logits, rest, total) = jax.grad(objective, has_aux=True)(state.params)
        updates, opt_state = tx.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        after = state._replace(params=params, rest=rest, opt_state=opt_state)
        return recorded(after, batch, logits, config), Sums(total, right(batch, logits), weight)

    return step


def augmented(key: Key, inputs: Array, config: TrainConfig, scale: Moments) -> Array:
    """Inputs as stored, the way the network trains on them."""
    scaled = normalize(inputs, scale)
    return augment(key, scaled, flip=config.flip, crop=config.crop, segments=config.segments)


def recorded(state: TrainState, batch: Batch, logits: Array, config: TrainConfig) -> TrainState:
    """The state with what the step's own logits say of the batch, where the dynamics are taken from the step."""
    if state.recorder is None or config.record != "train":
        return state
    column = state.epoch % recorder.epochs(state.recorder)
    return state._replace(recorder=recorder.record(state.recorder, column, batch.rows, batch.labels, logits))


def right(batch: Batch, logits: Array) -> Array:
    """The weight of the examples whose given label is predicted."""
    return (batch.weights * (logits.argmax(axis=-1) == batch.labels)).sum()


def batch_rows(key: Key, kept: Array, batch_size: int, n: int) -> tuple[Array, Array]:
    """Shuffle the kept rows into batches.

    Args:
        key: of this epoch.
        kept: (k,) rows that are trained on.
        batch_size: b.
        n: size of the training set; rows of padding are recorded as n.

    Returns:
        ``(source, rows)`` of shape (ceil(k / b), b): where each input is taken from, and where it is recorded. They
        differ in the padding of the last batch, which repeats the first examples of the shuffle.
    """
    steps = -(-len(kept) // batch_size)
    shuffled = jax.random.permutation(key, kept)
    position = jnp.arange(steps * batch_size)
    source = shuffled[position % len(kept)]
    rows = jnp.where(position < len(kept), source, n)
    return source.reshape(steps, batch_size), rows.reshape(steps, batch_size)


def clean_rows(key: Key, m: int, size: int) -> Array:
    """The clean examples beside the batch of the step that ``key`` is of, drawn independently of it."""
    return draw_clean(jax.random.fold_in(key, _CLEAN), m, size=size)


def epoch_key(seed: int, epoch: Array | int) -> tuple[Key, Key]:
    """The keys of one epoch, for its order and for its steps: a function of the seed and the epoch alone."""
    order, steps = jax.random.split(jax.random.fold_in(jax.random.key(seed), epoch))
    return order, steps


def gather(inputs: Array, labels: Array, weights: Array, source: Array, rows: Array) -> Batch:
    """Take one batch out of arrays on the device; padding gets weight 0."""
    padding = rows != source
    return Batch(inputs[source], labels[source], jnp.where(padding, 0.0, weights[source]), rows)


def scanned_epoch(
    step: Step, config: TrainConfig, n: int, *, clean_batch: int = 0
) -> Callable[..., tuple[TrainState, Sums]]:
    """Make ``epoch(state, inputs, labels, weights, kept, clean) -> (state, sums)``: a whole epoch in one compiled scan.

    Every batch comes with ``clean_batch`` of the clean examples, where that is not 0.
    """

    def epoch(
        state: TrainState, inputs: Array, labels: Array, weights: Array, kept: Array, clean: CleanBatch | None = None
    ) -> tuple[TrainState, Sums]:
        order_key, step_key = epoch_key(config.seed, state.epoch)
        source, rows = batch_rows(order_key, kept, config.batch_size, n)

        def body(state: TrainState, xs: tuple[Array, Array, Array]) -> tuple[TrainState, Sums]:
            number, source, rows = xs
            key = jax.random.fold_in(step_key, number)
            batch = gather(inputs, labels, weights, source, rows)
            if clean is not None:
                beside = clean_rows(key, len(clean.labels), clean_batch)
                batch = batch._replace(clean=jax.tree.map(lambda a: a[beside], clean))
            return step(state, batch, key)

        state, sums = jax.lax.scan(body, state, (jnp.arange(len(source)), source, rows))
        return state._replace(epoch=state.epoch + 1), jax.tree.map(jnp.sum, sums)

    return epoch
