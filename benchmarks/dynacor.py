"""DynaCor beside other detectors on features of CIFAR-10 and CIFAR-100 that no label has touched.

Parts:

- detect: every detector on one setting, a unit for each setting and seed. The paper's classifier on frozen features
  (one hidden layer of 512, SGD 0.02 on a cosine, momentum 0.9, weight decay 5e-4, batches of 128, 20 epochs) learns a
  part of the training set, as patch_features.py describes it, under labels with noise; DynaCor's run learns corrupted
  copies beside them. The same search is read in other ways for the paper's Tables 3 and 4.
- signals: DynaCor on other signals of the same run (the paper's appendix B.3).
- weightings: DynaCor where the copies together weigh as much in the loss as the originals (the paper's equation 2),
  instead of each as much as an original.
- gentle: DynaCor and the mean margin on one run at the library's own rate for features, which memorises less.
- rates: DynaCor and the supervised bound with more and fewer corrupted copies (the paper's Figure 2).

CIFAR-100's human labels are not among the data here. The supervised bound is no detector: its encoder, DynaCor's,
learns from the true flips of one half of the examples to flag the other half (the text at hand lacks the appendix that
describes the paper's).
"""

import dataclasses
import functools
import time
from pathlib import Path
from typing import Any

import common
import dynacor_search as searches
import jax
import numpy as np
import packs
import patch_features

from jaxnoisy import detect, files, noise
from jaxnoisy.audit import audit
from jaxnoisy.data import Dataset, make
from jaxnoisy.detect import Detection, DynaCorConfig, margin_mixture, rules
from jaxnoisy.dynamics import Trace
from jaxnoisy.metrics import detection_metrics
from jaxnoisy.training import TrainConfig, fit
from jaxnoisy.training.corrupted import weights_of_copies, with_corrupted_copies
from jaxnoisy.training.recipes import recipe
from jaxnoisy.training.trained import start

SETTINGS = {
    "cifar10 symmetric 0.6": ("cifar10", "symmetric", 0.6),
    "cifar10 asymmetric 0.3": ("cifar10", "asymmetric", 0.3),
    "cifar10 instance 0.4": ("cifar10", "instance", 0.4),
    "cifar10 aggre": ("cifar10", "aggre", None),
    "cifar10 worst": ("cifar10", "worst", None),
    "cifar100 symmetric 0.6": ("cifar100", "symmetric", 0.6),
    "cifar100 asymmetric 0.3": ("cifar100", "asymmetric", 0.3),
    "cifar100 instance 0.4": ("cifar100", "instance", 0.4),
}
STUDIED = ("cifar10 asymmetric 0.3", "cifar10 instance 0.4", "cifar10 aggre")
"""The settings of the paper's Table 4, which the studies are made on."""

METHODS = ("aum-threshold", "aum", "margin-mixture", "confident-learning", "cores", "simifeat-vote", "simifeat-rank")
SIGNALS = ("margin", "probability", "loss")
SEARCH = DynaCorConfig(seeds=1, batch_size=128)
"""One start and half the batch of the default, for a machine of two cores."""

CONFIG = TrainConfig(epochs=20, batch_size=128, learning_rate=0.02, momentum=0.9, weight_decay=5e-4, schedule="cosine")


def main() -> None:
    options = common.parser("dynacor", __doc__)
    options.add_argument("--parts", type=common.words, default=("detect", "signals", "weightings", "gentle", "rates"))
    options.add_argument("--settings", type=common.words, default=tuple(SETTINGS), help="some of them, by name")
    options.add_argument("--seeds", type=common.integers, default=(0, 1, 2))
    options.add_argument("--examples", type=common.integers, default=(8000, 12000), help="of CIFAR-10, of CIFAR-100")
    options.add_argument("--signals", type=common.words, default=SIGNALS, help="of the part signals")
    options.add_argument("--rates", default="0.05,0.3,0.5", help="corruption rates beside 0.1, of the part rates")
    options.add_argument("--work", type=Path, default=patch_features.WORK, help="where the features are kept")
    args = options.parse_args()
    if args.quick:
        args.examples, args.seeds, args.settings, args.rates = (1000, 2000), (0,), args.settings[:1], "0.3"
    examples = dict(zip(patch_features.SETS, args.examples))
    settings = {"examples": examples, "model": "mlp", "epochs": CONFIG.epochs, "learning_rate": CONFIG.learning_rate}
    settings["search"] = dataclasses.asdict(SEARCH)
    results = common.Results(args, settings)
    sets = {name: _with_pixels(name, count, args.work) for name, count in examples.items()}
    for seed in args.seeds:
        for setting in args.settings if "detect" in args.parts else ():
            work = functools.partial(compared, sets, setting, seed)
            results.measure(work, part="detect", setting=setting, seed=seed)
    studied = [setting for setting in args.settings if setting in STUDIED or args.quick]
    for setting in studied:
        for signal in args.signals if "signals" in args.parts else ():
            work = functools.partial(on_signal, sets, setting, args.seeds[0], signal)
            results.measure(work, part="signals", setting=setting, seed=args.seeds[0], signal=signal)
        if "weightings" in args.parts:
            work = functools.partial(balanced, sets, setting, args.seeds[0])
            results.measure(work, part="weightings", setting=setting, seed=args.seeds[0], weighting="balanced")
        if "gentle" in args.parts:
            work = functools.partial(gentle, sets, setting, args.seeds[0])
            results.measure(work, part="gentle", setting=setting, seed=args.seeds[0])
        for rate in map(float, args.rates.split(",")) if "rates" in args.parts else ():
            work = functools.partial(at_rate, sets, setting, args.seeds[0], rate)
            results.measure(work, part="rates", setting=setting, seed=args.seeds[0], rate=rate)


def _with_pixels(name: str, count: int, work: Path) -> dict[str, np.ndarray]:
    features = patch_features.load(name, work)
    pixels, labels = packs.images(name, "train", count)
    return {"features": features.train[:count], "labels": labels.astype(np.int32), "pixels": pixels}


def noisy(sets: dict[str, dict[str, np.ndarray]], setting: str, seed: int) -> Dataset:
    """The features of a setting under its noisy labels."""
    name, kind, rate = SETTINGS[setting]
    features, clean, pixels = (sets[name][part] for part in ("features", "labels", "pixels"))
    c = 100 if name == "cifar100" else 10
    key = jax.random.fold_in(jax.random.key(seed), 7)
    if rate is None:
        given = files.read_npz(packs.needed("cifar10n") / "cifar10n.npz")[kind][: len(clean)]
    elif kind == "instance":
        given = noise.instance(num_classes=c, rate=rate)(key, clean, pixels).labels
    else:
        given = getattr(noise, kind)(num_classes=c, rate=rate)(key, clean).labels
    return make(features, np.asarray(given, np.int32), clean_labels=clean, name=setting)


def measured(found: Detection, flips: np.ndarray) -> dict[str, Any]:
    """F1 and the like, and the share of wrong labels that a budget of as many examples as are wrong does not reach."""
    chosen = np.argsort(-found.scores, kind="stable")[: flips.sum()]
    return {
        **detection_metrics(found.scores, found.flagged, flips)._asdict(),
        "missed_at_budget": float(1 - flips[chosen].mean()),
    }


def corrupted_run(
    data: Dataset, seed: int, *, rate: float = 0.1, weighting: str = "pooled", config: TrainConfig = CONFIG
) -> tuple[Trace, np.ndarray]:
    """The dynamics of examples and their corrupted copies, and which are copies, as ``--method dynacor`` does it."""
    both = with_corrupted_copies(jax.random.fold_in(jax.random.key(seed), 3), data, rate=rate)
    weights = weights_of_copies(both.corrupted, weighting=weighting)
    done = fit(start("mlp", data, seed=seed), both.data, config, weights=weights)
    assert done.trace is not None
    return done.trace, both.corrupted


def compared(sets: dict[str, dict[str, np.ndarray]], setting: str, seed: int) -> dict[str, Any]:
    """Every detector on one setting."""
    data = noisy(sets, setting, seed)
    flips = data.flips
    assert flips is not None
    found = audit(data, methods=METHODS, model="mlp", config=CONFIG, seed=seed)
    detections = dict(found.detections)
    plain = margin_mixture(rule=rules.mixture())
    detections["margin + mixture"] = plain(found.trace)
    if hasattr(detect, "shipped_detector"):
        detections["lstm"] = detect.lstm(detect.shipped_detector())(found.trace)
    started = time.perf_counter()
    trace, copies = corrupted_run(data, seed)
    trained = time.perf_counter()
    detections["margin + mixture, run with copies"] = plain(trace.take(np.flatnonzero(~copies)))
    read = searches.every_way(jax.random.fold_in(jax.random.key(seed), 4), trace, copies, flips, config=SEARCH)
    searched = time.perf_counter()
    detections |= read.detections
    detections["supervised bound"] = searches.supervised(seed, trace, copies, flips)
    timings = {**found.timings, "train dynacor": trained - started, "search, all candidates": searched - trained}
    timings["supervised bound"] = time.perf_counter() - searched
    return {
        "true_noise_rate": float(flips.mean()),
        "metrics": {name: measured(one, flips) for name, one in detections.items()},
        "chosen": read.chosen,
        "estimated_noise_rate": found.settings["simifeat-rank"]["estimated_noise_rate"],
        "timings": timings,
    }


def on_signal(sets: dict[str, dict[str, np.ndarray]], setting: str, seed: int, signal: str) -> dict[str, Any]:
    """DynaCor, and its untrained encoder, on another signal."""
    data = noisy(sets, setting, seed)
    trace, copies = corrupted_run(data, seed)
    return _with_config(data, trace, copies, seed, dataclasses.replace(SEARCH, signal=signal))


def balanced(sets: dict[str, dict[str, np.ndarray]], setting: str, seed: int) -> dict[str, Any]:
    """DynaCor, and its untrained encoder, where the copies together weigh as much as the originals."""
    data = noisy(sets, setting, seed)
    trace, copies = corrupted_run(data, seed, weighting="balanced")
    return _with_config(data, trace, copies, seed, SEARCH)


def gentle(sets: dict[str, dict[str, np.ndarray]], setting: str, seed: int) -> dict[str, Any]:
    """DynaCor in several ways, and the mean margin, on one run at the rate of ``jaxnoisy detect``."""
    data = noisy(sets, setting, seed)
    trace, copies = corrupted_run(data, seed, config=recipe("mlp", data, seed=seed))
    originals = trace.take(np.flatnonzero(~copies))
    read = searches.every_way(jax.random.fold_in(jax.random.key(seed), 4), trace, copies, data.flips, config=SEARCH)
    detections = {**read.detections, "margin + mixture": margin_mixture(rule=rules.mixture())(originals)}
    detections |= {"margin-mixture": margin_mixture()(originals)}
    return {"metrics": {name: measured(one, data.flips) for name, one in detections.items()}, "chosen": read.chosen}


def at_rate(sets: dict[str, dict[str, np.ndarray]], setting: str, seed: int, rate: float) -> dict[str, Any]:
    """DynaCor, its untrained encoder and the supervised bound at another corruption rate."""
    data = noisy(sets, setting, seed)
    trace, copies = corrupted_run(data, seed, rate=rate)
    bound = measured(searches.supervised(seed, trace, copies, data.flips), data.flips)
    measures = _with_config(data, trace, copies, seed, SEARCH)
    measures["metrics"]["supervised bound"] = bound
    return measures


def _with_config(data: Dataset, trace: Trace, copies: np.ndarray, seed: int, config: DynaCorConfig) -> dict[str, Any]:
    key = jax.random.fold_in(jax.random.key(seed), 4)
    read = searches.every_way(key, trace, copies, data.flips, config=config)
    names = ("dynacor", "untrained encoder")
    return {"metrics": {name: measured(read.detections[name], data.flips) for name in names}, "chosen": read.chosen}


if __name__ == "__main__":
    main()
