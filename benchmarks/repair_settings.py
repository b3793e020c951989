"""Influential Rank's rounds under other settings of its scores and its training, from one and the same start."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from repair_routes import DAMPING, Start, by_round
from repair_tasks import GAMMA, Plan, Task

from jaxnoisy.detect import influential_rank
from jaxnoisy.refine.heads import HeadTask, exactly
from jaxnoisy.refine.scoring import Scored, losses
from jaxnoisy.refine.subject import Weights, head_data, head_params


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What differs from the other measurements.

    Attributes:
        damping: of the curvature.
        curved: how many examples the curvature is of; None for all.
        bias: whether gradients of the head's bias are part of the scores.
        gamma: classes to ask for; None for what the noise asks for.
        rate: the learning rate of post-training is multiplied by it.
    """

    damping: float = DAMPING
    curved: int | None = None
    bias: bool = True
    gamma: int | None = None
    rate: float = 1.0


SETTINGS = {
    "as elsewhere": Setting(),
    "damping 0.0001": Setting(damping=1e-4),
    "damping 0.1": Setting(damping=0.1),
    "damping 1": Setting(damping=1.0),
    "curvature of 200 examples": Setting(curved=200),
    "without the bias": Setting(bias=False),
    **{f"{k} classes": Setting(gamma=k) for k in (2, 5, 10)},
    "learning rate x 1/3": Setting(rate=1 / 3),
    "learning rate x 3": Setting(rate=3.0),
}


def varied(task: Task, noise: str, plan: Plan, seed: int) -> dict[str, Any]:
    """Two rounds under each of :data:`SETTINGS`, and with the loss in the place of the scores."""
    start = Start(task, noise, plan, seed)
    original, post = start.accuracy(start.weights), start.post
    found = {"small loss": start.rounds(start.scores("small-loss"), lambda scored, _: scored.detection)}
    for name, setting in SETTINGS.items():
        start.post = dataclasses.replace(post, learning_rate=post.learning_rate * setting.rate)
        found[name] = start.rounds(_scores(start, setting), lambda scored, _: scored.detection)
    start.post = dataclasses.replace(post, learning_rate=post.learning_rate * 3)
    found["small loss, learning rate x 3"] = start.rounds(
        start.scores("small-loss"), lambda scored, _: scored.detection
    )
    rounds = {name: by_round(infos, original, start.flips) for name, infos in found.items()}
    return {"original": original, "wrong": float(start.flips.mean()), "settings": rounds}


def _scores(start: Start, setting: Setting) -> Callable[[Weights, np.ndarray], Scored]:
    gamma = GAMMA[start.noise] if setting.gamma is None else setting.gamma
    select = influential_rank(gamma=gamma)

    def score(weights: Weights, rows: np.ndarray) -> Scored:
        train = head_data(start.subject, weights, start.task.train, rows)
        clean = head_data(start.subject, weights, start.task.validation)
        params = head_params(start.subject, weights)
        if not setting.bias:
            params = {"kernel": params["kernel"]}
        sample = None
        if setting.curved is not None:
            sample = np.sort(np.random.default_rng(start.seed).permutation(len(rows))[: setting.curved])
        head = exactly(HeadTask(train, clean, sample, setting.damping, params))
        found, said = head.scores()
        own = losses(np.asarray(train[1]), np.asarray(train[2]))
        return Scored(select(found), found, own, said, head.influences)

    return score
