"""Ways to run an epoch: over inputs on the device, over inputs on the host, and the recorder's extra pass."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxnoisy import mesh as sharding
from jaxnoisy.data.batches import prefetched
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.dynamics import recorder
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.evaluate import predict_blocks
from jaxnoisy.training.learning import Steps
from jaxnoisy.training.network import Network
from jaxnoisy.training.normalize import Moments
from jaxnoisy.training.state import TrainState
from jaxnoisy.training.step import (
    Batch,
    CleanBatch,
    Step,
    Sums,
    batch_rows,
    clean_rows,
    epoch_key,
    scanned_epoch,
)
from jaxnoisy.types import Array, Key, PyTree


def resident_epochs(
    step: Step,
    state: TrainState,
    data: Dataset,
    weights: np.ndarray,
    kept: np.ndarray,
    config: TrainConfig,
    mesh: Mesh | None,
    learned: Steps | None = None,
) -> Callable[[TrainState], tuple[TrainState, Sums]]:
    """Epochs over inputs that stay on the device, each one compiled scan."""
    arrays: list[Any] = [sharding.place(a, mesh) for a in (data.inputs, data.labels, weights)]
    arrays.append(jax.device_put(kept, sharding.replicated(mesh)))
    size = 0
    if learned is not None:
        clean, step, size = learned.learning.clean, learned.either, learned.learning.size
        arrays.append(CleanBatch(*jax.device_put((clean.inputs, clean.labels), sharding.replicated(mesh))))
    pinned = (sharding.shardings(state), None)
    whole = scanned_epoch(step, config, len(data), clean_batch=size)
    compiled = jax.jit(whole, donate_argnums=0, out_shardings=pinned).lower(state, *arrays).compile()
    return lambda state: compiled(state, *arrays)


def streamed_epochs(
    step: Step,
    state: TrainState,
    data: Dataset,
    weights: np.ndarray,
    kept: np.ndarray,
    config: TrainConfig,
    mesh: Mesh | None,
    learned: Steps | None = None,
) -> Callable[[TrainState], tuple[TrainState, Sums]]:
    """Epochs over inputs that stay on the host, in the same order, gathered ahead of the device."""
    order = jax.jit(batch_rows, static_argnums=(2, 3))

    def batch(item: tuple[np.ndarray, np.ndarray, np.ndarray | None]) -> Batch:
        source, rows, beside = item
        weight = np.where(source == rows, weights[source], 0).astype(np.float32)
        host = (data.inputs[source], data.labels[source], weight, rows)
        made = Batch(*jax.device_put(host, sharding.over_examples(mesh)))
        if beside is None or learned is None:
            return made
        clean = learned.learning.clean
        taken = CleanBatch(clean.inputs[beside], clean.labels[beside])
        return made._replace(clean=jax.device_put(taken, sharding.replicated(mesh)))

    pinned = (sharding.shardings(state), None)
    no_rows = kept[:1].repeat(config.batch_size)

    def compiled(step: Step, beside: np.ndarray | None) -> Callable[..., tuple[TrainState, Sums]]:
        program = jax.jit(step, donate_argnums=0, out_shardings=pinned)
        return program.lower(state, batch((no_rows, no_rows, beside)), jax.random.key(0)).compile()

    steps_per_epoch = -(-len(kept) // config.batch_size)
    if learned is None:
        programs = {False: compiled(step, None)}
    else:
        programs = {True: compiled(learned.learn, np.zeros(learned.learning.size, np.int32))}
        if learned.learning.holds:
            programs[False] = compiled(learned.hold, None)

    def run(state: TrainState) -> tuple[TrainState, Sums]:
        done = int(state.epoch) * steps_per_epoch
        order_key, step_key = epoch_key(config.seed, state.epoch)
        source, rows = (np.asarray(a) for a in order(order_key, kept, config.batch_size, len(data)))
        due = [learned is not None and bool(learned.due(done + number)) for number in range(steps_per_epoch)]
        beside: list[np.ndarray | None] = [None] * steps_per_epoch
        if learned is not None and any(due):
            asked = learned.learning
            drawn = np.asarray(_clean_order(step_key, steps_per_epoch, len(asked.clean), asked.size))
            beside = [rows if now else None for rows, now in zip(drawn, due)]
        sums = []
        for number, ready in enumerate(prefetched(batch, zip(source, rows, beside))):
            state, part = programs[due[number]](state, ready, jax.random.fold_in(step_key, number))
            sums.append(part)
        return state._replace(epoch=state.epoch + 1), jax.tree.map(lambda *parts: sum(parts), *sums)

    return run


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _clean_order(step_key: Key, steps: int, m: int, size: int) -> Array:
    """(steps, size) the clean examples beside each batch of an epoch."""
    return jax.lax.map(lambda number: clean_rows(jax.random.fold_in(step_key, number), m, size), jnp.arange(steps))


def slow_in_a_scan(network: Network, params: PyTree, rest: PyTree, inputs: np.ndarray) -> bool:
    """Whether this network should be stepped from the host although its inputs fit on the device.

    XLA on CPUs runs a convolution inside a loop many times slower than outside (jax-ml/jax issue 12868).
    """
    if jax.default_backend() != "cpu":
        return False
    one = jax.ShapeDtypeStruct((1, *inputs.shape[1:]), np.float32)
    return "stablehlo.convolution" in jax.jit(network.evaluate).lower(params, rest, one).as_text()


def evaluation_pass(
    network: Network, data: Dataset, config: TrainConfig, scale: Moments, mesh: Mesh | None
) -> Callable[[TrainState, int], TrainState]:
    """Record every example in evaluation mode after an epoch."""
    write = jax.jit(recorder.record, donate_argnums=0)

    def run(state: TrainState, epoch: int) -> TrainState:
        buffers = state.recorder
        assert buffers is not None
        blocks = predict_blocks(network, state.params, state.rest, scale, data.inputs, config.batch_size * 4, mesh)
        for source, rows, logits in blocks:
            buffers = write(buffers, epoch % recorder.epochs(buffers), rows, data.labels[source], logits)
        return state._replace(recorder=buffers)

    return run
