"""The rounds of a repair: scores, training and measures of a Flax classifier put into post-training."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np
from jax.sharding import Mesh

from jaxnoisy.data.dataset import Dataset
from jaxnoisy.detect import Detection
from jaxnoisy.refine.evidence import FirstSight, first_sight
from jaxnoisy.refine.rounds import Progress, Rounds
from jaxnoisy.refine.scoring import Scored, scorer
from jaxnoisy.refine.setting import OnEpoch, OnRound, Setting
from jaxnoisy.refine.subject import Subject, Weights, accuracy, learned
from jaxnoisy.repair import begin, post_train
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.loop import fit

Score = Callable[[Weights, np.ndarray], Scored]


def train_on(
    subject: Subject,
    weights: Weights,
    data: Dataset,
    config: TrainConfig,
    number: int,
    *,
    keep: np.ndarray | None = None,
    saved: Rounds | None = None,
    mesh: Mesh | None = None,
    on_epoch: OnEpoch | None = None,
) -> Weights:
    """Train on from ``weights``, batch statistics included, with a fresh optimizer and in an order of this round's own.

    Raises:
        FloatingPointError: the loss stopped being finite.
    """
    name = f"round-{number}"
    done = fit(
        subject.merge(*weights),
        data,
        dataclasses.replace(config, seed=config.seed + number),
        keep=keep,
        scale=subject.scale,
        mesh=mesh,
        checkpoints=None if saved is None else saved.folder(name),
        resume=True,
        on_epoch=None if on_epoch is None else lambda report: on_epoch(f"round {number}", report, config.epochs),
    )
    return learned(done)


def make_rounds(
    task: Setting,
    before: Mapping[str, float],
    saved: Rounds,
    *,
    evidence: bool,
    mesh: Mesh | None = None,
    on_epoch: OnEpoch | None = None,
    on_round: OnRound | None = None,
) -> tuple[Progress, FirstSight | None]:
    """Make the rounds that are left, each of them on disk when it is done.

    Args:
        task: what is asked.
        before: accuracies of the original model; that on "validation" is where the rounds begin.
        saved: where rounds are kept, and gone on from.
        evidence: also return what the first round saw.
        mesh: to train on.
        on_epoch: called after each epoch.
        on_round: called for each round, those that are read back too.
    """
    choices, data, subject = task.choices, task.data, task.subject
    score = scorer(
        subject,
        data,
        task.measured["validation"],
        method=choices.method,
        gamma=choices.gamma,
        damping=choices.damping,
        solver=choices.solver,
        hessian_examples=choices.hessian_examples,
        seed=choices.seed,
    )
    measures = {name: functools.partial(_accuracy, subject, of) for name, of in task.measured.items()}
    decides = measures.pop("validation")

    def train(weights: Weights, kept: np.ndarray, number: int) -> Weights:
        return train_on(subject, weights, data, task.post, number, keep=kept, saved=saved, mesh=mesh, on_epoch=on_epoch)

    n, first = len(data), None
    start = begin(task.original, n, before["validation"])
    progress = saved.restore(Progress(start, np.zeros(n, np.int32), np.zeros(n), (), ()))
    if on_round is not None:
        for info in progress.infos:
            on_round(info)
    while not progress.state.finished:
        find = _Find(progress.state.round + 1, score, saved, task, evidence)
        step = post_train(
            find=find,
            train=train,
            accuracy=decides,
            rounds=choices.rounds,
            min_gain=choices.min_gain,
            class_floor=choices.class_floor,
            measures=measures,
        )
        state, info = step(progress.state, data.labels, data.flips)
        progress = progress.after(state, info, find.scores, find.said)
        saved.save(progress)
        if on_round is not None:
            on_round(info)
        first = first or find.first
    if evidence and first is None:
        first = _look_again(task, score)
    return progress, first


class _Find:
    """One round's search, which is read back where the round was begun before."""

    def __init__(self, number: int, score: Score, saved: Rounds, task: Setting, evidence: bool) -> None:
        self._number, self._score, self._saved, self._task = number, score, saved, task
        self._look = evidence and number == 1
        self.first: FirstSight | None = None
        self.scores: np.ndarray | None = None
        self.said = ""

    def __call__(self, weights: Weights, rows: np.ndarray) -> Detection:
        before = self._saved.found(self._number)
        if before is None:
            scored = self._score(weights, rows)
            if self._look:
                self.first = _first_sight(self._task, scored)
            before = scored.detection, scored.said
            self._saved.keep_found(self._number, *before)
        detection, self.said = before
        self.scores = detection.scores
        return detection


def _first_sight(task: Setting, scored: Scored) -> FirstSight:
    return first_sight(scored, task.measured["validation"], seed=task.choices.seed)


def _look_again(task: Setting, score: Score) -> FirstSight | None:
    """What the first round saw, where that was before a kill; None where it saw nothing finite."""
    try:
        return _first_sight(task, score(task.original, np.arange(len(task.data))))
    except FloatingPointError:
        return None


def _accuracy(subject: Subject, data: Dataset, weights: Weights) -> float:
    return accuracy(subject, weights, data)
