"""Everything that changes from one training step to the next."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnoisy import mesh as sharding
from jaxnoisy.dynamics import recorder
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.types import Array, PyTree


class TrainState(NamedTuple):
    """One pytree: donated to each epoch, and what a checkpoint holds.

    Attributes:
        params: trainable parameters.
        rest: batch statistics and other state of the network.
        opt_state: of the optimizer.
        recorder: trace buffers, or None when nothing is recorded.
        epoch: () int32, epochs done; with the run's seed it fixes all later randomness.
        learned: :class:`~jaxnoisy.training.learning.LearningState` of a run that learns weights, otherwise None.
    """

    params: PyTree
    rest: PyTree
    opt_state: PyTree
    recorder: recorder.RecorderState | None
    epoch: Array
    learned: PyTree = None


def initial(
    params: PyTree,
    rest: PyTree,
    tx: optax.GradientTransformation,
    config: TrainConfig,
    *,
    n: int,
    num_classes: int,
    probabilities: bool,
    columns: int,
    mesh: jax.sharding.Mesh | None = None,
) -> TrainState:
    """The state before the first step: fresh copies, so that donating them leaves the caller's arrays alone.

    ``columns`` is the number of epochs that the recorder's buffers hold at a time.
    """
    buffers = None
    if config.record != "none":
        rows = sharding.padded_length(n, mesh)
        make = jax.jit(
            lambda: recorder.init(
                rows, columns, num_classes, dtype=jnp.dtype(config.trace_dtype), probabilities=probabilities
            ),
            out_shardings=sharding.over_examples(mesh),
        )
        buffers = make()
    copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree), out_shardings=sharding.replicated(mesh))
    begin = jax.jit(tx.init, out_shardings=sharding.replicated(mesh))
    params, rest = copy((params, rest))
    return TrainState(params, rest, begin(params), buffers, copy(jnp.zeros((), jnp.int32)))
