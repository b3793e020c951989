"""The paper's studies of the LSTM detector, on a small scale: perceptrons on features, 40 epochs.

Parts: "metrics", CIFAR-10 and CIFAR-100 under drawn noise; "transfer", digits, human labels of CIFAR-10, crowd labels
of LabelMe; "superclass", CIFAR-100 within its superclasses; "fine-tuning", the shipped detector before and after;
"contaminated", detectors that learned where labels were wrong before; "retraining" and "debugging", see
``lstm_retraining.py``; "importance", which epochs mislabeled examples were found by.

Everywhere the shipped detector is read as it is (``--detector`` for another). Next to it judge all detectors of the
repository that read a trace, the paper's own recipe, and scikit-learn's logistic regression and boosted trees, which
learned from the same runs as the shipped detector.
"""

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import common
import jax
import lstm_choice
import lstm_retraining
import lstm_traces
import numpy as np
from lstm_choice import Candidate
from lstm_traces import RECIPES, Run, Traces

from jaxnoisy.detect import (
    TRACE_METHODS,
    LSTMConfig,
    LSTMDetector,
    fine_tune,
    load_detector,
    lstm,
    lstm_config,
    train_detector,
)
from jaxnoisy.detect.lstm_importance import epoch_importance
from jaxnoisy.dynamics import inputs
from jaxnoisy.metrics import detection_metrics

SHIPPED = common.ROOT / "jaxnoisy" / "detect" / "trained" / "lstm.npz"

DRAWN = (*(("symmetric", rate) for rate in (0.2, 0.4, 0.6, 0.8)), ("asymmetric", 0.3))
HUMAN = tuple((noise, 0.0) for noise in ("aggre", "random1", "worst"))
CROWD = (("majority", 0.0), ("one_annotator", 0.0))
DIGITS = (("symmetric", 0.2), ("symmetric", 0.4), ("asymmetric", 0.2))

JUDGED = {
    "metrics": [(data, *noise, "long") for data, noise in itertools.product(("cifar10", "cifar100"), DRAWN)],
    "transfer": [
        *(("cifar10", *noise, "long") for noise in HUMAN),
        *((*which, recipe) for recipe in RECIPES for which in [("digits", *noise) for noise in DIGITS]),
        *((*which, recipe) for recipe in RECIPES for which in [("labelme", *noise) for noise in CROWD]),
        ("cifar10", *HUMAN[-1], "short"),
    ],
    "superclass": [("cifar100", "superclass", rate, "long") for rate in (0.2, 0.4)],
}
TUNED = (("digits", "symmetric", 0.2), ("labelme", "majority", 0.0), ("cifar10", "worst", 0.0))
ADDED = 0.3
"""Noise that fine-tuning adds to the labels at hand: the rate the paper's detector learned under."""

TUNING_EXAMPLES = 3000

UNDERLYING, SYNTHETIC = (0.0, 0.2, 0.4, 0.6), (0.1, 0.2, 0.4, 0.6)
PARTS = (*JUDGED, "fine-tuning", "contaminated", "retraining", "debugging", "importance")


class Judges:
    """Everything that judges a trace, learned once where it has to learn."""

    def __init__(self, traces: Traces, shipped: LSTMDetector) -> None:
        self.traces, self.shipped = traces, shipped

    @functools.cached_property
    def learned(self) -> dict[str, tuple[Candidate, Any]]:
        """Judges beside the shipped detector that learned from runs too."""
        runs, signals = lstm_choice.BALANCED_RUNS, self.shipped.signals
        chosen = {
            "paper's recipe": lstm_choice.PAPER,
            "logistic regression": Candidate(runs=runs, config=LSTMConfig(signals=signals), learner="logistic"),
            "boosted trees": Candidate(runs=runs, config=LSTMConfig(signals=signals), learner="boosted"),
        }
        return {name: (candidate, lstm_choice.learned(candidate, self.traces, 0)) for name, candidate in chosen.items()}

    def __call__(self, run: Run) -> dict[str, Any]:
        """Metrics of every judge of one run."""
        taken = self.traces(run)
        found = {"lstm": lstm(self.shipped)(taken.trace)}
        found |= {name: make()(taken.trace) for name, make in TRACE_METHODS.items()}
        metrics = {n: detection_metrics(d.scores, d.flagged, taken.flips)._asdict() for n, d in found.items()}
        for name, (candidate, learner) in self.learned.items():
            values = inputs.sequences(taken.trace, signals=candidate.config.signals, epochs=candidate.length)
            scores = lstm_choice.scores(learner, values)
            flagged = scores > (0.0 if isinstance(learner, LSTMDetector) else 0.5)
            metrics[name] = detection_metrics(scores, flagged, taken.flips)._asdict()
        return {
            "metrics": metrics,
            "wrong": float(taken.flips.mean()),
            "fitted": taken.fitted,
            "test_accuracy": taken.test_accuracy,
        }


def tuned(traces: Traces, detector: LSTMDetector, run: Run) -> dict[str, Any]:
    """The detector before and after it saw the same data under labels contaminated once more."""
    taken, again = traces(run), traces(Run(**{**vars(run), "added": ADDED}))
    found = {"as shipped": detector}
    for name, config in (("fine-tuned", lstm_config.FINE_TUNING), ("fine-tuned, 0.03", lstm_config.PAPER_FINE_TUNING)):
        rows = np.arange(len(again.flips))[:TUNING_EXAMPLES]
        found[name] = fine_tune(jax.random.key(run.seed), detector, again.trace.take(rows), again.flips[rows], config)
    metrics = {}
    for name, judge in {**{name: lstm(d) for name, d in found.items()}, "aum": TRACE_METHODS["aum"]()}.items():
        detection = judge(taken.trace)
        metrics[name] = detection_metrics(detection.scores, detection.flagged, taken.flips)._asdict()
    return {"metrics": metrics}


def contaminated(traces: Traces, signals: tuple[str, ...], underlying: float, synthetic: float, seed: int) -> dict:
    """A detector that learned which labels were changed second, on runs whose labels were wrong before."""
    learned = traces(Run(data="cifar10 few", noise="symmetric", rate=underlying, added=synthetic, seed=seed))
    values = inputs.sequences(learned.trace, signals=signals)
    detector = train_detector(jax.random.key(seed), values, learned.flips, LSTMConfig(signals=signals))
    taken = traces(Run(data="cifar100", noise="symmetric", rate=0.4, seed=seed))
    found = lstm(detector)(taken.trace)
    return {"metrics": detection_metrics(found.scores, found.flagged, taken.flips)._asdict()}


def importance(traces: Traces, detector: LSTMDetector, run: Run) -> dict[str, Any]:
    """By epoch, what mislabeled examples that were found were found by, against the mean example."""
    taken = traces(run)
    values = inputs.sequences(taken.trace, signals=detector.signals, epochs=detector.epochs)
    found = np.flatnonzero(taken.flips & (detector.logits(values) > 0))
    rows = np.sort(np.random.default_rng(run.seed).permutation(found)[:256])
    by_epoch = epoch_importance(detector, values[rows], baseline=values.mean(axis=0)).sum(axis=2)
    sizes = np.abs(by_epoch)
    share = sizes / sizes.sum(axis=1, keepdims=True)
    return {
        "examples": len(rows),
        "mean": by_epoch.mean(axis=0),
        "share": share.mean(axis=0),
        "first_half": float(share[:, : detector.epochs // 2].sum(axis=1).mean()),
    }


def units(part: str, seeds: tuple[int, ...], quick: bool) -> Iterator[Run]:
    """The runs of a part that looks at one run after the other."""
    if part in JUDGED:
        runs = [Run(data=d, noise=n, rate=r, recipe=recipe) for d, n, r, recipe in JUDGED[part]]
    elif part == "fine-tuning":
        runs = [Run(data=d, noise=n, rate=r, recipe=recipe) for d, n, r in TUNED for recipe in RECIPES]
    elif part == "importance":
        runs = [Run(data=d, noise=n, rate=r) for d, n, r in TUNED]
    elif part == "retraining":
        runs = [Run(data=d, noise="symmetric", rate=r) for d in ("cifar10", "cifar100") for r in (0.2, 0.4, 0.6, 0.8)]
    else:
        runs = [Run(data="cifar10", noise="symmetric", rate=rate) for rate in (0.2, 0.4)]
    for seed, run in itertools.product(seeds, runs[:1] if quick else runs):
        yield Run(**{**vars(run), "seed": seed})


def main() -> None:
    options = common.parser("lstm_studies", __doc__)
    lstm_traces.options(options)
    options.add_argument("--parts", type=common.words, default=PARTS, help=f"some of {','.join(PARTS)}")
    options.add_argument("--detector", type=Path, default=SHIPPED, help="default: the one that is shipped")
    args = options.parse_args()
    if args.quick:
        args.seeds = args.seeds[:1]
    traces = Traces(args.work, args.features, limit=400 if args.quick else None)
    detector = load_detector(args.detector)
    card = {name: detector.card.get(name) for name in ("about", "command")}
    results = common.Results(args, {"detector": card, "epochs": lstm_traces.LONG, "added": ADDED})
    judges = Judges(traces, detector)
    works = {
        **dict.fromkeys(JUDGED, judges),
        "fine-tuning": functools.partial(tuned, traces, detector),
        "retraining": functools.partial(lstm_retraining.retrained, traces, detector),
        "debugging": functools.partial(lstm_retraining.debugged, traces, detector),
        "importance": functools.partial(importance, traces, detector),
    }
    for part in args.parts:
        if part == "contaminated":
            for seed, u, s in itertools.product(args.seeds, UNDERLYING, SYNTHETIC[: 1 if args.quick else None]):
                work = functools.partial(contaminated, traces, detector.signals, u, s, seed)
                results.measure(work, part=part, underlying=u, synthetic=s, seed=seed)
            continue
        for run in units(part, args.seeds, args.quick):
            results.measure(functools.partial(works[part], run), part=part, **vars(run))


if __name__ == "__main__":
    main()
