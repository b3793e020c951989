"""The run that a detector reads: its model, and its trace."""

from collections.abc import Callable

import jax
from jax.sharding import Mesh

from jaxnoisy import files
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.dynamics import Trace
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.loop import EpochReport, fit
from jaxnoisy.training.recipes import objective
from jaxnoisy.training.trained import Trained, start


def first_run(
    data: Dataset,
    model: str,
    config: TrainConfig,
    *,
    probabilities: bool = False,
    seed: int = 0,
    mesh: Mesh | None = None,
    checkpoints: files.PathLike | None = None,
    resume: bool = False,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> tuple[Trained, Trace]:
    """Train a model as ``jaxnoisy detect`` does, and keep model and trace.

    Args:
        data: n examples under their given labels.
        model: a name that :func:`jaxnoisy.models.build` knows.
        config: how to train; it must record.
        probabilities: also record mean class probabilities, for confident learning.
        seed: of the initial parameters.
        mesh: from :func:`jaxnoisy.mesh.data_mesh`, to train on several devices.
        checkpoints: folder for checkpoints.
        resume: go on from them.
        on_epoch: called after each epoch.

    Raises:
        ValueError: a config that records nothing, or a model that does not fit the data.
        FloatingPointError: training diverged.

    Example:
        >>> from jaxnoisy.data import load
        >>> trained, trace = first_run(load("digits"), "linear", TrainConfig(epochs=1))
        >>> trained.settings["model"], trace.epochs
        ('linear', 1)
    """
    if config.record == "none":
        raise ValueError('config.record is "none", but detectors read what was recorded: choose "train" or "eval"')
    done = fit(
        start(model, data, seed=seed),
        data,
        config,
        loss=objective(data),
        probabilities=probabilities,
        mesh=mesh,
        checkpoints=checkpoints,
        resume=resume,
        run={"model": model, "dtype": "float32", "init_seed": seed},
        on_epoch=on_epoch,
    )
    assert done.trace is not None
    params, rest = jax.device_put(jax.device_get((done.state.params, done.state.rest)))
    settings = {"model": model, "epochs": config.epochs, "seed": seed}
    return Trained(done.network.merge(params, rest), done.scale, settings), done.trace
