"""Make the detector that comes with the package: `python benchmarks/lstm_shipped.py`.

It is the candidate that was taken in ``lstm_choice.py``, learned from the same runs. Its card says so, and how it did
on the runs it was chosen by; what it does on other data is measured by ``lstm_studies.py``.
"""

import argparse
import collections
import dataclasses
from pathlib import Path

import jax
import lstm_choice
import lstm_traces
import numpy as np
from lstm_sets import LEARNED, PART
from lstm_studies import SHIPPED
from lstm_traces import Run, Traces
from sklearn.metrics import roc_auc_score

import jaxnoisy
from jaxnoisy import files
from jaxnoisy.detect import LSTMDetector, aum, save_detector
from jaxnoisy.dynamics import inputs

CHOSEN = "progress, margin, mean-margin; balanced, rate 0.01"
SEED = 0


def noises(runs: tuple[Run, ...]) -> str:
    """In words, what was wrong with the labels of runs."""
    rates = collections.defaultdict(set)
    for run in runs:
        rates[run.noise].add(f"{run.rate:.0%}")
    return "; ".join(f"{noise} {', '.join(sorted(found))}" for noise, found in rates.items())


def aucs(detector: LSTMDetector, traces: Traces) -> dict[str, float]:
    """Of the runs it was chosen by, in the mean and at the least, beside AUM's."""
    found: dict[str, list[float]] = {"lstm": [], "aum": []}
    for run in lstm_choice.JUDGED:
        taken = traces(run)
        values = inputs.sequences(taken.trace, signals=detector.signals, epochs=detector.epochs)
        for name, scores in (("lstm", detector.logits(values)), ("aum", aum()(taken.trace).scores)):
            found[name].append(roc_auc_score(taken.flips, scores))
    measures = {"mean": np.mean, "least": np.min}
    return {f"{name}, {m}": round(float(of(found[name])), 4) for name in found for m, of in measures.items()}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    lstm_traces.options(options, seeds=False)
    options.add_argument("--out", type=Path, default=SHIPPED)
    args = options.parse_args()
    traces = Traces(args.work, args.features)
    candidate = lstm_choice.candidates()[CHOSEN]
    about = f"mixed runs of a perceptron on features of {PART:,} images of CIFAR-100"
    detector = lstm_choice.learned(candidate, traces, SEED, about=about)
    assert isinstance(detector, LSTMDetector)
    names = {run.data for run in candidate.runs}
    card = {
        "data": f"CIFAR-100, training images 0 to {PART - 1:,} under 100 classes, and those of 10 classes apart, as "
        "512 features by k-means that no label touched (benchmarks/patch_features.py)",
        "noise": noises(candidate.runs),
        "runs": [run.name for run in candidate.runs],
        "model": "perceptron with one hidden layer of 512",
        "epochs": {
            recipe: sorted({traces(r).trace.epochs for r in candidate.runs if r.recipe == recipe})
            for recipe in lstm_traces.RECIPES
        },
        "seeds": {"runs": sorted({run.seed for run in candidate.runs}), "detector": SEED},
        "metrics": {"ROC AUC on runs it did not learn from (benchmarks/lstm_choice.py)": aucs(detector, traces)},
        "licence": "Apache-2.0, as the package: it holds weights of a small network, and nothing of the images",
        "command": "python benchmarks/lstm_shipped.py",
        "versions": {"jaxnoisy": jaxnoisy.__version__, "jax": jax.__version__, "numpy": np.__version__},
    }
    assert LEARNED in names
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_detector(args.out, dataclasses.replace(detector, card=files.plain({**detector.card, **card})))
    print(f"{args.out}: {args.out.stat().st_size:,} bytes, {card['metrics']}")


if __name__ == "__main__":
    main()
