"""From a detection to a data set without the labels it suspects, and a model trained anew on that."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxnoisy import check, files
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.data.queries import fitted
from jaxnoisy.detect import Detection
from jaxnoisy.refine.setting import OnEpoch, known_name
from jaxnoisy.repair import drop, suspects
from jaxnoisy.repaired import Repaired
from jaxnoisy.retrain.scaling import scaled
from jaxnoisy.timing import timed
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.loop import fit
from jaxnoisy.training.outputs import outputs, predictions
from jaxnoisy.training.recipes import objective, recipe
from jaxnoisy.training.trained import Trained, pure, save, start

METHODS = ("remove", "relabel")
"""What is done with the examples that are taken."""


def retrain(
    data: Dataset,
    trained: Trained,
    detection: Detection,
    *,
    method: str = "remove",
    fraction: float | None = None,
    threshold: float | None = None,
    class_floor: int | None = None,
    true_labels: bool = False,
    config: TrainConfig | None = None,
    test: Dataset | None = None,
    checkpoints: files.PathLike | None = None,
    resume: bool = False,
    whole: Dataset | None = None,
    mesh: Mesh | None = None,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
    settings: Mapping[str, Any] | None = None,
    timings: Mapping[str, float] | None = None,
) -> tuple[Repaired, Trained]:
    """Remove or relabel the most suspicious examples, and train anew.

    Jia et al. (2023), "Learning from training dynamics: identifying mislabeled data beyond manually designed features".
    "remove" (section 4.2, appendix B.2) trains on the rest, in batches that shrink with it. "relabel" is data debugging
    (section 4.3, appendix B.3): a first model is trained without what is taken and without whatever else the detector
    flags, the taken examples get the label that it predicts, and a second one is trained on all examples.

    Args:
        data: n examples under their given labels.
        trained: the model before; its settings name the network.
        detection: of these examples, by any detector.
        method: one of :data:`METHODS`.
        fraction: take that share, see :func:`jaxnoisy.repair.suspects`.
        threshold: take scores above it. Without either, what the detection flags.
        class_floor: spares the so many least suspicious examples of each class.
        true_labels: "relabel" with ``data.clean_labels`` instead of a model's, as if somebody had looked: a benchmark's
            bound on what relabelling can bring. No first model is trained then.
        config: how to train on n examples; by default :func:`jaxnoisy.training.recipes.recipe`.
        test: further examples, in the classes of the data, to measure every model on.
        checkpoints: folder for what training leaves; the last model is saved in it, under "main", as
            :func:`jaxnoisy.training.trained.load` reads it.
        resume: go on from them.
        whole: the data set that ``data`` is a part of, by which the saved model is to be recognised as well.
        mesh: from :func:`jaxnoisy.mesh.data_mesh`.
        seed: of initial parameters, and of training where ``config`` is not given.
        on_epoch: called after each epoch with "without suspects" or "anew".
        settings: plain values to be kept in the record's.
        timings: seconds of earlier stages; those taken here are added.

    Returns:
        The record, without rounds: ``removed_in`` is 1 for what was taken, whose ``labels`` are those of the model
        trained without it, or the true ones. ``confidence`` is that model's probability of the label; NaN with
        ``true_labels``. And the last model; the one before, where nothing was taken.

    Cost: one training, for "relabel" without ``true_labels`` two, and a forward pass over the data.

    Raises:
        ValueError: a method or number out of range, a detection of other data, an empty class, or ``true_labels``
            without a known truth or without "relabel". All of this is found out before training.
        FloatingPointError: training diverged.

    Example:
        >>> from jaxnoisy.data import load
        >>> from jaxnoisy.detect import aum
        >>> from jaxnoisy.retrain import first_run
        >>> data, config = load("digits"), TrainConfig(epochs=2, learning_rate=0.01)
        >>> trained, trace = first_run(data, "linear", config)
        >>> repaired, better = retrain(data, trained, aum()(trace), fraction=0.1, config=config)
        >>> int(repaired.used.sum()), repaired.settings["training_anew"]["batch_size"]
        (1617, 115)
    """
    check.one_of(method, METHODS, name="method")
    if len(detection.scores) != len(data):
        raise ValueError(f"the detection is of {len(detection.scores)} examples, but the data holds {len(data)}")
    if true_labels and (method != "relabel" or data.clean_labels is None):
        raise ValueError('true_labels needs the method "relabel", and data whose clean_labels are known')
    test = None if test is None else fitted(test, data, name="the test set")
    taken, without = _parts(data, detection, fraction, threshold, class_floor, alone=method == "remove" or true_labels)
    name = known_name(trained)
    config = dataclasses.replace(config or recipe(name, data, seed=seed), record="none")
    seconds = dict(timings or {})
    folder = None if checkpoints is None else Path(checkpoints)
    runs = functools.partial(
        _trained, name, trained, seed=seed, mesh=mesh, folder=folder, resume=resume, on_epoch=on_epoch, seconds=seconds
    )
    smaller = scaled(config, float((~without).mean()), mesh)
    used, labels, confidence = np.ones(len(data), bool), data.labels, np.full(len(data), np.nan, np.float32)
    models, last_config = {"original": trained}, config
    if taken.any() and true_labels:
        assert data.clean_labels is not None
        labels = np.where(taken, data.clean_labels, labels).astype(np.int32)
    elif taken.any():
        label = "anew" if method == "remove" else "without suspects"
        judge = runs(data, smaller, label, keep=~without)
        labels, confidence = _labelled(judge, data, taken)
        models["trained anew" if method == "remove" else "without suspects"] = judge
    if method == "remove":
        used, last_config = ~taken, smaller
    elif taken.any():
        models["trained anew"] = runs(data.with_labels(labels), config, "anew")
    final, last = list(models.items())[-1]
    last = last._replace(settings={**last.settings, "refined": method})
    with timed(seconds, "measure"):
        accuracies = {n: {} if test is None else {"test": _accuracy(m, test)} for n, m in models.items()}
    if folder is not None:
        save(last, folder / "main", data, whole=whole)
    repaired = Repaired(
        dataset=data,
        method=method,
        labels=labels,
        used=used,
        removed_in=taken.astype(np.int32),
        confidence=confidence,
        scores=np.asarray(detection.scores, np.float64),
        rounds=(),
        accuracies=accuracies,
        final=final,
        settings={
            **trained.settings,
            **(settings or {}),
            "fraction": fraction,
            "threshold": threshold,
            "class_floor": class_floor,
            "true_labels": true_labels,
            "left_out_first": int(without.sum()),
            "seed": seed,
            "training_anew": dataclasses.asdict(last_config),
        },
        timings=seconds,
    )
    return repaired, last


def _parts(
    data: Dataset,
    detection: Detection,
    fraction: float | None,
    threshold: float | None,
    class_floor: int | None,
    *,
    alone: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) bool each: what is taken, and what a model that is to judge it is trained without."""
    chosen = suspects(fraction=fraction, threshold=threshold)(detection)
    spare = drop(class_floor=class_floor)
    taken = spare(chosen, data.labels)
    if not alone:
        chosen = chosen._replace(flagged=chosen.flagged | detection.flagged)
    without = spare(chosen, data.labels)
    if without.emptied:
        names = ", ".join(repr(data.class_names[k]) for k in without.emptied[:10])
        raise ValueError(
            f"no example would be left of the class {names}, and a model trained without it never predicts it: take "
            "fewer (--fraction, --threshold), or spare some of each class (--class-floor)"
        )
    return taken.rows, without.rows


def _trained(
    name: str,
    before: Trained,
    data: Dataset,
    config: TrainConfig,
    label: str,
    *,
    keep: np.ndarray | None = None,
    seed: int,
    mesh: Mesh | None,
    folder: Path | None,
    resume: bool,
    on_epoch: OnEpoch | None,
    seconds: dict[str, float],
) -> Trained:
    """Train from a fresh initialisation, with the inputs scaled as before."""
    with timed(seconds, f"train {label}"):
        done = fit(
            start(name, data, seed=seed, penultimate=before.settings.get("penultimate")),
            data,
            config,
            keep=keep,
            loss=objective(data),
            scale=before.scale,
            mesh=mesh,
            checkpoints=None if folder is None else folder / label.replace(" ", "-"),
            resume=resume,
            on_epoch=None if on_epoch is None else lambda report: on_epoch(label, report, config.epochs),
        )
    params, rest = jax.device_put(jax.device_get((done.state.params, done.state.rest)))
    settings = {**before.settings, "epochs": config.epochs, "seed": seed}
    return Trained(done.network.merge(params, rest), before.scale, settings)


def _labelled(judge: Trained, data: Dataset, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The most probable class for what was taken, the given label for all else, and their probabilities."""
    apart = pure(judge)
    logits = outputs(apart.logits, apart.params, apart.rest, data.inputs)
    labels = np.where(taken, predictions(logits), data.labels).astype(np.int32)
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    given = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    return labels, np.exp(given - np.log(np.exp(shifted).sum(axis=1))).astype(np.float32)


def _accuracy(trained: Trained, data: Dataset) -> float:
    apart = pure(trained)
    return float((predictions(outputs(apart.logits, apart.params, apart.rest, data.inputs)) == data.labels).mean())
