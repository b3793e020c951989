"""The training loop: one function, read from top to bottom."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from jaxnoisy import check, files
from jaxnoisy import mesh as sharding
from jaxnoisy.data.batches import prefetched
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.dynamics import Trace, recorder
from jaxnoisy.dynamics.host import HostRecorder, mean_probabilities
from jaxnoisy.losses import cross_entropy
from jaxnoisy.training import state as train_state
from jaxnoisy.training.checkpoint import Checkpoints
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.evaluate import predict_blocks
from jaxnoisy.training.network import Network, functional
from jaxnoisy.training.normalize import Moments, moments
from jaxnoisy.training.optimizer import optimizer
from jaxnoisy.training.state import TrainState
from jaxnoisy.training.step import Batch, Step, Sums, batch_rows, epoch_key, scanned_epoch, train_step
from jaxnoisy.types import Array


class EpochReport(NamedTuple):
    """What one epoch came to: epochs done, mean loss in nats and accuracy on the given labels, seconds."""

    epoch: int
    loss: float
    accuracy: float
    seconds: float


class Fit(NamedTuple):
    """A finished run.

    Attributes:
        model: the trained module, in evaluation mode.
        network: its pure functions; ``state`` holds their parameters.
        state: the last :class:`~jaxnoisy.training.state.TrainState`.
        scale: how inputs are normalised before the network sees them.
        trace: the recorded dynamics, or None when nothing was recorded.
        history: one :class:`EpochReport` for every epoch run here (a resumed run has only its own).
        compile_seconds: spent compiling, outside the epochs' seconds.
    """

    model: nnx.Module
    network: Network
    state: TrainState
    scale: Moments
    trace: Trace | None
    history: tuple[EpochReport, ...]
    compile_seconds: float


def fit(
    model: nnx.Module,
    data: Dataset,
    config: TrainConfig,
    *,
    weights: np.ndarray | None = None,
    keep: np.ndarray | None = None,
    loss: Callable[[Array, Array], Array] = cross_entropy,
    probabilities: bool = False,
    mesh: Mesh | None = None,
    spill: files.PathLike | None = None,
    checkpoints: files.PathLike | None = None,
    resume: bool = False,
    run: dict[str, Any] | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> Fit:
    """Train ``model`` on ``data`` and record its dynamics on the device.

    Args:
        model: any NNX module that maps normalised inputs (b, ...) to logits (b, c). It is left as it is.
        data: n examples under their given labels.
        config: the choices of the run.
        weights: (n,) non-negative weights in the loss; 1 by default.
        keep: (n,) bool, examples to train on; all by default. The others are neither learned nor seen by batch norm,
            and recorded only in "eval" mode.
        loss: (logits (b, c), labels (b,)) -> (b,) per-example losses.
        probabilities: also record the mean class probabilities, (n, c).
        mesh: from :func:`jaxnoisy.mesh.data_mesh`: batches, inputs and trace are split over its axis.
        spill: folder to write the trace to, one column after each epoch, so that the device holds one column only and
            the trace returned is memory-mapped.
        checkpoints: folder for checkpoints, every ``config.checkpoint_every`` epochs and at the end.
        resume: go on from the last checkpoint of the same run there.
        run: further plain values that a resumed run must share, such as the command's arguments.
        on_epoch: called after each epoch.

    Returns:
        :class:`Fit`. Killed and resumed, it is the one of an uninterrupted run, bit for bit on the same device.

    Raises:
        ValueError: arguments that do not fit each other, or a checkpoint folder of another run.
        FloatingPointError: the loss stopped being finite.
    """
    n, c = len(data), data.num_classes
    weights, kept = _weights(weights, n), _kept(keep, n)
    if config.batch_size % sharding.shards(mesh):
        raise ValueError(f"batch_size {config.batch_size} does not split over {sharding.shards(mesh)} devices")
    config = dataclasses.replace(config, batch_size=_batch_size(config.batch_size, len(kept), mesh))

    network, params, rest = functional(model)
    scale = moments(data.inputs)
    tx = optimizer(config, steps_per_epoch=-(-len(kept) // config.batch_size))
    columns = config.epochs if spill is None else 1
    state = train_state.initial(params, rest, tx, config, n=n, num_classes=c, probabilities=probabilities, mesh=mesh)
    step = train_step(network, loss, tx, config, scale, mesh)

    saved = None
    if checkpoints is not None:
        identity = {**dataclasses.asdict(config), **(run or {}), "data": data.fingerprint(), "kept": len(kept)}
        saved = Checkpoints(checkpoints, identity, resume=resume)
        if saved.latest() is not None:
            state = saved.restore(state)

    spilled = None
    if spill is not None and state.recorder is not None:
        spilled = _spill(spill, data, config, resume=int(state.epoch) > 0)

    resident = data.inputs.nbytes <= config.device_budget if config.on_device is None else config.on_device
    make_epoch = _resident_epochs if resident else _streamed_epochs
    started = time.perf_counter()
    run_epoch = make_epoch(step, state, data, weights, kept, config, mesh)
    extra_pass = _extra_pass(network, data, config, scale, mesh) if config.record == "eval" else None
    compile_seconds = time.perf_counter() - started

    history = []
    for epoch in range(int(state.epoch), config.epochs):
        started = time.perf_counter()
        state, sums = run_epoch(state)
        if extra_pass is not None:
            state = extra_pass(state, epoch)
        if spilled is not None:
            state = _flush(spilled, state, epoch)
        report = _report(epoch + 1, sums, started)
        if not np.isfinite(report.loss):
            raise FloatingPointError(
                f"training diverged in epoch {epoch + 1}: the mean loss is {report.loss}. "
                f"Lower the learning rate (now {config.learning_rate:g})"
            )
        history.append(report)
        if saved is not None and ((epoch + 1) % config.checkpoint_every == 0 or epoch + 1 == config.epochs):
            saved.save(epoch + 1, state)
        if on_epoch is not None:
            on_epoch(report)
    if saved is not None:
        saved.close()

    trace = None if state.recorder is None else _trace(state.recorder, spilled, data, config.record)
    trained = network.merge(state.params, state.rest)
    return Fit(trained, network, state, scale, trace, tuple(history), compile_seconds)


def _resident_epochs(
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
    epoch = jax.jit(scanned_epoch(step, config, len(data)), donate_argnums=0)
    compiled = epoch.lower(state, inputs, labels, row_weights, rows).compile()
    return lambda state: compiled(state, inputs, labels, row_weights, rows)


def _streamed_epochs(
    step: Step,
    state: TrainState,
    data: Dataset,
    weights: np.ndarray,
    kept: np.ndarray,
    config: TrainConfig,
    mesh: Mesh | None,
) -> Callable[[TrainState], tuple[TrainState, Sums]]:
    """Epochs over inputs that stay on the host, in the same order, gathered ahead of the device."""
    one_step = jax.jit(step, donate_argnums=0)
    order = jax.jit(batch_rows, static_argnums=(2, 3))

    def batch(both: tuple[np.ndarray, np.ndarray]) -> Batch:
        source, rows = both
        weight = np.where(source == rows, weights[source], 0).astype(np.float32)
        host = (data.inputs[source], data.labels[source], weight, rows)
        return Batch(*jax.device_put(host, sharding.over_examples(mesh)))

    def run(state: TrainState) -> tuple[TrainState, Sums]:
        order_key, step_key = epoch_key(config.seed, state.epoch)
        source, rows = (np.asarray(a) for a in order(order_key, kept, config.batch_size, len(data)))
        sums = []
        for number, ready in enumerate(prefetched(batch, zip(source, rows))):
            state, part = one_step(state, ready, jax.random.fold_in(step_key, number))
            sums.append(part)
        return state._replace(epoch=state.epoch + 1), jax.tree.map(lambda *parts: sum(parts), *sums)

    return run


def _extra_pass(
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


def _report(epoch: int, sums: Sums, started: float) -> EpochReport:
    total, right, weight = (float(x) for x in sums)
    return EpochReport(epoch, total / weight, right / weight, time.perf_counter() - started)


def _spill(folder: files.PathLike, data: Dataset, config: TrainConfig, *, resume: bool) -> HostRecorder:
    return HostRecorder(
        data.labels,
        config.epochs,
        num_classes=data.num_classes,
        directory=folder,
        resume=resume,
        dtype=config.trace_dtype,
        mode=config.record,
        fingerprint=data.fingerprint(),
    )


def _flush(spilled: HostRecorder, state: TrainState, epoch: int) -> TrainState:
    """Move the one column on the device to disk."""
    buffers = state.recorder
    assert buffers is not None
    spilled.write_epoch(epoch, jax.tree.map(lambda x: np.asarray(x)[: len(spilled), 0], buffers.seen))
    return state._replace(recorder=jax.jit(recorder.clear, donate_argnums=0)(buffers))


def _trace(buffers: recorder.RecorderState, spilled: HostRecorder | None, data: Dataset, mode: str) -> Trace:
    n = len(data)
    prob_sum = None if buffers.prob_sum is None else np.asarray(buffers.prob_sum)[:n]
    if spilled is not None:
        if prob_sum is not None:
            spilled.add_probabilities(prob_sum)
        return spilled.trace()
    seen = jax.tree.map(lambda x: np.asarray(x)[:n], buffers.seen)
    mean_probs = mean_probabilities(prob_sum, seen.argmax)
    return Trace(data.labels, seen, data.num_classes, mean_probs, mode=mode, fingerprint=data.fingerprint())


def _weights(weights: np.ndarray | None, n: int) -> np.ndarray:
    if weights is None:
        return np.ones(n, np.float32)
    w = np.asarray(weights, np.float32)
    if w.shape != (n,):
        raise ValueError(f"weights must have shape ({n},), one per example, but have shape {w.shape}")
    check.finite(w, name="weights")
    if (w < 0).any() or not w.any():
        raise ValueError("weights must be non-negative and not all zero")
    return w


def _kept(keep: np.ndarray | None, n: int) -> np.ndarray:
    if keep is None:
        return np.arange(n, dtype=np.int32)
    mask = np.asarray(keep)
    if mask.shape != (n,) or mask.dtype != bool:
        raise ValueError(f"keep must be bool of shape ({n},), but is {mask.dtype} of shape {mask.shape}")
    if not mask.any():
        raise ValueError("keep leaves no example to train on")
    return np.flatnonzero(mask).astype(np.int32)


def _batch_size(asked: int, kept: int, mesh: Mesh | None) -> int:
    """A batch larger than the training set would be mostly padding."""
    return min(asked, sharding.padded_length(kept, mesh))
