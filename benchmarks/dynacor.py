"""DynaCor beside other detectors on features that no wrong label has touched: see dynacor_sets.py.

Parts:

- detect: every detector on one setting, a unit for each setting and seed. The paper's classifier on frozen features
  (one hidden layer of 512, SGD 0.02 on a cosine, momentum 0.9, weight decay 5e-4, batches of 128, 20 epochs) learns
  them under labels with noise; DynaCor's run learns corrupted copies beside them. The same search is read in other
  ways for the paper's Tables 3 and 4.
- signals: DynaCor on other signals of the same run (the paper's appendix B.3).
- weightings: DynaCor where the copies together weigh as much in the loss as the originals (the paper's equation 2),
  instead of each as much as an original.
- gentle: DynaCor and the mean margin on one run at the library's own rate for features, which memorises less.
- searches, gentle-searches: DynaCor on the same runs as detect and as gentle, under other settings of its search.
- command: what ``jaxnoisy detect --method dynacor`` takes for all 50,000 features of CIFAR-10, from file to report.
- rates: DynaCor and the supervised bound with more and fewer corrupted copies (the paper's Figure 2).

CIFAR-100's human labels are not among the data here. The supervised bound is no detector: its encoder, DynaCor's,
learns from the true flips of one half of the examples to flag the other half (the text at hand lacks the appendix that
describes the paper's).
"""

import dataclasses
import functools
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import common
import dynacor_search as searches
import jax
import numpy as np
import patch_features
from dynacor_sets import SETTINGS, Set, noisy, read

from jaxnoisy.audit import audit
from jaxnoisy.data import Dataset
from jaxnoisy.detect import Detection, DynaCorConfig, lstm, margin_mixture, rules, shipped_detector
from jaxnoisy.dynamics import Trace
from jaxnoisy.metrics import detection_metrics
from jaxnoisy.training import TrainConfig, fit
from jaxnoisy.training.corrupted import weights_of_copies, with_corrupted_copies
from jaxnoisy.training.recipes import recipe
from jaxnoisy.training.trained import start

Work = Callable[[Dataset, int], dict[str, Any]]

STUDIED = ("cifar10 asymmetric 0.3", "cifar10 instance 0.4", "cifar10 aggre", "labelme asymmetric 0.3")
"""The settings of the paper's Table 4, and one of features that tell classes apart, which the studies are made on."""

WHOLE = "cifar10 worst"
"""What the command is timed on."""

METHODS = ("aum-threshold", "aum", "margin-mixture", "confident-learning", "cores", "simifeat-vote", "simifeat-rank")
SIGNALS = ("margin", "probability", "loss")
SEARCH = DynaCorConfig(seeds=1, batch_size=128)
"""One start and half the batch of the default, for a machine of two cores."""

SEARCHES = {
    "default": SEARCH,
    "paper's learning rate": dataclasses.replace(SEARCH, learning_rate=1e-5),
    "learning rate 1e-4": dataclasses.replace(SEARCH, learning_rate=1e-4),
    "equation 6 as a mean": dataclasses.replace(SEARCH, cluster_weight=1.0, learning_rate=1e-5),
}

PARTS = ("detect", "signals", "weightings", "gentle", "searches", "gentle-searches", "rates", "command")
CONFIG = TrainConfig(epochs=20, batch_size=128, learning_rate=0.02, momentum=0.9, weight_decay=5e-4, schedule="cosine")


def main() -> None:
    options = common.parser("dynacor", __doc__)
    options.add_argument("--parts", type=common.words, default=PARTS, help=f"some of {','.join(PARTS)}")
    options.add_argument("--settings", type=common.words, default=tuple(SETTINGS), help="some of them, by name")
    options.add_argument("--seeds", type=common.integers, default=(0, 1, 2))
    options.add_argument("--examples", type=common.integers, default=(8000, 12000), help="of CIFAR-10, of CIFAR-100")
    options.add_argument("--signals", type=common.words, default=SIGNALS, help="of the part signals")
    options.add_argument(
        "--rates",
        type=common.words,
        default=("0.05", "0.3", "0.5"),
        help="corruption rates beside 0.1, of the part rates",
    )
    options.add_argument("--work", type=Path, default=patch_features.WORK, help="where the features are kept")
    args = options.parse_args()
    if args.quick:
        args.examples, args.seeds, args.settings, args.rates = (1000, 2000), (0,), args.settings[:1], ("0.3",)
    examples = dict(zip(patch_features.SETS, args.examples))
    names = dict.fromkeys(SETTINGS[setting][0] for setting in args.settings)
    settings = {"examples": examples, "model": "mlp", "epochs": CONFIG.epochs, "learning_rate": CONFIG.learning_rate}
    settings["search"] = dataclasses.asdict(SEARCH)
    results = common.Results(args, settings)
    sets = {name: read(name, examples.get(name), args.work) for name in names}
    for part, setting, seed, fields, work in units(args):
        known = sets[SETTINGS[setting][0]]

        def measure(known: Set = known, setting: str = setting, seed: int = seed, work: Work = work) -> dict[str, Any]:
            return work(noisy(known, setting, seed), seed)

        results.measure(measure, part=part, setting=setting, seed=seed, **fields)
    if "command" in args.parts:
        count = args.examples[0] if args.quick else None
        work = functools.partial(by_command, noisy(read("cifar10", count, args.work), WHOLE, 0))
        results.measure(work, part="command", setting=WHOLE, seed=0)


def units(args: Any) -> Iterator[tuple[str, str, int, dict[str, Any], Work]]:
    """Part, setting, seed, what else tells a unit, and its work; parts that are studies have the first seed only."""
    everywhere = {"detect": compared, "gentle": gentle}
    for seed, setting, part in itertools.product(args.seeds, args.settings, everywhere):
        if part in args.parts:
            yield part, setting, seed, {}, everywhere[part]
    studies: dict[str, list[tuple[dict[str, Any], Work]]] = {
        "signals": [({"signal": name}, functools.partial(on_signal, signal=name)) for name in args.signals],
        "weightings": [({"weighting": "balanced"}, balanced)],
        "searches": [({}, searched)],
        "gentle-searches": [({}, functools.partial(searched, gently=True))],
        "rates": [({"rate": rate}, functools.partial(at_rate, rate=rate)) for rate in map(float, args.rates)],
    }
    studied = [setting for setting in args.settings if setting in STUDIED or args.quick]
    for setting, (part, works) in itertools.product(studied, studies.items()):
        for fields, work in works if part in args.parts else ():
            yield part, setting, args.seeds[0], fields, work


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


def compared(data: Dataset, seed: int) -> dict[str, Any]:
    """Every detector on one setting."""
    flips = data.flips
    assert flips is not None
    found = audit(data, methods=METHODS, model="mlp", config=CONFIG, seed=seed)
    detections = dict(found.detections)
    plain = margin_mixture(rule=rules.mixture())
    detections["margin + mixture"] = plain(found.trace)
    detections["lstm"] = lstm(shipped_detector())(found.trace)
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


def on_signal(data: Dataset, seed: int, *, signal: str) -> dict[str, Any]:
    """DynaCor, and its untrained encoder, on another signal."""
    return _read(data, corrupted_run(data, seed), seed, dataclasses.replace(SEARCH, signal=signal))


def balanced(data: Dataset, seed: int) -> dict[str, Any]:
    """DynaCor, and its untrained encoder, where the copies together weigh as much as the originals."""
    return _read(data, corrupted_run(data, seed, weighting="balanced"), seed, SEARCH)


def searched(data: Dataset, seed: int, *, gently: bool = False) -> dict[str, Any]:
    """DynaCor under several settings of its search, and its untrained encoder, which they share."""
    run = corrupted_run(data, seed, config=recipe("mlp", data, seed=seed) if gently else CONFIG)
    found = {name: _read(data, run, seed, config) for name, config in SEARCHES.items()}
    metrics = {name: one["metrics"]["dynacor"] for name, one in found.items()}
    metrics["untrained encoder"] = found["default"]["metrics"]["untrained encoder"]
    return {"metrics": metrics, "chosen": {name: one["chosen"]["dynacor"] for name, one in found.items()}}


def gentle(data: Dataset, seed: int) -> dict[str, Any]:
    """DynaCor in several ways, and the mean margin, on one run at the rate of ``jaxnoisy detect``."""
    trace, copies = corrupted_run(data, seed, config=recipe("mlp", data, seed=seed))
    originals = trace.take(np.flatnonzero(~copies))
    read = searches.every_way(jax.random.fold_in(jax.random.key(seed), 4), trace, copies, data.flips, config=SEARCH)
    detections = {**read.detections, "margin + mixture": margin_mixture(rule=rules.mixture())(originals)}
    detections |= {"margin-mixture": margin_mixture()(originals)}
    return {"metrics": {name: measured(one, data.flips) for name, one in detections.items()}, "chosen": read.chosen}


def at_rate(data: Dataset, seed: int, *, rate: float) -> dict[str, Any]:
    """DynaCor, its untrained encoder and the supervised bound at another corruption rate."""
    run = corrupted_run(data, seed, rate=rate)
    measures = _read(data, run, seed, SEARCH)
    measures["metrics"]["supervised bound"] = measured(searches.supervised(seed, *run, data.flips), data.flips)
    return measures


def by_command(data: Dataset) -> dict[str, Any]:
    """Seconds and peak memory of the command in a process of its own, and what it found."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "features.npz", Path(folder) / "audit"
        np.savez(source, inputs=data.inputs, labels=data.labels, clean_labels=data.clean_labels)
        words = ["detect", "--data", f"npz:{source}", "--method", "dynacor", "--seed", "0", "--out", str(out)]
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "jaxnoisy.cli", *words], check=True, stdout=subprocess.DEVNULL)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    return {
        "examples": len(data),
        "features": data.inputs.shape[1],
        "seconds": time.perf_counter() - started,
        "cpu_seconds": used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
        "timings": summary["timings"],
        "metrics": summary["metrics"],
    }


def _read(data: Dataset, run: tuple[Trace, np.ndarray], seed: int, config: DynaCorConfig) -> dict[str, Any]:
    key = jax.random.fold_in(jax.random.key(seed), 4)
    read = searches.every_way(key, *run, data.flips, config=config)
    names = ("dynacor", "untrained encoder")
    return {"metrics": {name: measured(read.detections[name], data.flips) for name in names}, "chosen": read.chosen}


if __name__ == "__main__":
    main()
