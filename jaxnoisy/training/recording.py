"""Where the recorded columns go: they stay on the device to the end, or move to disk after each epoch."""

import jax
import numpy as np

from jaxnoisy import files
from jaxnoisy import mesh as sharding
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.dynamics import Trace, recorder
from jaxnoisy.dynamics.host import HostRecorder
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.state import TrainState


def open_spill(folder: files.PathLike, data: Dataset, config: TrainConfig, *, resume: bool) -> HostRecorder:
    """The folder that columns move to; with ``resume``, as far as a run before this one filled it."""
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


def flush(spilled: HostRecorder, state: TrainState, epoch: int) -> TrainState:
    """Move the one column on the device to disk."""
    buffers = state.recorder
    assert buffers is not None
    spilled.write_epoch(epoch, jax.tree.map(lambda x: np.asarray(x)[: len(spilled), 0], buffers.seen))
    # The cleared buffers do not depend on the old ones' values, so XLA would be free to lay them out anew.
    clear = jax.jit(recorder.clear, donate_argnums=0, out_shardings=sharding.shardings(buffers))
    return state._replace(recorder=clear(buffers))


def finished_trace(buffers: recorder.RecorderState, spilled: HostRecorder | None, data: Dataset, mode: str) -> Trace:
    """The trace of a finished run, from the device's buffers or from the folder they were spilled to."""
    if spilled is None:
        fingerprint = data.fingerprint()
        return recorder.finish(buffers, data.labels, num_classes=data.num_classes, mode=mode, fingerprint=fingerprint)
    if buffers.prob_sum is not None:
        spilled.add_probabilities(np.asarray(buffers.prob_sum)[: len(data)])
    return spilled.trace()
