"""Ways to run an epoch: over inputs on the device, over inputs on the host, and the recorder's extra pass."""

from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh

from jaxnoisy import mesh as sharding
from jaxnoisy.data.batches import prefetched
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.dynamics import recorder
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.evaluate import predict_blocks
from jaxnoisy.training.network import Network
from jaxnoisy.training.normalize import Moments
from jaxnoisy.training.state import TrainState
from jaxnoisy.training.step import Batch, Step, Sums, batch_rows, epoch_key, scanned_epoch
from jaxnoisy.types import PyTree


def resident_epochs(
    step: Step,
    state: TrainState,
    data: Dataset,
    weights: np.ndarray,
    kept: np.ndarray,
    config: TrainConfig,
    mesh: Mesh | None,
) -> Callable[[TrainState], tuple[TrainState, Sums]]:
    """Epochs over inputs that stay on the device, each one compiled scan."""
    inputs, labels, row_weights = (sharding.place(a, mesh) for a in (data.inputs, data.labels, weights))
    rows = jax.device_put(kept, sharding.replicated(mesh))
    pinned = (sharding.shardings(state), None)
    epoch = jax.jit(scanned_epoch(step, config, len(data)), donate_argnums=0, out_shardings=pinned)
    compiled = epoch.lower(state, inputs, labels, row_weights, rows).compile()
    return lambda state: compiled(state, inputs, labels, row_weights, rows)


def streamed_epochs(
    step: Step,
    state: TrainState,
    data: Dataset,
    weights: np.ndarray,
    kept: np.ndarray,
    config: TrainConfig,
    mesh: Mesh | None,
) -> Callable[[TrainState], tuple[TrainState, Sums]]:
    """Epochs over inputs that stay on the host, in the same order, gathered ahead of the device."""
    order = jax.jit(batch_rows, static_argnums=(2, 3))

    def batch(both: tuple[np.ndarray, np.ndarray]) -> Batch:
        source, rows = both
        weight = np.where(source == rows, weights[source], 0).astype(np.float32)
        host = (data.inputs[source], data.labels[source], weight, rows)
        return Batch(*jax.device_put(host, sharding.over_examples(mesh)))

    first = batch((kept[:1].repeat(config.batch_size), kept[:1].repeat(config.batch_size)))
    pinned = (sharding.shardings(state), None)
    one_step = jax.jit(step, donate_argnums=0, out_shardings=pinned).lower(state, first, jax.random.key(0)).compile()

    def run(state: TrainState) -> tuple[TrainState, Sums]:
        order_key, step_key = epoch_key(config.seed, state.epoch)
        source, rows = (np.asarray(a) for a in order(order_key, kept, config.batch_size, len(data)))
        sums = []
        for number, ready in enumerate(prefetched(batch, zip(source, rows))):
            state, part = one_step(state, ready, jax.random.fold_in(step_key, number))
            sums.append(part)
        return state._replace(epoch=state.epoch + 1), jax.tree.map(lambda *parts: sum(parts), *sums)

    return run


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
