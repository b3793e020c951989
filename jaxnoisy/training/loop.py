"""The training loop: one function, read from top to bottom."""

import dataclasses
import hashlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from jaxnoisy import check, files
from jaxnoisy import mesh as sharding
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.dynamics import Trace
from jaxnoisy.losses import ByEpoch, Loss, at_epoch, cross_entropy
from jaxnoisy.training import learning as learns
from jaxnoisy.training import recording
from jaxnoisy.training import state as train_state
from jaxnoisy.training.checkpoint import Checkpoints
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.epochs import evaluation_pass, resident_epochs, slow_in_a_scan, streamed_epochs
from jaxnoisy.training.network import Network, functional
from jaxnoisy.training.normalize import Moments, moments
from jaxnoisy.training.optimizer import optimizer
from jaxnoisy.training.state import TrainState
from jaxnoisy.training.step import Sums, train_step
from jaxnoisy.types import PyTree
from jaxnoisy.weights import refuse_many_skips


class EpochReport(NamedTuple):
    """What one epoch came to: epochs done, mean loss (nats) and accuracy on the given labels, seconds, examples."""

    epoch: int
    loss: float
    accuracy: float
    seconds: float
    examples: int


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
        learned: the weights that the run has learned, where it was asked to.
    """

    model: nnx.Module
    network: Network
    state: TrainState
    scale: Moments
    trace: Trace | None
    history: tuple[EpochReport, ...]
    compile_seconds: float
    learned: learns.LearnedWeights | None = None


def fit(
    model: nnx.Module,
    data: Dataset,
    config: TrainConfig,
    *,
    weights: np.ndarray | None = None,
    keep: np.ndarray | None = None,
    loss: Loss | ByEpoch = cross_entropy,
    scale: Moments | None = None,
    probabilities: bool = False,
    learning: learns.Learning | None = None,
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
        loss: (logits (b, c), labels (b,)) -> (b,) per-example losses, or one for each epoch.
        scale: how inputs are normalised; by default by their own moments. A model that goes on from where it was
            trained needs those that it was trained with.
        probabilities: also record the mean class probabilities, (n, c).
        learning: learn a weight for each example from clean ones, and train by it.
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
        FloatingPointError: the loss stopped being finite, or the clean one of too many look-aheads.
    """
    n, c = len(data), data.num_classes
    kept = _kept(keep, n)
    weights = _weights(weights, n, kept)
    if config.batch_size % sharding.shards(mesh):
        raise ValueError(f"batch_size {config.batch_size} does not split over {sharding.shards(mesh)} devices")
    config = dataclasses.replace(config, batch_size=_batch_size(config.batch_size, len(kept), mesh))

    network, params, rest = functional(model)
    _fit_each_other(network, params, rest, loss, data, config)
    given_scale, scale = scale, moments(data.inputs) if scale is None else scale
    steps_per_epoch = -(-len(kept) // config.batch_size)
    tx = optimizer(config, steps_per_epoch=steps_per_epoch)
    columns = config.epochs if spill is None else 1
    state = train_state.initial(
        params, rest, tx, config, n=n, num_classes=c, probabilities=probabilities, columns=columns, mesh=mesh
    )
    step = train_step(network, loss, tx, config, scale, mesh)
    steps = None
    if learning is not None:
        learns.refuse(learning, data)
        rows = sharding.padded_length(n, mesh)
        given = (learning, network, loss, tx, config, scale)
        steps = learns.learning_steps(*given, params=params, n=rows, steps_per_epoch=steps_per_epoch, mesh=mesh)
        state = state._replace(learned=learns.begin(steps, n, mesh))

    saved = None
    if checkpoints is not None:
        identity = {
            **dataclasses.asdict(config),
            **(run or {}),
            "data": data.fingerprint(),
            "examples": hashlib.sha256(kept.tobytes() + weights.tobytes()).hexdigest()[:16],
            "probabilities": probabilities,
            "spilled": spill is not None,
            "parameters": sum(x.size for x in jax.tree.leaves(params)),
            "trace_rows": sharding.padded_length(n, mesh),
        }
        if given_scale is not None:
            identity["scale"] = hashlib.sha256(scale.mean.tobytes() + scale.std.tobytes()).hexdigest()[:16]
        if learning is not None:
            identity["learning"] = learning.plain()
        saved = Checkpoints(checkpoints, identity, resume=resume)
        if saved.latest() is not None:
            state = saved.restore(state)

    spilled = None
    if spill is not None and state.recorder is not None:
        spilled = recording.open_spill(spill, data, config, resume=resume)

    started = time.perf_counter()
    resident = config.on_device
    if resident is None:
        fits = data.inputs.nbytes <= config.device_budget
        resident = fits and not slow_in_a_scan(network, params, rest, data.inputs)
    make_epoch = resident_epochs if resident else streamed_epochs
    run_epoch = make_epoch(step, state, data, weights, kept, config, mesh, steps)
    extra_pass = evaluation_pass(network, data, config, scale, mesh) if config.record == "eval" else None
    compile_seconds = time.perf_counter() - started

    history = []
    try:
        for epoch in range(int(state.epoch), config.epochs):
            started = time.perf_counter()
            state, sums = run_epoch(state)
            if extra_pass is not None:
                state = extra_pass(state, epoch)
            if spilled is not None:
                state = recording.flush(spilled, state, epoch)
            report = _report(epoch + 1, sums, started, len(kept))
            if not np.isfinite(report.loss):
                raise FloatingPointError(
                    f"training diverged in epoch {epoch + 1}: the mean loss is {report.loss}. "
                    f"Lower the learning rate (now {config.learning_rate:g})"
                )
            if learning is not None:
                refuse_many_skips(state.learned.rule, most=learning.most_skips)
            history.append(report)
            if saved is not None and ((epoch + 1) % config.checkpoint_every == 0 or epoch + 1 == config.epochs):
                saved.save(epoch + 1, state)
            if on_epoch is not None:
                on_epoch(report)
    finally:
        if saved is not None:
            saved.close()

    trace = None if state.recorder is None else recording.finished_trace(state.recorder, spilled, data, config.record)
    learned = None if steps is None else learns.finish(steps, state.learned, n)
    trained = network.merge(state.params, state.rest)
    return Fit(trained, network, state, scale, trace, tuple(history), compile_seconds, learned)


def _report(epoch: int, sums: Sums, started: float, examples: int) -> EpochReport:
    total, right, weight = (float(x) for x in sums)
    return EpochReport(epoch, total / weight, right / weight, time.perf_counter() - started, examples)


def _weights(weights: np.ndarray | None, n: int, kept: np.ndarray) -> np.ndarray:
    if weights is None:
        return np.ones(n, np.float32)
    w = np.asarray(weights, np.float32)
    if w.shape != (n,):
        raise ValueError(f"weights must have shape ({n},), one per example, but have shape {w.shape}")
    check.finite(w, name="weights")
    if (w < 0).any() or not w[kept].any():
        raise ValueError("weights must be non-negative, and not all zero among the examples that are kept")
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


def _fit_each_other(
    network: Network,
    params: PyTree,
    rest: PyTree,
    loss: Loss | ByEpoch,
    data: Dataset,
    config: TrainConfig,
) -> None:
    """Refuse, before anything is computed or written, a model, a loss and data that do not fit each other."""
    check.at_least_two_classes(data.labels)
    if (config.flip or config.crop) and not data.is_images:
        raise ValueError(f"flip and crop need images (n, h, w, ch), but the inputs have shape {data.inputs.shape}")
    if config.segments and not (data.is_clips and data.inputs.shape[1] >= config.segments):
        raise ValueError(
            f"{config.segments} segments need clips (n, m, h, w, ch) of at least as many frames, but the inputs have "
            f"shape {data.inputs.shape}"
        )
    one = jax.ShapeDtypeStruct((1, *data.inputs.shape[1:]), jnp.float32)
    logits = jax.eval_shape(network.evaluate, params, rest, one)
    if logits.shape != (1, data.num_classes):
        raise ValueError(
            f"the model maps inputs of shape {one.shape} to {logits.shape}, but logits of {data.num_classes} classes "
            f"have shape (1, {data.num_classes})"
        )
    losses = jax.eval_shape(at_epoch(loss, 0), logits, jax.ShapeDtypeStruct((1,), jnp.int32))
    if losses.shape != (1,):
        raise ValueError(f"loss must give one number per example, shape (b,), but for b = 1 gives {losses.shape}")


def _batch_size(asked: int, kept: int, mesh: Mesh | None) -> int:
    """A batch larger than the training set would be mostly padding."""
    return min(asked, sharding.padded_length(kept, mesh))
