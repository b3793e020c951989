"""One trained model, repaired in several ways from the same start."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from repair_tasks import FEWER, GAMMA, Plan, Task

from jaxnoisy import repair
from jaxnoisy.detect import TRACE_METHODS, Detection, influential_rank, ranking
from jaxnoisy.influence import OverfittingScores
from jaxnoisy.refine import longer, refine
from jaxnoisy.refine.loop import train_on
from jaxnoisy.refine.rog import generative
from jaxnoisy.refine.scoring import Scored, scorer
from jaxnoisy.refine.subject import Weights, accuracy, apart
from jaxnoisy.repair import RoundInfo
from jaxnoisy.repaired import Repaired
from jaxnoisy.training import fit
from jaxnoisy.training.trained import Trained

ROUNDS = 2
DAMPING = 0.01

Pick = Callable[[Scored, int], Detection]
"""(scores of a round, its number) -> what to drop."""


class Start:
    """A task and the model that overfits to it, which every way of repair begins from."""

    def __init__(self, task: Task, noise: str, plan: Plan, seed: int) -> None:
        self.task, self.noise, self.plan, self.seed = task, noise, plan, seed
        self.config, self.post = plan.config(seed), plan.post(task.train, seed)
        self.flips = task.train.flips
        started = time.perf_counter()
        done = fit(plan.network(task.train, seed), task.train, dataclasses.replace(self.config, record="train"))
        self.seconds = {"train": time.perf_counter() - started}
        self.trace, self.fitted = done.trace, done.history[-1].accuracy
        self.trained = Trained(done.model, done.scale, {"model": plan.model, "epochs": plan.epochs, "seed": seed})
        self.subject, self.weights = apart(self.trained)

    def accuracy(self, weights: Weights) -> dict[str, float]:
        """On validation and test examples."""
        of = {"validation": self.task.validation, "test": self.task.test}
        return {name: accuracy(self.subject, weights, data) for name, data in of.items()}

    def repaired(self, gamma: int, *, rounds: int = ROUNDS) -> Repaired:
        """By the whole of Influential Rank: rounds, new labels, training anew."""
        started = time.perf_counter()
        found, _ = refine(
            self.task.train,
            self.task.validation,
            self.trained,
            rounds=rounds,
            gamma=gamma,
            damping=DAMPING,
            config=self.post,
            anew=self.config,
            fresh=lambda: self.plan.network(self.task.train, self.seed),
            test=self.task.test,
            evidence=False,
            seed=self.seed,
        )
        self.seconds["influential rank"] = time.perf_counter() - started
        return found

    def scores(
        self, method: str = "influential-rank", *, gamma: int = FEWER
    ) -> Callable[[Weights, np.ndarray], Scored]:
        """What a round looks at."""
        return scorer(
            self.subject,
            self.task.train,
            self.task.validation,
            method=method,
            gamma=gamma,
            damping=DAMPING,
            solver="exact",
            hessian_examples=None,
            seed=self.seed,
        )

    def rounds(self, score: Callable[[Weights, np.ndarray], Scored], pick: Pick) -> list[RoundInfo]:
        """The same rounds with another pick, and nothing after them."""
        train, infos = self.task.train, []

        def trained(weights: Weights, kept: np.ndarray, number: int) -> Weights:
            return train_on(self.subject, weights, train, self.post, number, keep=kept)

        step = repair.post_train(
            find=lambda weights, rows: pick(score(weights, rows), len(infos)),
            train=trained,
            accuracy=lambda weights: self.accuracy(weights)["validation"],
            rounds=ROUNDS,
            measures={"test": lambda weights: self.accuracy(weights)["test"]},
        )
        state = repair.begin(self.weights, len(train), self.accuracy(self.weights)["validation"])
        while not state.finished:
            state, info = step(state, train.labels, self.flips)
            infos.append(info)
        return infos


def compared(task: Task, noise: str, plan: Plan, seed: int) -> dict[str, Any]:
    """Influential Rank and what it is to be compared with."""
    start = Start(task, noise, plan, seed)
    original = start.accuracy(start.weights)
    found = start.repaired(GAMMA[noise])
    counts = [info.removed.size for info in found.rounds]
    others = {
        "small loss": start.rounds(start.scores("small-loss"), lambda scored, _: scored.detection),
        "as many of the highest OSM": start.rounds(
            start.scores(), lambda scored, done: highest(scored.scores, counts[done] if done < len(counts) else 0)
        ),
    }
    if GAMMA[noise] != FEWER:
        others[f"{FEWER} classes"] = start.rounds(start.scores(), lambda scored, _: scored.detection)
    control = longer(task.train, task.validation, start.trained, config=start.post, test=task.test)
    generated, _ = generative(task.train, task.validation, start.trained)
    return {
        **_of(start, original),
        "gamma": GAMMA[noise],
        "influential_rank": by_round(found.rounds, original, start.flips),
        "others": {name: by_round(infos, original, start.flips) for name, infos in others.items()},
        "longer": [control.accuracies[f"longer {number}"] for number in range(1, ROUNDS + 1)],
        "rog": {"test": generated.accuracy(task.test), "validation": generated.accuracy(task.validation)},
        "anew": {**_anew(found), "used": int(found.used.sum()), "noise": found.noise_after},
        "aum": removal(TRACE_METHODS["aum"]()(start.trace).flagged, start.flips),
        "by_gamma": by_gamma(start),
    }


def many_rounds(task: Task, noise: str, plan: Plan, seed: int, *, rounds: int) -> dict[str, Any]:
    """More rounds of Influential Rank."""
    start = Start(task, noise, plan, seed)
    original = start.accuracy(start.weights)
    found = start.repaired(GAMMA[noise], rounds=rounds)
    return {
        **_of(start, original),
        "gamma": GAMMA[noise],
        "influential_rank": by_round(found.rounds, original, start.flips, rounds=rounds),
        "anew": {**_anew(found), "used": int(found.used.sum()), "noise": found.noise_after},
    }


def _of(start: Start, original: dict[str, float]) -> dict[str, Any]:
    return {
        "examples": len(start.flips),
        "wrong": float(start.flips.mean()),
        "fitted": start.fitted,
        "original": original,
        "seconds": start.seconds,
    }


def _anew(found: Repaired) -> dict[str, Any]:
    return dict(found.accuracies.get("trained anew", {"validation": None, "test": None}))


def highest(scores: OverfittingScores, count: int) -> Detection:
    """Flag the ``count`` examples that bend the model furthest, whatever the classes say."""
    by_osm = influential_rank(gamma=0)(scores)
    flagged = np.zeros(len(by_osm.flagged), bool)
    flagged[ranking(by_osm)[:count]] = True
    return by_osm._replace(flagged=flagged)


def by_gamma(start: Start) -> list[dict[str, Any]]:
    """What would be dropped first, for every number of classes that may be asked for; nothing is trained."""
    every = np.arange(len(start.task.train))
    scores = start.scores()(start.weights, every).scores
    classes = range(start.task.train.num_classes + 1)
    return [{"gamma": k, **removal(influential_rank(gamma=k)(scores).flagged, start.flips)} for k in classes]


def removal(removed: np.ndarray, flips: np.ndarray) -> dict[str, Any]:
    """Precision and recall of what is dropped, and the share of wrong labels that are left."""
    hits = int((removed & flips).sum())
    return {
        "removed": int(removed.sum()),
        "precision": hits / int(removed.sum()) if removed.any() else None,
        "recall": hits / int(flips.sum()) if flips.any() else None,
        "left": float(flips[~removed].mean()) if not removed.all() else None,
    }


def by_round(
    infos: tuple[RoundInfo, ...] | list[RoundInfo],
    original: dict[str, float],
    flips: np.ndarray,
    *,
    rounds: int = ROUNDS,
) -> list[dict[str, Any]]:
    """Where a repair stands after each round: a round that was restored, or not made, leaves all as it was."""
    removed, measured, said = np.zeros(len(flips), bool), original, []
    for number in range(rounds):
        info = infos[number] if number < len(infos) else None
        if info is not None and info.accepted:
            removed = removed.copy()
            removed[info.removed] = True
            measured = {"validation": info.accuracy_after, "test": info.measures["test"]}
        reason = "Not made." if info is None else info.reason
        said.append({**measured, "accepted": bool(info and info.accepted), "reason": reason, **removal(removed, flips)})
    return said
