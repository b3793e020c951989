"""Every method on one task: what it detects, and the accuracy of a classifier trained on what it keeps."""

from typing import Any

import jax.numpy as jnp
import lsw_training
import numpy as np
from lsw_tasks import Task

from jaxnoisy.detect import TRACE_METHODS, Detection, bhn, nlnl, rules
from jaxnoisy.losses import cross_entropy
from jaxnoisy.metrics import detection_metrics
from jaxnoisy.robust import negative_learning, selective_negative, selective_positive
from jaxnoisy.training.parts import PARTS
from jaxnoisy.weights import THRESHOLD

TRACED = ("aum", "small-loss", "mean-loss", "confidence", "el2n", "margin-mixture")
RETRAINED = ("aum", "small-loss", "bhn", "nlnl", "lsw", "l2rw", "mwnet")
"""The methods whose kept examples, with the clean ones, train a classifier anew."""

VARIANTS: dict[str, dict[str, Any]] = {
    "through all parameters": {"part": "all"},
    "through the head alone": {"part": "head"},
    "every 4 steps": {"every": 4},
    "printed line 8": {"reading": "printed"},
    "gradient as it is": {"unit": "none"},
}
"""LSW otherwise: through other parameters, seldom, as line 8 is printed, and without a unit for its gradient."""

MWNET_VARIANTS: dict[str, dict[str, Any]] = {
    "as compared": {},
    "random start": {"start": "random"},
    "divided by b": {"normalise": "count"},
    "through all parameters": {"part": "all"},
    "all three: the paper's": {"start": "random", "normalise": "count", "part": "all"},
}

DEEP = (256, 256, 256)
"""Hidden layers of the perceptron whose parts are compared; with one only, its last block would be its whole body."""

ROUTES: tuple[dict[str, Any], ...] = tuple({"part": part, "every": every} for part in PARTS for every in (1, 4))
"""Cheaper look-aheads."""

FINAL_RATE = 0.02


class Bench:
    """A task and the runs on it. Inputs are standardised, train and clean examples lie one after the other."""

    def __init__(self, task: Task, *, seed: int, epochs: int, hidden: tuple[int, ...] = (512,)) -> None:
        self.task, self.seed, self.flips = task, seed, task.train.flips
        self.n, self.m = len(task.train), len(task.clean)
        d, c = task.train.inputs.shape[1], task.train.num_classes
        self.sizes = lsw_training.Sizes(self.n, self.m, d, c, epochs, hidden)
        self.logits = lsw_training.forward(self.sizes)
        mean, spread = task.train.inputs.mean(axis=0), task.train.inputs.std(axis=0) + 1e-6
        parts = [((part.inputs - mean) / spread).astype(np.float32) for part in task]
        self.inputs, self.held = jnp.asarray(np.concatenate(parts[:2])), jnp.asarray(parts[2])
        self.labels = jnp.asarray(np.concatenate([task.train.labels, task.clean.labels]))
        self.given = np.arange(self.n + self.m) < self.n

    def trained(
        self, weights: np.ndarray, *, loss: Any = None, rate: float | None = None, after: Any = None
    ) -> lsw_training.Run:
        """A run by these weights of all examples, clean ones included."""
        train = lsw_training.trainer(self.sizes, loss, rate)
        start = lsw_training.parameters(self.sizes, self.seed) if after is None else after.params
        return train(start, self.inputs, self.labels, jnp.asarray(weights, jnp.float32))

    def losses(self, params: Any) -> np.ndarray:
        """(n + m,) cross entropy under a model."""
        return np.asarray(cross_entropy(self.logits(params, self.inputs), self.labels))

    def accuracy(self, params: Any) -> float:
        """On the test set."""
        guesses = np.asarray(self.logits(params, self.held)).argmax(axis=1)
        return float((guesses == self.task.test.labels).mean())

    def kept(self, flagged: np.ndarray, weights: np.ndarray | None = None, *, clean: bool = True) -> float:
        """Accuracy of a classifier trained on what is kept, by default with the clean examples."""
        ours = np.where(flagged, 0, 1 if weights is None else weights)
        done = self.trained(np.concatenate([ours, np.full(self.m, float(clean))]), rate=FINAL_RATE)
        return self.accuracy(done.params)

    def early_stopped(self) -> dict[str, float]:
        """Plain training on all given labels: test accuracy at the epoch that clean examples find best, and last."""
        done = self.trained(self.given, rate=FINAL_RATE)
        wanted, seen = self.task.clean.labels, []
        for params in done.history:
            guesses = np.asarray(self.logits(params, self.inputs[self.n :])).argmax(axis=1)
            seen.append(float((guesses == wanted).mean()))
        best = int(np.argmax(seen))
        return {"stopped": self.accuracy(done.history[best]), "last": self.accuracy(done.params), "epoch": best + 1}

    def judged(self, found: Detection) -> dict[str, float]:
        """Detection metrics."""
        return detection_metrics(found.scores, found.flagged, self.flips)._asdict()

    def bhn_by_halves(self) -> Detection:
        """Each half of the examples judged by a model that learned from the other half."""
        second = np.random.default_rng(self.seed).permutation(self.n) % 2 == 1
        scores, ordinary = np.empty(self.n), []
        for mine in (~second, second):
            learned = np.concatenate([~mine, np.zeros(self.m, bool)])
            found = self.losses(self.trained(learned).params)
            scores[mine] = found[: self.n][mine]
            ordinary.append(found[self.n :])
        return bhn()(scores, np.stack(ordinary), second.astype(int))

    def bhn_by_clean(self) -> Detection:
        """All examples judged by a model that learned from half of the clean ones, as the authors have it."""
        half = np.arange(self.m) % 2 == 0
        found = self.losses(self.trained(np.concatenate([np.zeros(self.n, bool), half]), rate=FINAL_RATE).params)
        return bhn()(found[: self.n], found[self.n :][~half])

    def nlnl(self) -> Detection:
        """Negative, selective negative, and selective positive learning."""
        done = None
        for loss in (negative_learning, selective_negative, selective_positive):
            done = self.trained(self.given, loss=loss, after=done)
        return nlnl()(done.trace.take(slice(self.n)))

    def learned(self, rule: str = "lsw", **options: Any) -> lsw_training.Learned:
        """A run that learns weights from the clean examples."""
        chosen = tuple(sorted(options.items()))
        learn = lsw_training.learning(self.sizes, rule, chosen)
        return learn(lsw_training.parameters(self.sizes, self.seed), self.inputs, self.labels, self.seed)


def by_weights(weights: np.ndarray, *, wrong: float | None = None) -> Detection:
    """Weights as a detection: below the paper's threshold, or as many of the lowest as are known to be wrong."""
    scores = -weights.astype(np.float64)
    if wrong is not None:
        found = rules.top_fraction(wrong)(scores)
        return Detection(scores, found.flagged, found.threshold)
    return Detection(scores, scores > -THRESHOLD, -THRESHOLD)


def compared(bench: Bench, lsw: dict[str, Any], *, variants: bool) -> dict[str, Any]:
    """All methods, the six settings of Table 6, and other ways to run LSW."""
    wrong = float(bench.flips.mean())
    trace = bench.trained(bench.given).trace.take(slice(bench.n))
    detections = {name: TRACE_METHODS[name]()(trace) for name in TRACED}
    detections |= {"bhn": bench.bhn_by_clean(), "bhn, halves": bench.bhn_by_halves(), "nlnl": bench.nlnl()}
    runs = {"lsw": bench.learned(**lsw), "l2rw": bench.learned("l2rw"), "mwnet": bench.learned("mwnet")}
    weights = runs["lsw"].weights
    detections["lsw"] = by_weights(weights)
    # L2RW forgets from batch to batch, so its weights are averaged over the epochs.
    detections["l2rw"] = by_weights(np.nanmean(runs["l2rw"].used, axis=1), wrong=wrong)
    detections["mwnet"] = by_function(runs["mwnet"], wrong)
    low = detections["lsw"].flagged
    plain = bench.early_stopped()
    settings = {
        "1 all, no weights": plain["stopped"],
        "2 all, joint training": bench.accuracy(runs["lsw"].params),
        "3 all, weights": bench.kept(np.zeros_like(low), weights, clean=False),
        "4 filtered, no weights": bench.kept(low, clean=False),
        "5 filtered, weights": bench.kept(low, weights, clean=False),
        "6 right labels alone": bench.kept(bench.flips, clean=False),
    }
    found = {
        "wrong": wrong,
        "detections": {name: bench.judged(found) for name, found in detections.items()},
        "accuracy": {name: bench.kept(detections[name].flagged) for name in RETRAINED},
        "joint": {name: bench.accuracy(done.params) for name, done in runs.items()},
        "plain": plain,
        "clean_alone": bench.kept(np.ones(len(low), bool)),
        "settings": settings,
        "weights": spread_of(weights, bench.flips),
    }
    if variants:
        found["variants"] = {name: learned_with(bench, {**lsw, **options}) for name, options in VARIANTS.items()}
        found["mwnet_variants"] = {}
        for name, options in MWNET_VARIANTS.items():
            done = bench.learned("mwnet", **options)
            judged = bench.judged(by_function(done, wrong))
            found["mwnet_variants"][name] = {**judged, "joint": bench.accuracy(done.params)}
    return found


def by_function(done: lsw_training.Learned, wrong: float) -> Detection:
    """The weights of MW-Net, which stand at 0.5 where an example was never drawn."""
    return by_weights(np.nan_to_num(done.weights, nan=0.5), wrong=wrong)


def routes(bench: Bench, lsw: dict[str, Any]) -> dict[str, Any]:
    """LSW by cheaper look-aheads: through parts of the parameters, and every few steps."""
    found = [{**route, **learned_with(bench, {**lsw, **route})} for route in ROUTES]
    return {"routes": found, "costs": lsw_training.step_costs(bench.sizes, PARTS)}


def learned_with(bench: Bench, options: dict[str, Any]) -> dict[str, Any]:
    """LSW alone: detection, the accuracy of its own model, and where the weights lie."""
    done = bench.learned(**options)
    found = bench.judged(by_weights(done.weights))
    return {**found, "joint": bench.accuracy(done.params), "weights": spread_of(done.weights, bench.flips)}


def spread_of(weights: np.ndarray, flips: np.ndarray) -> dict[str, list[float]]:
    """Quantiles of the weights of right and of wrong labels."""
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    return {name: np.quantile(weights[mask], levels).tolist() for name, mask in (("right", ~flips), ("wrong", flips))}


def with_clean(bench: Bench, lsw: dict[str, Any]) -> dict[str, Any]:
    """LSW and BHN by the clean examples there are, and the classifier that LSW's flags lead to."""
    done = bench.learned(**lsw)
    found = by_weights(done.weights)
    return {
        "detections": {"lsw": bench.judged(found), "bhn": bench.judged(bench.bhn_by_clean())},
        "accuracy": bench.kept(found.flagged),
        "joint": bench.accuracy(done.params),
        "clean_alone": bench.kept(np.ones(len(found.flagged), bool)),
    }
