"""Tables of the LSTM detector: how it was chosen, what it finds, ours beside the paper's, and what it costs."""

from collections.abc import Callable, Iterable
from typing import Any

import figures
import markdown as md
import numpy as np

Unit = dict[str, Any]

PAPER_RETRAINING = {
    "cifar10": {
        "Standard": (75.0, 56.7, 36.7, 16.6),
        "AUM": (90.2, 87.5, 82.1, 54.4),
        "lstm": (91.1, 88.9, 83.5, 55.5),
        "Oracle": (91.0, 90.3, 89.2, 87.4),
    },
    "cifar100": {
        "Standard": (49.6, 37.5, 23.8, 8.2),
        "AUM": (65.5, 61.3, 53.0, 31.7),
        "lstm": (65.6, 60.8, 54.3, 30.1),
        "Oracle": (64.5, 61.0, 55.2, 44.9),
    },
}
"""Jia et al. (2023), Table 1: test accuracy in per cent at 20, 40, 60 and 80 % symmetric noise, ResNet-32."""

PAPER_RATES = (0.2, 0.4, 0.6, 0.8)

MEASURES = {"roc_auc": "ROC AUC", "average_precision": "average precision", "precision_at_95_recall": "P@95"}
MAIN = ("lstm", "aum", "paper's recipe", "logistic regression", "boosted trees")


def choice(results: dict[str, Any]) -> list[str]:
    """Candidates by their AUC on the runs that decide."""
    groups: dict[str, list[Unit]] = {}
    for unit in results["units"]:
        groups.setdefault(unit["candidate"], []).append(unit)
    aum = groups["AUM"][0]["auc"]
    rows = []
    for name, units in sorted(groups.items(), key=lambda item: -np.median([u["mean"] for u in item[1]])):
        beside = [[unit["auc"][run] - aum[run] for run in aum] for unit in units]
        rows.append(
            [
                name,
                str(len(units)),
                md.over_seeds([unit["mean"] for unit in units], ".4f"),
                md.over_seeds([min(differences) for differences in beside], "+.3f"),
                md.over_seeds([float(sum(d < -0.0005 for d in differences)) for differences in beside], ".0f"),
            ]
        )
    return [
        f"ROC AUC over {len(aum)} runs that none learned from. Short of AUM: the run on which a candidate falls "
        "furthest behind AUM, and the number of runs on which it does by more than 0.0005. Median over seeds (lowest "
        "to highest).",
        md.table(["candidate", "seeds", "mean ROC AUC", "short of AUM by", "runs short of AUM"], rows),
    ]


def studies(results: dict[str, Any]) -> list[str]:
    """Every part that was measured."""
    parts = [
        "Median over seeds (lowest to highest). long: 40 epochs, many wrong labels remembered; short: the default."
    ]
    sections = {
        "metrics": ("Drawn noise", _metrics),
        "transfer": ("Transfer", _metrics),
        "superclass": ("CIFAR-100 within superclasses", _metrics),
        "fine-tuning": ("With and without fine-tuning", _tuning),
        "contaminated": ("Twice contaminated", _contaminated),
        "retraining": ("Trained again after removal", _retraining),
        "debugging": ("Labels replaced", _debugging),
        "importance": ("Which epochs it judges by", _importance),
    }
    judged = [u for u in results["units"] if u["part"] in ("metrics", "transfer", "superclass")]
    if judged:
        parts += ["### ROC AUC beside AUM's", *_auc(judged)]
    for part, (title, body) in sections.items():
        units = [unit for unit in results["units"] if unit["part"] == part]
        if units:
            parts += [f"### {title}", *body(units)]
    return parts


def _named(unit: Unit) -> str:
    rate = f" {unit['rate']:.0%}" if unit["rate"] else ""
    return f"{unit['data']}, {unit['noise']}{rate}, {unit['recipe']}"


def _by(units: Iterable[Unit], name: Callable[[Unit], str]) -> dict[str, list[Unit]]:
    groups: dict[str, list[Unit]] = {}
    for unit in units:
        groups.setdefault(name(unit), []).append(unit)
    return groups


def _of(units: list[Unit], method: str, measure: str) -> str:
    return md.over_seeds([unit["metrics"][method][measure] for unit in units])


def _auc(units: list[Unit]) -> list[str]:
    rows = []
    for name, group in _by(units, _named).items():
        beside = [u["metrics"]["lstm"]["roc_auc"] - u["metrics"]["aum"]["roc_auc"] for u in group]
        row = [name, f"{np.median([u['wrong'] for u in group]):.1%}"]
        row += [_of(group, method, "roc_auc") for method in MAIN]
        rows.append([*row, md.over_seeds(beside, "+.3f"), str(len(group))])
    return [md.table(["run", "wrong", *MAIN, "lstm less AUM", "seeds"], rows)]


def _metrics(units: list[Unit]) -> list[str]:
    parts = []
    for measure, title in MEASURES.items():
        groups = _by(units, _named)
        methods = list(next(iter(groups.values()))[0]["metrics"])
        rows = [[method, *(_of(group, method, measure) for group in groups.values())] for method in methods]
        # A table a measure, as wide as there are runs, is easier to compare by than one of three times the rows.
        for start in range(0, len(groups), 6):
            names = list(groups)[start : start + 6]
            parts.append(md.table([title, *names], [[row[0], *row[1 + start : 7 + start]] for row in rows]))
    return parts


def _tuning(units: list[Unit]) -> list[str]:
    rows = [
        [f"{name}: {method}", *(_of(group, method, measure) for measure in MEASURES)]
        for name, group in _by(units, _named).items()
        for method in group[0]["metrics"]
    ]
    return [
        "The detector saw the same data under 30 % symmetric noise on top. 0.03: the paper's rate, constant.",
        md.table(["run: detector", *MEASURES.values()], rows),
    ]


def _contaminated(units: list[Unit]) -> list[str]:
    columns = sorted({unit["synthetic"] for unit in units})
    parts = [
        "Rows: symmetric noise that was there before; columns: noise on top, of which the detector knew. Learned on "
        "3,000 examples of CIFAR-10, judged on CIFAR-100 under 40 % symmetric noise. The paper (figure 10, ResNet-32) "
        "has 0.93 to 0.97 ROC AUC up to 20 % underlying noise; above, some cells fall to about 0.64.",
        f"![Heat map of the ROC AUC](results/{figures.CONTAMINATED})",
    ]
    for measure in ("roc_auc", "average_precision"):
        rows = []
        for underlying, group in _by(units, lambda unit: f"{unit['underlying']:.0%}").items():
            cells = [[u["metrics"][measure] for u in group if u["synthetic"] == column] for column in columns]
            rows.append([underlying, *(md.over_seeds(cell) for cell in cells)])
        parts.append(md.table([MEASURES[measure], *(f"{column:.0%}" for column in columns)], rows))
    return parts


def _retraining(units: list[Unit]) -> list[str]:
    parts = ["Test accuracy in per cent."]
    for data, group in _by(units, lambda unit: unit["data"]).items():
        by_rate = _by(group, lambda unit: f"{unit['rate']:.0%}")
        rows = [
            [name, *(md.over_seeds([100 * u["accuracy"][name] for u in us], ".1f") for us in by_rate.values())]
            for name in group[0]["accuracy"]
        ]
        rates = [units[0]["rate"] for units in by_rate.values()]
        for name, values in PAPER_RETRAINING[data].items():
            rows.append([f"paper: {name}", *(f"{values[PAPER_RATES.index(rate)]:.1f}" for rate in rates)])
        for name in group[0]["left"]:
            left = [md.over_seeds([100 * u["left"][name]["wrong"] for u in us], ".1f") for us in by_rate.values()]
            rows.append([f"wrong labels left, %: {name}", *left])
        parts.append(md.table([data, *by_rate], rows))
    return parts


def _debugging(units: list[Unit]) -> list[str]:
    groups = _by(units, _named)
    names = list(units[0]["accuracy"])
    rows = [[n, *(md.over_seeds([100 * u["accuracy"][n] for u in g], ".1f") for g in groups.values())] for n in names]
    for name in units[0]["right"]:
        right = [md.over_seeds([100 * u["right"][name] for u in group], ".1f") for group in groups.values()]
        rows.append([f"right afterwards, %: {name}", *right])
    return [
        "Test accuracy in per cent after training on all examples, the labels of the most suspicious 5 and 10 % "
        "replaced. The paper replaces them before DivideMix: 73.89 becomes 74.44 (5 %) and 74.99 (10 %) on CUB-200 "
        "under 20 % symmetric noise.",
        md.table(["", *groups], rows),
    ]


def _importance(units: list[Unit]) -> list[str]:
    rows = []
    for name, group in _by(units, _named).items():
        share = np.median([unit["share"] for unit in group], axis=0)
        fifths = [f"{part.sum():.0%}" for part in np.array_split(share, 5)]
        rows.append([name, *fifths, md.over_seeds([unit["first_half"] for unit in group], ".2f")])
    return [
        "Share of what mislabeled examples that were found were found by (integrated gradients), by fifths of "
        "training. The paper's LIME finds the first half more important than the second.",
        md.table(["run", *(f"fifth {k}" for k in range(1, 6)), "first half"], rows),
    ]


def speed(results: dict[str, Any]) -> list[str]:
    """What training and scoring take, beside PyTorch and Flax."""
    settings, parts = results["settings"], []
    for unit in results["units"]:
        if unit["part"] == "score":
            rows = [
                [
                    name,
                    md.quartiles(s, ".2f"),
                    f"{unit['first_call_seconds'][name]:.1f}",
                    f"{unit['largest_difference'][name]:.1e}",
                ]
                for name, s in unit["seconds"].items()
            ]
            parts += [
                f"Scoring {settings['n']:,} x {settings['t']} traces: seconds, median (quartiles).",
                md.table(["", "s", "first call, s", "largest difference of a logit"], rows),
            ]
        else:
            rows = [
                [
                    name,
                    md.quartiles(s, ".1f", 1e3),
                    md.quartiles(unit["whole_training_seconds"][name], ",.0f"),
                    f"{unit['compile_seconds'].get(name, 0):.1f}",
                ]
                for name, s in unit["step_seconds"].items()
            ]
            parts += [
                f"Training on {settings['n']:,} x {settings['t']} traces in batches of {settings['batch']}: "
                f"milliseconds a step, measured over {settings['steps']} steps a round, and the {settings['epochs']} "
                "epochs it comes to.",
                md.table(["", "ms a step", "whole training, s", "compile, s"], rows),
            ]
    return parts


def settings(results: dict[str, Any]) -> list[str]:
    """Step sizes of the detector's training, the paper's 0.1 beside others."""
    groups = _by(results["units"], lambda unit: unit["settings"])
    judged = list(next(iter(groups.values()))[0]["metrics"])
    rows = [
        [name, *(md.over_seeds([u["metrics"][run]["roc_auc"] for u in units]) for run in judged), str(len(units))]
        for name, units in groups.items()
    ]
    return [
        "ROC AUC of detectors that learned on digits, by step size and schedule of AdamW; the paper's is 0.1, "
        "constant.",
        md.table(["settings", *judged, "seeds"], rows),
    ]
