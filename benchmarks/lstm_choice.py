"""How the settings of the shipped LSTM detector were chosen: by transfer to data and noise that it did not learn from.

One unit of work is (candidate, seed). A candidate learns from runs on the first fifth of CIFAR-100 and judges runs on
``lstm_sets.CHOSEN_ON`` under other noise; AUM and two learners of scikit-learn do the same. Taken is the candidate that
falls least behind AUM on any judged run, for it is not to be worse anywhere; the means of the best lie close together.
What the detector is then reported on (``lstm_studies.py``) is not looked at.
"""

import dataclasses
import functools
from collections.abc import Callable

import common
import jax
import lstm_traces
import numpy as np
from lstm_sets import LEARNED
from lstm_traces import Run, Traces
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from jaxnoisy.detect import LSTMConfig, LSTMDetector, lstm_config, train_detector
from jaxnoisy.detect.aum import aum
from jaxnoisy.dynamics import inputs

PAPER_RUNS = (Run(data=LEARNED, noise="symmetric", rate=0.3),)
_NOISES = (
    *(("symmetric", rate, "long") for rate in (0.1, 0.3, 0.5, 0.7)),
    *(("asymmetric", 0.3, "long"), ("superclass", 0.3, "long")),
    *(("symmetric", 0.3, "short"), ("asymmetric", 0.2, "short")),
)
_FEW = (("symmetric", 0.3), ("asymmetric", 0.3), ("symmetric", 0.1))
MIXED_RUNS = (
    *(Run(data=LEARNED, noise=noise, rate=rate, recipe=recipe) for noise, rate, recipe in _NOISES),
    *(
        Run(data="cifar100 ten learned", noise=noise, rate=rate, recipe=recipe)
        for noise, rate in _FEW
        for recipe in lstm_traces.RECIPES
    ),
)
"""Kinds and rates of noise, many and few classes and examples; most of the runs are long."""

BALANCED_RUNS = (
    *MIXED_RUNS,
    *(Run(data=LEARNED, noise="symmetric", rate=rate, recipe="short") for rate in (0.1, 0.4)),
    *(
        Run(data="cifar100 coarse learned", noise=noise, rate=0.2, recipe="short")
        for noise in ("symmetric", "asymmetric")
    ),
    *(
        Run(data=f"cifar100 ten learned {first}", noise=noise, rate=rate, recipe=recipe)
        for first in (2, 7)
        for noise, rate, recipe in (
            *(("symmetric", 0.1, "short"), ("symmetric", 0.4, "short"), ("asymmetric", 0.2, "short")),
            ("symmetric", 0.2, "long"),
        )
    ),
)
"""As many short runs as long ones, or more."""

VARIED_RUNS = (
    *BALANCED_RUNS,
    Run(data="cifar100 coarse learned", noise="symmetric", rate=0.3, recipe="medium"),
    *(
        Run(data=data, noise=noise, rate=rate, recipe="medium")
        for data in ("cifar100 ten learned", "cifar100 ten learned 2", "cifar100 ten learned 7")
        for noise, rate in (("symmetric", 0.1), ("symmetric", 0.3), ("asymmetric", 0.2))
    ),
)
"""And runs that are short and remember: the number of epochs then does not tell how far a run has come."""

JUDGED = (
    Run(data="cifar100 chosen", noise="symmetric", rate=0.6, seed=7),
    Run(data="cifar100 chosen", noise="instance", rate=0.2, seed=7),
    Run(data="cifar100 chosen", noise="asymmetric", rate=0.2, seed=7),
    Run(data="cifar100 coarse", noise="symmetric", rate=0.4, seed=7),
    Run(data="cifar100 coarse", noise="symmetric", rate=0.4, recipe="short", seed=7),
    *(
        Run(data=data, noise=noise, rate=0.2, recipe=recipe, seed=7)
        for data in ("cifar100 ten", "breast_cancer", "wine")
        for noise in ("symmetric", "instance")
        for recipe in lstm_traces.RECIPES
    ),
)

Scorer = Callable[[np.ndarray], np.ndarray]
"""(n, t, s) sequences -> (n,) scores, higher where the label is more suspicious."""


DEFAULT = LSTMConfig()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """What is learned from, what is read, and how it is learned.

    Attributes:
        runs: learned from.
        config: of the network; its signals are those of scikit-learn's learners too.
        length: epochs that all runs are stretched or squeezed to.
        learner: "lstm", "logistic" or "boosted".
        examples: drawn from all runs in equal numbers, as far as there are so many.
        wrong: the share of mislabeled ones among what is drawn from a run; None for as many as it has. With the same
            share everywhere nothing is gained by telling runs of many wrong labels from others.
    """

    runs: tuple[Run, ...] = MIXED_RUNS
    config: LSTMConfig = DEFAULT
    length: int = 40
    learner: str = "lstm"
    examples: int = 9000
    wrong: float | None = None


PAPER = Candidate(runs=PAPER_RUNS, config=lstm_config.PAPER)
"""The paper's recipe: the probability alone, 30 % symmetric noise, AdamW at a constant 0.1."""


def candidates() -> dict[str, Candidate]:
    """By the names that results have."""
    found = {
        "paper: probability; symmetric 30 %; rate 0.1": PAPER,
        "probability; symmetric 30 %": Candidate(runs=PAPER_RUNS),
    }
    for signals in (
        ("probability",),
        ("margin",),
        ("probability-margin",),
        ("probability", "margin"),
        ("probability", "loss", "margin", "error-norm"),
    ):
        found[f"{', '.join(signals)}; mixed"] = Candidate(config=LSTMConfig(signals=signals))
    for signals in (
        ("probability", "margin"),
        ("probability", "mean-margin"),
        ("probability", "margin", "mean-margin"),
        ("probability", "error-norm", "mean-margin"),
    ):
        for name, options in (("", {}), (", rate 0.01", {"learning_rate": 0.01})):
            config = LSTMConfig(signals=signals, **options)
            found[f"{', '.join(signals)}; balanced{name}"] = Candidate(runs=BALANCED_RUNS, config=config)
    signals = ("probability", "error-norm", "mean-margin")
    name = f"{', '.join(signals)}; balanced"
    config = LSTMConfig(signals=signals, learning_rate=0.01, epochs=15)
    found[f"{name}, 18,000 examples, 15 epochs, rate 0.01"] = Candidate(
        runs=BALANCED_RUNS, config=config, examples=18_000
    )
    decayed = LSTMConfig(signals=signals, learning_rate=0.01, weight_decay=0.3)
    found[f"{name}, rate 0.01, decay 0.3"] = Candidate(runs=BALANCED_RUNS, config=decayed)
    for signals in (
        ("probability", "margin"),
        ("probability", "margin", "mean-margin"),
        ("probability", "error-norm", "mean-margin"),
    ):
        config = LSTMConfig(signals=signals, learning_rate=0.01)
        even = Candidate(runs=BALANCED_RUNS, config=config, wrong=0.3)
        found[f"{', '.join(signals)}; balanced, 30 % wrong, rate 0.01"] = even
    for signals in (
        ("mean-margin",),
        ("progress", "margin", "mean-margin"),
        ("progress", "probability", "error-norm", "mean-margin"),
    ):
        config = LSTMConfig(signals=signals, learning_rate=0.01)
        found[f"{', '.join(signals)}; balanced, rate 0.01"] = Candidate(runs=BALANCED_RUNS, config=config)
        once = dataclasses.replace(config, epochs=4)
        varied = Candidate(runs=VARIED_RUNS, config=once, examples=30_000)
        found[f"{', '.join(signals)}; varied, 30,000 examples, 4 epochs, rate 0.01"] = varied
    for learner in ("logistic", "boosted"):
        for signals in (("probability",), ("probability", "margin"), ("probability", "margin", "mean-margin")):
            for title, runs in (("mixed", MIXED_RUNS), ("balanced", BALANCED_RUNS)):
                candidate = Candidate(runs=runs, config=LSTMConfig(signals=signals), learner=learner)
                found[f"{learner}: {', '.join(signals)}; {title}"] = candidate
        config = LSTMConfig(signals=("probability", "error-norm", "mean-margin"))
        even = Candidate(runs=BALANCED_RUNS, config=config, learner=learner, wrong=0.3)
        found[f"{learner}: {', '.join(config.signals)}; balanced, 30 % wrong"] = even
    return found


def examples(candidate: Candidate, traces: Traces) -> tuple[np.ndarray, np.ndarray]:
    """(n, t, s) sequences of some examples of all runs, and their flips."""
    values, flips = [], []
    signals, length = candidate.config.signals, candidate.length
    most = -(-candidate.examples // len(candidate.runs))
    for number, run in enumerate(candidate.runs):
        taken = traces(run)
        rows = np.sort(drawn(np.random.default_rng(number), taken.flips, most, candidate.wrong))
        values.append(inputs.sequences(taken.trace, signals=signals, epochs=length)[rows])
        flips.append(taken.flips[rows])
    return np.concatenate(values), np.concatenate(flips)


def drawn(rng: np.random.Generator, flips: np.ndarray, most: int, wrong: float | None) -> np.ndarray:
    """At most so many rows, of which a share is mislabeled."""
    if wrong is None:
        return rng.permutation(len(flips))[:most]
    total = int(min(most, flips.sum() / wrong, (~flips).sum() / (1 - wrong)))
    counts = (round(wrong * total), total - round(wrong * total))
    kinds = (np.flatnonzero(flips), np.flatnonzero(~flips))
    return np.concatenate([rng.permutation(rows)[:count] for rows, count in zip(kinds, counts, strict=True)])


def learned(candidate: Candidate, traces: Traces, seed: int, *, about: str = "") -> LSTMDetector | Scorer:
    """Train what a candidate names."""
    values, flips = examples(candidate, traces)
    if candidate.learner == "lstm":
        return train_detector(jax.random.key(seed), values, flips, candidate.config, about=about)
    models = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300)),
        "boosted": HistGradientBoostingClassifier(max_iter=150, learning_rate=0.1, random_state=seed),
    }
    model = models[candidate.learner]
    with threadpool_limits(1):
        model.fit(values.reshape(len(values), -1), flips)
    return lambda values: model.predict_proba(values.reshape(len(values), -1))[:, 1]


def scores(learner: LSTMDetector | Scorer, values: np.ndarray) -> np.ndarray:
    return learner.logits(values) if isinstance(learner, LSTMDetector) else learner(values)


def judged(candidate: Candidate, traces: Traces, seed: int) -> dict:
    learner = learned(candidate, traces, seed)
    auc = {}
    for run in JUDGED:
        taken = traces(run)
        values = inputs.sequences(taken.trace, signals=candidate.config.signals, epochs=candidate.length)
        auc[run.name] = float(roc_auc_score(taken.flips, scores(learner, values)))
    info = learner.info._asdict() if isinstance(learner, LSTMDetector) else {}
    return {"auc": auc, "mean": float(np.mean(list(auc.values()))), **info}


def aum_judged(traces: Traces) -> dict:
    taken = {run.name: traces(run) for run in JUDGED}
    auc = {name: float(roc_auc_score(t.flips, aum()(t.trace).scores)) for name, t in taken.items()}
    return {"auc": auc, "mean": float(np.mean(list(auc.values())))}


def main() -> None:
    options = common.parser("lstm_choice", __doc__)
    lstm_traces.options(options)
    options.add_argument("--candidates", type=lambda text: text.split("|"), help="only these, separated by |")
    args = options.parse_args()
    traces = Traces(args.work, args.features, limit=400 if args.quick else None)
    chosen = candidates()
    names = args.candidates or list(chosen)[: 2 if args.quick else None]
    results = common.Results(args, {"judged": [run.name for run in JUDGED]})
    results.measure(functools.partial(aum_judged, traces), candidate="AUM")
    for seed in args.seeds:
        for name in names:
            work = functools.partial(judged, chosen[name], traces, seed)
            results.measure(work, candidate=name, seed=seed)


if __name__ == "__main__":
    main()
