"""The main job: train a model on a labelled data set, record its dynamics, and let the detectors read them."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh

from jaxnoisy import check, files
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.detect import TRACE_METHODS, Detection, aum_threshold, threshold_examples, threshold_labels
from jaxnoisy.detect.methods import MIN_EPOCHS
from jaxnoisy.dynamics import Trace
from jaxnoisy.findings import Findings, find
from jaxnoisy.models import MODEL_NAMES
from jaxnoisy.timing import timed
from jaxnoisy.training import EpochReport, Fit, TrainConfig, fit
from jaxnoisy.training.recipes import default_model, recipe
from jaxnoisy.training.trained import start

METHODS = (*TRACE_METHODS, "aum-threshold")
"""Every method that :func:`audit` knows: those that read one trace, and AUM with threshold examples (two more runs)."""

Progress = Callable[[str, EpochReport, int], None]
"""Called after each epoch with the run's name, its report, and the number of epochs."""


def audit(
    data: Dataset,
    *,
    methods: Sequence[str] | None = None,
    model: str = "auto",
    config: TrainConfig | None = None,
    seed: int = 0,
    dtype: str = "float32",
    mesh: Mesh | None = None,
    checkpoints: files.PathLike | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Findings:
    """Find the suspicious labels of a data set.

    Args:
        data: n examples under their given labels.
        methods: names from :data:`METHODS`; the first is the one that the report follows. By default every method that
            reads the one trace and has epochs enough.
        model: a name that :func:`jaxnoisy.models.build` knows, or "auto": "cnn" for images, "mlp" for features.
        config: how to train; by default :func:`jaxnoisy.training.recipes.recipe`.
        seed: whole number >= 0, of the initial parameters and, where ``config`` is not given, of the training.
        dtype: "float32", or "bfloat16" for forward and backward passes with float32 parameters.
        mesh: from :func:`jaxnoisy.mesh.data_mesh`, to train on several devices.
        checkpoints: folder for checkpoints of every run.
        resume: go on from them.
        progress: called after each epoch.

    Returns:
        :class:`~jaxnoisy.findings.Findings`: a :class:`~jaxnoisy.detect.Detection` per method, the trace, suggested
        labels, an estimate of the noise rate and, where the clean labels are known, the metrics.

    Cost: one training run for all methods together; "aum-threshold" adds two.

    Raises:
        ValueError: an unknown method or model, a model that does not fit the data, a method that needs more epochs, or
            a ``config`` that records nothing. All of this is found out before training.

    Example:
        >>> from jaxnoisy.data import load
        >>> from jaxnoisy.training import TrainConfig
        >>> found = audit(load("digits"), methods=["aum"], model="linear", config=TrainConfig(epochs=2))
        >>> found.detections["aum"].scores.shape
        (1797,)
    """
    check.positive_int(seed, name="seed", minimum=0)
    check.one_of(dtype, ("float32", "bfloat16"), name="dtype")
    model = default_model(data) if model == "auto" else check.one_of(model, ("auto", *MODEL_NAMES), name="model")
    config = config or recipe(model, data, seed=seed)
    if config.record == "none":
        raise ValueError('config.record is "none", but detectors read what was recorded: choose "train" or "eval"')
    names = within(config.epochs, TRACE_METHODS) if methods is None else known_methods(methods, METHODS)
    for name in set(names) - set(within(config.epochs, names)):
        raise ValueError(
            f"{name} compares epochs and needs at least {MIN_EPOCHS[name]}, but the run has {config.epochs}: "
            f"train for more epochs, or leave out {name}"
        )
    # Drawn before training, which is long, in case the data set is too small for them.
    masks = _threshold_masks(data, seed) if "aum-threshold" in names else []

    def train(name: str, examples: Dataset, probabilities: bool = False) -> Fit:
        return fit(
            start(model, examples, seed=seed, dtype=dtype),
            examples,
            config,
            probabilities=probabilities,
            mesh=mesh,
            checkpoints=None if checkpoints is None else Path(checkpoints) / name,
            resume=resume,
            run={"model": model, "dtype": dtype, "init_seed": seed},
            on_epoch=None if progress is None else lambda report: progress(name, report, config.epochs),
        )

    timings: dict[str, float] = {}
    with timed(timings, "train"):
        main = train("main", data, probabilities="confident-learning" in names)
    timings["compile"] = main.compile_seconds
    assert main.trace is not None
    others: dict[str, Detection] = {}
    if "aum-threshold" in names:
        with timed(timings, "train threshold runs"):
            others["aum-threshold"] = _with_threshold_examples(train, data, masks)
    settings = {"methods": list(names), "model": model, "dtype": dtype, "seed": seed, **dataclasses.asdict(config)}
    return find(main.trace, names, others=others, dataset=data, flips=data.flips, settings=settings, timings=timings)


def known_methods(methods: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The methods asked for, in order and once each; ValueError names those that are known."""
    if not methods:
        raise ValueError(f"no method was given: name some of {', '.join(known)}")
    return tuple(dict.fromkeys(check.one_of(name, known, name="method") for name in methods))


def within(epochs: int, methods: Iterable[str]) -> tuple[str, ...]:
    """Those of the methods that a run of so many epochs is long enough for."""
    return tuple(name for name in methods if epochs >= MIN_EPOCHS.get(name, 1))


def _threshold_masks(data: Dataset, seed: int) -> list[np.ndarray]:
    key = jax.random.fold_in(jax.random.key(seed), 2)
    return [np.asarray(mask) for mask in threshold_examples(key, data.labels, data.num_classes)]


def _with_threshold_examples(
    train: Callable[[str, Dataset], Fit], data: Dataset, masks: Sequence[np.ndarray]
) -> Detection:
    """AUM from two runs, each with other examples moved to a class of their own (Pleiss et al. 2020, section 3.2)."""
    traces: list[Trace] = []
    for name, mask in zip(("threshold-a", "threshold-b"), masks):
        moved = dataclasses.replace(
            data,
            labels=np.asarray(threshold_labels(data.labels, mask, data.num_classes), np.int32),
            class_names=(*data.class_names, "(threshold)"),
        )
        trace = train(name, moved).trace
        assert trace is not None
        traces.append(trace)
    return aum_threshold()(traces[0], masks[0], traces[1], masks[1])
