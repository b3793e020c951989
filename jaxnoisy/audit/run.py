"""The main job: train a model on a labelled data set, record its dynamics, and let the detectors read them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh

from jaxnoisy import check, files
from jaxnoisy.audit.beyond import Beyond, Runs, Task
from jaxnoisy.audit.methods import allowed, known_methods, refuse_impossible
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.data.queries import fitted
from jaxnoisy.detect import TRACE_METHODS, Detector
from jaxnoisy.findings import Findings, find
from jaxnoisy.losses import ByEpoch, Loss
from jaxnoisy.models import MODEL_NAMES
from jaxnoisy.timing import timed
from jaxnoisy.training import EpochReport, Fit, TrainConfig, fit
from jaxnoisy.training.learning import Learning
from jaxnoisy.training.recipes import default_model, objective, recipe
from jaxnoisy.training.trained import start
from jaxnoisy.video import for_stream

Progress = Callable[[str, EpochReport, int], None]
"""Called after each epoch with the run's name, its report, and the number of epochs."""


def audit(
    data: Dataset,
    *,
    clean: Dataset | None = None,
    methods: Sequence[str | Beyond] | None = None,
    detectors: Mapping[str, Detector] | None = None,
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
        data: n examples under their given labels. Of clips, the trace is that of their frames, and "influential-rank"
            flags what their flow says too, where they hold it; see :mod:`jaxnoisy.video`.
        clean: m examples with clean labels, in the classes of the data, for methods that need some; see
            :func:`jaxnoisy.data.load_clean`.
        methods: names from :data:`METHODS`, or options such as ``InfluentialRank(gamma=5)``; the first is the one that
            the report follows. By default every method that trains no run of its own, costs no more than grows with
            the examples, has epochs enough, and the clean examples that it needs.
        detectors: what reads the trace for a method of one run, in the place of its usual detector, by the method's
            name: ``{"lstm": lstm(load_detector(path))}``, ``{"small-loss": small_loss(noise_rate=0.1)}``.
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
        labels, an estimate of the noise rate and, where the clean labels are known, the metrics. What a method that
        reads more than the trace says of itself stands in the settings under its name.

    Cost: one training run for all methods together; "aum-threshold" adds two, "cores" one, "nlnl" three, "bhn" one
    on half of the clean examples, "dynacor" one and its search for clusters. "simifeat-vote" and "simifeat-rank" add
    n^2 d multiplications for each pass over the data. "influential-rank" adds a forward pass over the data, and the
    algebra of :func:`jaxnoisy.influence.head_overfitting`; of clips, a run on their flow.

    Raises:
        ValueError: an unknown method or model, a model that does not fit the data, a method that needs more epochs or
            clean examples, clean examples that do not fit the data, or a ``config`` that records nothing. All of this
            is found out before training.
        FloatingPointError: training diverged.

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
    clean = None if clean is None else fitted(clean, data, name="clean")
    given = clean is not None
    asked = known_methods(allowed(config.epochs, clean=given, more_runs=False) if methods is None else methods)
    refuse_impossible(asked, epochs=config.epochs, clean=given)
    for name in detectors or {}:
        check.one_of(name, tuple(TRACE_METHODS), name="a name in detectors")
    task = Task(data, clean, model, seed, config.epochs)
    # Before training, which is long, in case one of them refuses the data.
    beyond = {name: options.prepare(task) for name, options in asked.items() if options is not None}

    run = {"model": model, "dtype": dtype, "init_seed": seed, "clean": None if clean is None else clean.fingerprint()}

    def train(
        name: str,
        examples: Dataset,
        *,
        weights: np.ndarray | None = None,
        learning: Learning | None = None,
        probabilities: bool = False,
        loss: Loss | ByEpoch | None = None,
        options: Mapping[str, Any] | None = None,
        after: Fit | None = None,
        batch_size: int | None = None,
    ) -> Fit:
        smaller = min(config.batch_size, batch_size or config.batch_size)
        return fit(
            start(model, examples, seed=seed, dtype=dtype) if after is None else after.model,
            examples,
            for_stream(name, dataclasses.replace(config, batch_size=smaller)),
            weights=weights,
            scale=None if after is None else after.scale,
            loss=loss or objective(examples),
            probabilities=probabilities,
            learning=learning,
            mesh=mesh,
            checkpoints=None if checkpoints is None else Path(checkpoints) / name,
            resume=resume,
            run={**run, **(options or {})},
            on_epoch=None if progress is None else lambda report: progress(name, report, config.epochs),
        )

    timings: dict[str, float] = {}
    with timed(timings, "train"):
        main = train("main", data, probabilities="confident-learning" in asked)
    timings["compile"] = main.compile_seconds
    assert main.trace is not None
    runs = Runs(main, train, timings)
    found = {name: method(runs) for name, method in beyond.items()}
    settings = {"methods": list(asked), "model": model, "dtype": dtype, "seed": seed, **dataclasses.asdict(config)}
    return find(
        main.trace,
        tuple(asked),
        detectors=detectors,
        others={name: one.detection for name, one in found.items()},
        dataset=data,
        flips=data.flips,
        settings=settings | {name: dict(one.notes) for name, one in found.items() if one.notes},
        timings=timings,
    )
