"""A trained model as pure functions of inputs as they are stored: trained now, or read from an earlier run."""

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from jaxnoisy import check, files
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.models import MODEL_NAMES, Classifier, FrameConsensus, build
from jaxnoisy.training.checkpoint import Checkpoints, read_run, restore_part
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.loop import EpochReport, fit
from jaxnoisy.training.network import functional
from jaxnoisy.training.normalize import Moments, moments, normalize
from jaxnoisy.training.recipes import default_model, objective, recipe
from jaxnoisy.types import Array, PyTree

RUN = Path("checkpoints") / "main"
"""Where a folder of results keeps the checkpoints of the run that its ranking comes from."""


class Trained(NamedTuple):
    """A trained model.

    Attributes:
        model: any NNX module from normalised inputs (b, ...) to logits (b, c), in evaluation mode. ``Fit.model`` is
            one.
        scale: how inputs are normalised before the model sees them: ``Fit.scale``.
        settings: plain values that say where it comes from, for summaries.
    """

    model: nnx.Module
    scale: Moments
    settings: Mapping[str, Any] = {}


def start(
    model: str, data: Dataset, *, seed: int = 0, dtype: str = "float32", penultimate: int | None = None
) -> Classifier | FrameConsensus:
    """The untrained model of a run: the same seed gives the same parameters in every command.

    For clips it is a model of frames, under a :class:`~jaxnoisy.models.FrameConsensus`. ``penultimate`` is that of
    :func:`jaxnoisy.models.build`.
    """
    made = build(
        model,
        input_shape=data.inputs.shape[2 if data.is_clips else 1 :],
        num_classes=data.num_classes,
        key=jax.random.fold_in(jax.random.key(seed), 1),
        dtype=dtype,
        penultimate=penultimate,
    )
    return FrameConsensus(made) if data.is_clips else made


def train(
    data: Dataset,
    *,
    model: str = "auto",
    config: TrainConfig | None = None,
    penultimate: int | None = None,
    seed: int = 0,
    mesh: Mesh | None = None,
    checkpoints: files.PathLike | None = None,
    resume: bool = False,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> Trained:
    """Train a model by its recipe and keep nothing but the model.

    Args:
        data: n examples under their given labels. The loss is :func:`jaxnoisy.training.recipes.objective`.
        model: a name that :func:`jaxnoisy.models.build` knows, or "auto": "cnn" for images, "mlp" for features.
        config: how to train; by default :func:`jaxnoisy.training.recipes.recipe`. Nothing is recorded.
        penultimate: units of a further hidden layer before the head, where that would have too many features.
        seed: of the initial parameters and, where ``config`` is not given, of the training.
        mesh: from :func:`jaxnoisy.mesh.data_mesh`, to train on several devices; the result lies on the first.
        checkpoints: folder for checkpoints, by which a run that was interrupted goes on.
        resume: go on from the last of them.
        on_epoch: called after each epoch.

    Raises:
        ValueError: an unknown model, one that does not fit the data, or a checkpoint folder of another run.
        FloatingPointError: the loss stopped being finite.

    Example:
        >>> from jaxnoisy.data import load
        >>> digits = load("digits")
        >>> trained = train(digits, model="linear", config=TrainConfig(epochs=1, record="none"))
        >>> trained.model.head.kernel.shape
        (64, 10)
    """
    name = default_model(data) if model == "auto" else check.one_of(model, ("auto", *MODEL_NAMES), name="model")
    config = config or recipe(name, data, seed=seed, record="none")
    narrowed = {} if penultimate is None else {"penultimate": penultimate}
    done = fit(
        start(name, data, seed=seed, penultimate=penultimate),
        data,
        config,
        loss=objective(data),
        mesh=mesh,
        checkpoints=checkpoints,
        resume=resume,
        run={"model": name, "dtype": "float32", "init_seed": seed, **narrowed},
        on_epoch=on_epoch,
    )
    params, rest = jax.device_put(jax.device_get((done.state.params, done.state.rest)))
    settings = {"model": name, "epochs": config.epochs, "seed": seed, **narrowed}
    return Trained(done.network.merge(params, rest), done.scale, settings)


def save(trained: Trained, folder: files.PathLike, data: Dataset, *, whole: Dataset | None = None) -> None:
    """Write down a model that no single training run has come to, where :func:`load` finds it.

    Args:
        trained: a model of :func:`jaxnoisy.models.build` as its name alone makes it; the settings give the name, the
            epochs and the seed.
        folder: of the checkpoint: :data:`RUN` in a folder of results. One that holds this model already is left alone.
        data: what it was trained on, under the labels as given.
        whole: the data set that ``data`` is a part of, by which the model is to be recognised as well.

    Raises:
        ValueError: a model without such a name, or a folder that holds another one.
        OSError: the model cannot be written.
    """
    name = check.one_of(str(trained.settings.get("model")), MODEL_NAMES, name="model")
    _, params, rest = functional(trained.model)
    epochs = int(trained.settings.get("epochs", 0))
    run = {
        "model": name,
        "epochs": epochs,
        "init_seed": trained.settings.get("seed"),
        "refined": trained.settings.get("refined"),
        "parameters": sum(a.size for a in jax.tree.leaves(params)),
        "data": data.fingerprint(),
        "whole": None if whole is None else whole.fingerprint(),
    }
    scale = {key: jnp.asarray(value) for key, value in trained.scale._asdict().items()}
    with contextlib.closing(Checkpoints(folder, run, resume=True)) as saved:
        if saved.latest() is None:
            saved.save(epochs, {"params": params, "rest": rest, "scale": scale})


def load(folder: files.PathLike, data: Dataset) -> Trained:
    """The model that ``jaxnoisy detect`` or ``repair`` trained on the same data and left in its folder of results.

    Args:
        folder: what was given as ``--out``. Nothing is written there.
        data: the data set it was trained on, under the labels as given.

    Returns:
        The model of the last epoch; of a repair, the last model. It computes in float32, also where it was trained in
        bfloat16.

    Raises:
        ValueError: a folder without checkpoints, of an unfinished run, or of a run on other data or of another network.
    """
    where = os.fspath(folder)
    if not (Path(folder) / RUN).is_dir():
        raise ValueError(
            f"{where!r} holds no checkpoints of a finished run of jaxnoisy detect or repair (there is no {RUN} in it)"
        )
    run = read_run(Path(folder) / RUN)
    name, seen = run.get("model"), data.fingerprint()
    if name not in MODEL_NAMES:
        raise ValueError(f"{where!r} holds a run of the model {name!r}, which is none of {', '.join(MODEL_NAMES)}")
    if seen not in (run.get("data"), run.get("whole")):
        raise ValueError(
            f"{where!r} holds a model that was trained on other examples or other labels (fingerprint "
            f"{run.get('data')} there, {seen} here): give the data and labels of that run"
        )
    network, params, rest = functional(start(name, data))
    size = sum(a.size for a in jax.tree.leaves(params))
    if run.get("parameters") != size:
        raise ValueError(f"{where!r} holds {run.get('parameters')} parameters, but {name} has {size} on this data")
    like = {"params": params, "rest": rest}
    if run.get("refined"):
        like["scale"] = dict.fromkeys(Moments._fields, jnp.zeros(data.inputs.shape[-1]))
    found, epoch = restore_part(Path(folder) / RUN, like)
    if epoch != run.get("epochs"):
        raise ValueError(
            f"{where!r} holds an unfinished run, {epoch} of {run.get('epochs')} epochs: finish it with "
            f"jaxnoisy detect --out {where} --resume and its other options"
        )
    settings = {"model": name, "epochs": epoch, "seed": run.get("init_seed"), "checkpoint": where}
    if "scale" in like:
        settings["refined"] = run["refined"]
        scale = Moments(**{key: np.asarray(value) for key, value in found["scale"].items()})
    else:
        scale = moments(data.inputs)
    return Trained(network.merge(found["params"], found["rest"]), scale, settings)


class Pure(NamedTuple):
    """A trained model apart: functions of its parameters, and these.

    Attributes:
        logits: (params, rest, inputs (b, ...) as stored) -> (b, c), in evaluation mode.
        outputs: the same -> (b, d + c), the inputs of the head and then its logits; None for a model without
            ``features`` and ``head``.
        params: trainable parameters.
        rest: batch statistics and other state.
    """

    logits: Callable[[PyTree, PyTree, Array], Array]
    outputs: Callable[[PyTree, PyTree, Array], Array] | None
    params: PyTree
    rest: PyTree


def pure(trained: Trained) -> Pure:
    """Take a trained model apart.

    Example:
        >>> from jaxnoisy.data import load
        >>> digits = load("digits")
        >>> trained = Trained(start("linear", digits), moments(digits.inputs))
        >>> apart = pure(trained)
        >>> apart.outputs(apart.params, apart.rest, digits.inputs[:3]).shape
        (3, 74)
    """
    network, params, rest = functional(trained.model)

    def logits(params: PyTree, rest: PyTree, inputs: Array) -> Array:
        return network.evaluate(params, rest, normalize(jnp.asarray(inputs), trained.scale))

    def outputs(params: PyTree, rest: PyTree, inputs: Array) -> Array:
        model = network.merge(params, rest)
        assert isinstance(model, Classifier)
        features = model.features(normalize(jnp.asarray(inputs), trained.scale))
        return jnp.concatenate([features, model.head(features)], axis=1)

    return Pure(logits, outputs if isinstance(trained.model, Classifier) else None, params, rest)
