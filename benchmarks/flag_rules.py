"""How recipes and flagging rules do on small data sets with known flips: what the defaults were chosen by.

One unit of work is (data set, seed): under each kind of label noise and each recipe the default model for features is
trained once, and every rule reads that trace. cleanlab's route with logistic regression runs beside it. LabelMe is not
among the data sets: it was looked at once, with the choice made.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import feature_sets
import jax
import numpy as np
import routes
from feature_sets import EASY, Shape
from sklearn.metrics import average_precision_score

from jaxnoisy.data import Dataset, make
from jaxnoisy.detect import TRACE_METHODS, rules
from jaxnoisy.detect.contested import confidently_contested, contested, with_memorised
from jaxnoisy.detect.reduce import mean_over_epochs
from jaxnoisy.dynamics import Trace, signals
from jaxnoisy.models import build
from jaxnoisy.noise.kinds import by_kind
from jaxnoisy.training import TrainConfig, fit
from jaxnoisy.training.recipes import gentle_rate, recipe

NOISES = (
    ("clean", 0.0),
    ("symmetric", 0.05),
    ("symmetric", 0.2),
    ("symmetric", 0.4),
    ("asymmetric", 0.25),
    ("instance", 0.2),
)
BUNDLED = (("digits", None), ("digits", 300), ("wine", None), ("breast_cancer", None), ("iris", None))
SHAPES = (
    Shape("trained", 1000, 512, EASY),
    Shape("trained", 300, 64, EASY),
    Shape("random", 1000, 256, EASY),
    Shape("trained", 600, 512),
    Shape("random", 600, 16, EASY),
    Shape("trained", 2000, 512),
    Shape("random", 1500, 1024, EASY),
    Shape("trained", 5000, 256),
)
PUSHES = (1.5, 3.0, 6.0)
FORMER_RATE = 0.05
DETECTORS = ("aum", "mean-loss", "confidence", "el2n", "confident-learning")


def recipes(model: str, data: Dataset, seed: int) -> dict[str, TrainConfig]:
    """The fixed learning rate that was the recipe before, and rates by how far one example may push its own logit."""
    plain = recipe(model, data, seed=seed)
    rates = {f"push {push:g}": gentle_rate(model, data, plain, push=push) for push in PUSHES}
    rates[f"rate {FORMER_RATE:g}"] = FORMER_RATE
    return {name: recipe(model, data, seed=seed, learning_rate=rate) for name, rate in rates.items()}


def margin_counts(trace: Trace, scores: np.ndarray) -> dict[str, int]:
    """How many of the highest mean-margin scores each rule flags."""
    counted = rules.rank_threshold(scores, confidently_contested(trace))
    whole = int(rules.mixture(floor=0.0, fallback=max(0.0, counted))(scores).flagged.sum())
    counts = {
        "contested": int(contested(trace).sum()),
        "plain mixture": int(rules.mixture()(scores).flagged.sum()),
        "mixture or count": whole,
    }
    for part in (5, 4, 3, 2):
        counts[f"and memorised since 1/{part}"] = with_memorised(trace, whole, early=trace.epochs // part)
    return counts


def judged(flips: np.ndarray, flagged: np.ndarray) -> dict[str, Any]:
    hits, found, wrong = int((flips & flagged).sum()), int(flagged.sum()), int(flips.sum())
    return {"flagged": found, "f1": 2 * hits / (found + wrong) if wrong else None}


def read(trace: Trace, flips: np.ndarray) -> dict[str, Any]:
    """Every rule on the mean margin, the default rule of other detectors, and how good a ranking was there to cut."""
    scores = -mean_over_epochs(trace, signals.margin)
    order = np.argsort(-scores, kind="stable")
    by_rule = {}
    for name, count in {**margin_counts(trace, scores), "true count": int(flips.sum())}.items():
        flagged = np.zeros(len(flips), bool)
        flagged[order[:count]] = True
        by_rule[name] = judged(flips, flagged)
    return {
        "average_precision": float(average_precision_score(flips, scores)) if flips.any() else None,
        "rules": by_rule,
        "detectors": {name: judged(flips, TRACE_METHODS[name]()(trace).flagged) for name in DETECTORS},
    }


def noisy(data: Dataset, kind: str, rate: float, seed: int) -> Dataset:
    """The data set under given labels of which ``rate`` are wrong; its own labels are the clean ones."""
    labels = data.labels
    if rate:
        corrupt = by_kind(kind, num_classes=data.num_classes, rate=rate, features="unit_norm")
        labels = np.asarray(corrupt(jax.random.key(1000 + seed), data.labels, data.inputs).labels, np.int32)
    return make(data.inputs, labels, clean_labels=data.labels, class_names=data.class_names, name=data.name)


def study(data: Dataset, model: str, seed: int) -> dict[str, Any]:
    trials = []
    for kind, rate in NOISES:
        given = noisy(data, kind, rate, seed)
        flips = given.flips
        assert flips is not None
        common_fields = {"noise": kind, "rate": rate, "n": len(given), "wrong": int(flips.sum())}
        for name, config in recipes(model, given, seed).items():
            key = jax.random.fold_in(jax.random.key(seed), 1)
            network = build(model, input_shape=data.inputs.shape[1:], num_classes=data.num_classes, key=key)
            trace = fit(network, given, config, probabilities=True).trace
            assert trace is not None
            fitted = float((signals.last_recorded(signals.margin(trace.seen)) >= 0).mean())
            rate_used = config.learning_rate
            trials.append(
                {**common_fields, "recipe": name, "learning_rate": rate_used, "fitted": fitted, **read(trace, flips)}
            )
        peer = routes.cleanlab_route(given, routes.logistic_regression(given), seed=seed)
        found = peer["metrics"]["cleanlab"]
        trials.append({**common_fields, "recipe": "cleanlab", "flagged": found["flagged"], "f1": found["f1"]})
    return {"trials": trials}


def main() -> None:
    options = common.parser("flag_rules", __doc__)
    options.add_argument("--model", default="mlp", help="linear or mlp")
    options.add_argument("--seeds", type=common.integers, default=(0, 1))
    args = options.parse_args()
    # Runs that differ in their labels alone share one program.
    jax.config.update(
        "jax_compilation_cache_dir", str(Path(tempfile.gettempdir()) / "jaxnoisy-benchmarks" / "compiled")
    )
    results = common.Results(args, {"model": args.model, "noises": [f"{k} {r:g}" for k, r in NOISES]})
    sets: list[Callable[[], Dataset]] = [lambda name=name, n=n: feature_sets.bundled(name, n) for name, n in BUNDLED]
    if args.quick:
        args.seeds, sets = args.seeds[:1], sets[-1:]
    else:
        draw = feature_sets.cifar()
        sets += [lambda shape=shape: draw(shape) for shape in SHAPES]
    for seed in args.seeds:
        for make_set in sets:
            data = make_set()
            results.measure(lambda data=data, seed=seed: study(data, args.model, seed), data=data.name, seed=seed)


if __name__ == "__main__":
    main()
