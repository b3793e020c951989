"""From a trained model and examples with clean labels to a data set with cleaned labels and a better model."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from flax import nnx
from jax.sharding import Mesh

from jaxnoisy import files
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.refine.anew import Anew, train_anew
from jaxnoisy.refine.evidence import embedded_rows
from jaxnoisy.refine.evidence import evidence as gathered
from jaxnoisy.refine.loop import make_rounds
from jaxnoisy.refine.rounds import Progress, Rounds
from jaxnoisy.refine.setting import Choices, OnEpoch, OnRound, Setting, setting
from jaxnoisy.refine.subject import Subject, Weights, accuracy, apart, fingerprint, head_data
from jaxnoisy.repaired import Repaired
from jaxnoisy.timing import timed
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.trained import Trained, save


def refine(
    data: Dataset,
    validation: Dataset,
    trained: Trained,
    *,
    method: str = "influential-rank",
    rounds: int = 2,
    gamma: float = 0.8,
    damping: float = 0.01,
    solver: str = "exact",
    hessian_examples: int | None = None,
    config: TrainConfig | None = None,
    min_gain: float = 0.0,
    class_floor: int | None = None,
    relabel_above: float = 0.8,
    anew: TrainConfig | None = None,
    fresh: Callable[[], nnx.Module] | None = None,
    test: Dataset | None = None,
    checkpoints: files.PathLike | None = None,
    resume: bool = False,
    whole: Dataset | None = None,
    evidence: bool = True,
    mesh: Mesh | None = None,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
    on_round: OnRound | None = None,
    timings: Mapping[str, float] | None = None,
) -> tuple[Repaired, Trained]:
    """Post-train a model without the examples that it overfits to, relabel these, and train anew.

    Park et al., "Influential Rank: a new perspective of post-training for robust model against noisy labels",
    Algorithm 1 and section 3.3. Each round scores the examples that are still kept through the model's last layer,
    drops what :func:`jaxnoisy.detect.influential_rank` flags, and trains the model on, from where it is, parameters
    and batch statistics, with a fresh optimizer and the learning rate raised again. The drop stays if validation
    accuracy rises; otherwise examples and model are restored and the rounds end. Then the last model labels what was
    dropped, and a new one is trained on the examples it is sure of. The repair ends with the new one, unless the rounds
    already ended with one that is more often right on validation data: training anew pays off where the model has
    memorised, and costs where it was sure of few examples.

    Args:
        data: n examples under their given labels, those the model was trained on.
        validation: examples with clean labels, that decide; five of each class do, and a class votes from two on. Its
            classes are found by name.
        trained: the model, a :class:`~jaxnoisy.models.Classifier`, from :func:`jaxnoisy.training.trained.train` or
            ``load``, or ``Trained(fit.model, fit.scale)`` of a run of one's own. It should have been trained for long
            enough to have memorised wrong labels.
        method: "influential-rank", or "small-loss": the same rounds with the loss in the place of both scores.
        rounds: the most rounds.
        gamma: how many classes must agree, see :func:`jaxnoisy.detect.influential_rank`.
        damping: added to the diagonal of the last layer's Hessian.
        solver: its inverse: "exact" in closed form; for wide heads "ekfac", an approximation, or "cg", exact up to a
            tolerance at the price of a solution for each example.
        hessian_examples: how many of the kept examples, drawn at random, the Hessian is of; all by default.
        config: how a round trains; by default :func:`~jaxnoisy.refine.post_recipe`. Round r adds r to its seed.
        min_gain: how much validation accuracy must rise beyond 0.
        class_floor: spares the so many least suspicious examples of each class. By default a round that would empty a
            class is refused, and ends the rounds.
        relabel_above: S, the softmax that an example's cleaned label must exceed for the new model to train on it.
        anew: how that model is trained; by default :func:`~jaxnoisy.training.recipes.recipe`.
        fresh: makes it, untrained; by default from the model's name in the settings of ``trained``, and ``seed``.
        test: examples to measure every model on as well. They decide nothing.
        checkpoints: folder for what rounds and training leave; the last model is saved in it, under "main", as
            :func:`jaxnoisy.training.trained.load` reads it.
        resume: go on from them. The result is that of an uninterrupted repair, seconds apart.
        whole: the data set that ``data`` is a part of, by which the saved model is to be recognised as well.
        evidence: collect what figures show.
        mesh: from :func:`jaxnoisy.mesh.data_mesh`, to train on several devices.
        seed: of the new model, of what is drawn, and of training where no settings are given.
        on_epoch: called after each epoch with "round 1", ..., or "anew".
        on_round: called with the record of each round when it is done, or read back.
        timings: seconds of earlier stages; those taken here are added.

    Returns:
        The record, and its final model: the one trained anew, or the one that the rounds ended with, and then the
        record's settings say why under "trained_anew". A round that diverges leaves the model before it.

    Cost: for each round a forward pass over the kept examples, the algebra of
    :func:`jaxnoisy.influence.head_overfitting`, and ``config.epochs`` epochs; then ``anew.epochs`` epochs.

    Raises:
        ValueError: no validation set, or one that does not fit the data; labels of one class only; a model without a
            head that fits them, or with values that are not finite; a choice out of range; more votes asked for than
            can be given; no way to make or train a new model; a head too wide for ``solver``; checkpoints of another
            run. All of this is found out before anything is trained or written.
        FloatingPointError: the original model gives outputs that are not finite.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.data import make
        >>> from jaxnoisy.training.trained import train
        >>> labels = np.arange(90) % 3
        >>> points = np.random.default_rng(0).normal(size=(90, 4)) + 3 * np.eye(3, 4)[labels]
        >>> data, validation = make(points[:60], labels[:60]), make(points[60:], labels[60:])
        >>> short = TrainConfig(epochs=3, learning_rate=0.01, record="none")
        >>> trained = train(data, model="linear", config=short)
        >>> repaired, better = refine(
        ...     data, validation, trained, rounds=1, config=short, anew=short, relabel_above=0.2, evidence=False
        ... )
        >>> len(repaired.rounds), repaired.labels.shape, list(repaired.accuracies)[-1]
        (1, (60,), 'trained anew')
    """
    choices = Choices(
        method=method,
        rounds=rounds,
        gamma=gamma,
        damping=damping,
        solver=solver,
        hessian_examples=hessian_examples,
        min_gain=min_gain,
        class_floor=class_floor,
        relabel_above=relabel_above,
        seed=seed,
    )
    task = setting(
        choices,
        data,
        validation,
        trained,
        test=test,
        post=config,
        anew=anew,
        fresh=fresh,
        evidence=evidence,
        mesh=mesh,
    )
    seconds = dict(timings or {})
    with timed(seconds, "measure"):
        before = _measured(task, task.subject, task.original)
    saved = Rounds(checkpoints, _identity(task, whole), resume=resume)
    progress, first = make_rounds(
        task, before, saved, evidence=evidence, mesh=mesh, on_epoch=on_epoch, on_round=on_round
    )
    for stage, name in (("find", "score"), ("train", "post-train")):
        seconds[name] = sum(info.seconds.get(stage, 0.0) for info in progress.infos)
    state = progress.state
    ending = train_anew(
        task,
        state.model,
        ~state.kept,
        seconds=seconds,
        mesh=mesh,
        checkpoints=saved.folder("anew"),
        on_epoch=None if on_epoch is None else lambda report: on_epoch("anew", report, task.anew.epochs),
    )
    accuracies = {"original": before, **_of_rounds(progress)}
    if ending.trained is not None:
        with timed(seconds, "measure"):
            accuracies["trained anew"] = _measured(task, *apart(ending.trained))
        ending = _unless_worse(ending, accuracies["trained anew"]["validation"], state.accuracy)
    last = ending.trained or _post_trained(task, progress)
    last = last._replace(settings={**last.settings, "refined": method})
    subject, weights = (task.subject, state.model) if ending.trained is None else apart(last)
    shown = None
    if first is not None:
        with timed(seconds, "evidence"):
            rows = embedded_rows(len(data), seed=seed)
            seen = (
                np.asarray(head_data(*of, data, rows)[0]) for of in ((task.subject, task.original), (subject, weights))
            )
            shown = gathered(first, rows, *seen, seed=seed)
    folder = saved.folder("main")
    if folder is not None and task.named:
        save(last, folder, data, whole=whole)
    repaired = Repaired(
        dataset=data,
        method=method,
        labels=ending.relabelled.labels,
        used=state.kept if ending.trained is None else ending.relabelled.kept,
        removed_in=progress.removed_in,
        confidence=ending.relabelled.confidence,
        scores=progress.scores,
        rounds=progress.infos,
        accuracies=accuracies,
        final=_after_rounds(progress) if ending.trained is None else "trained anew",
        evidence=shown,
        settings={
            **trained.settings,
            **_settings(task),
            "solutions": list(progress.said),
            "trained_anew": ending.reason or True,
        },
        timings=seconds,
    )
    return repaired, last


def _measured(task: Setting, subject: Subject, weights: Weights) -> dict[str, float]:
    return {name: accuracy(subject, weights, of) for name, of in task.measured.items()}


def _of_rounds(progress: Progress) -> dict[str, dict[str, float]]:
    """What was measured of the models of those rounds that trained one, restored ones too."""
    return {
        f"round {info.round}": {"validation": info.accuracy_after, **info.measures}
        for info in progress.infos
        if np.isfinite(info.accuracy_after)
    }


def _unless_worse(ending: Anew, anew: float, before: float) -> Anew:
    if anew >= before:
        return ending
    reason = (
        f"The model trained anew is not kept: it has {anew:.4f} validation accuracy, and the one that it was to "
        f"replace has {before:.4f}."
    )
    return ending._replace(trained=None, reason=reason)


def _after_rounds(progress: Progress) -> str:
    accepted = [info.round for info in progress.infos if info.accepted]
    return f"round {accepted[-1]}" if accepted else "original"


def _post_trained(task: Setting, progress: Progress) -> Trained:
    """The model that the rounds ended with."""
    settings = dict(task.trained.settings)
    more = task.post.epochs * sum(info.accepted for info in progress.infos)
    settings["epochs"] = int(settings.get("epochs", 0)) + more
    return Trained(task.subject.merge(*progress.state.model), task.trained.scale, settings)


def _settings(task: Setting) -> dict[str, Any]:
    return {
        **dataclasses.asdict(task.choices),
        "post_training": dataclasses.asdict(task.post),
        "training_anew": dataclasses.asdict(task.anew),
    }


def _identity(task: Setting, whole: Dataset | None) -> dict[str, Any]:
    """What a repair that is gone on with must share with the one that was begun."""
    sets = {**task.measured, "data": task.data, **({} if whole is None else {"whole": whole})}
    return {
        **{name: value for name, value in _settings(task).items() if not isinstance(value, dict)},
        **{f"post_{name}": value for name, value in dataclasses.asdict(task.post).items()},
        **{f"anew_{name}": value for name, value in dataclasses.asdict(task.anew).items()},
        **{name: of.fingerprint() for name, of in sets.items()},
        "model": fingerprint(task.subject, task.original),
    }
