"""Tables of Influential Rank: ours beside the paper's, which are of ResNet-34 on all of CIFAR-10."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import markdown as md
import numpy as np

Unit = dict[str, Any]

PAPER: dict[str, dict[str, float]] = {
    "symmetric-20": {
        "original": 80.46,
        "rog": 86.97,
        "round 1": 87.46,
        "round 2": 91.08,
        "precision": 82.84,
        "left": 8.83,
    },
    "symmetric-50": {
        "original": 48.84,
        "rog": 62.59,
        "round 1": 78.14,
        "round 2": 84.19,
        "precision": 92.23,
        "left": 37.01,
    },
    "symmetric-70": {
        **{"original": 28.42, "longer": 29.60, "rog": 44.92, "round 1": 65.33, "round 2": 70.59},
        **{"precision": 93.36, "left": 62.71},
    },
    "worst": {
        **{"original": 64.86, "longer": 66.92, "rog": 69.61, "round 1": 78.56, "round 2": 83.73},
        **{"precision": 90.19, "left": 29.79},
    },
}
"""Park et al., "Influential Rank", Tables 1, 3, 7, 9, 10, 11 and 12 for cross entropy, in per cent."""

TITLES = {
    "digits": "scikit-learn's digits",
    "cifar10": "part of CIFAR-10",
    "features": "features of part of CIFAR-10",
}

PAPER_ROUNDS = {
    "symmetric-20": {"original": (80.71, 20.0), "round 4": (92.83, 1.12)},
    "symmetric-50": {"original": (50.37, 50.0), "round 4": (86.49, 21.43)},
    "symmetric-70": {"original": (29.91, 70.0), "round 4": (78.34, 48.81)},
}
"""Test accuracy and share of wrong labels left, appendix C.1, in per cent."""

PAPER_CLEAN = {"original": 94.2, "repaired": 96.6, "removed": 100 * (1 - 48_989 / 50_000)}
"""Table 8; accuracies and share removed, in per cent."""


def tables(results: dict[str, Any]) -> list[str]:
    """The section on Influential Rank."""
    units = results["units"]
    parts = ["In per cent: median over seeds (lowest to highest)."]
    for part, title in TITLES.items():
        found = _by_noise(units, part)
        if found:
            parts += [f"### Two rounds on {title}", *_compared(found, paper=part != "digits")]
    found = _by_noise(units, "rounds")
    if found:
        parts += ["### Four rounds", _rounds(found)]
    found = _by_noise(units, "clean")
    if found:
        parts += ["### Without added noise", _clean(found["clean"])]
    for noise, units_of_noise in _by_noise(units, "settings").items():
        parts += [f"### Other settings, digits, {noise}", *_settings(units_of_noise)]
    return parts + [_time(unit, results["settings"]["time"]) for unit in units if unit["part"] == "time"]


def _settings(units: list[Unit]) -> list[str]:
    rows = [["original", "-", _percent(units, lambda unit: unit["original"]["test"]), *"---"]]
    for name, rounds in units[0]["settings"].items():
        for number in range(len(rounds)):
            found = [unit["settings"][name][number] for unit in units]
            cells = [_percent(found, operator.itemgetter(key)) for key in ("test", "precision", "recall", "left")]
            rows.append([name, str(number + 1), *cells])
    note = 'One start and two rounds for each. "As elsewhere" is the setting of the other tables.'
    return [note, md.table(["setting", "round", "test accuracy", "precision", "recall", "wrong labels left"], rows)]


def _by_noise(units: list[Unit], part: str) -> dict[str, list[Unit]]:
    found: dict[str, list[Unit]] = {}
    for unit in units:
        if unit["part"] == part:
            found.setdefault(unit["noise"], []).append(unit)
    return dict(sorted(found.items()))


def _percent(units: list[Unit], of: Callable[[Unit], float | None]) -> str:
    values = [of(unit) for unit in units]
    return md.over_seeds([None if value is None else 100 * value for value in values], ".1f")


def _routes(units: list[Unit]) -> dict[str, Callable[[Unit], list[Unit]]]:
    """What is in a unit's rounds, by the name a reader knows it by; those that all units have."""
    names = [name for name in units[0]["others"] if all(name in unit["others"] for unit in units)]
    routes: dict[str, Callable[[Unit], list[Unit]]] = {
        f"Influential Rank, {units[0]['gamma']} classes": lambda unit: unit["influential_rank"]
    }
    for name in names:
        label = f"Influential Rank, {name}" if name.endswith("classes") else name
        routes[label] = lambda unit, name=name: unit["others"][name]  # type: ignore[misc]
    return routes


def _compared(found: dict[str, list[Unit]], *, paper: bool) -> list[str]:
    accuracy, removal = [], []
    for noise, units in found.items():
        known = PAPER[noise] if paper else {}
        accuracy += [
            [noise, "original", "-", _percent(units, lambda unit: unit["original"]["test"]), _known(known, "original")],
            *(
                [noise, "longer", str(r + 1), _percent(units, lambda unit, r=r: unit["longer"][r]["test"]), other]
                for r, other in enumerate(("-", _known(known, "longer")))
            ),
            [noise, "RoG", "-", _percent(units, lambda unit: unit["rog"]["test"]), _known(known, "rog")],
        ]
        for label, of in _routes(units).items():
            ours = of(units[0]) is units[0]["influential_rank"]
            for r in range(2):
                reached = _percent(units, lambda unit, of=of, r=r: of(unit)[r]["test"])
                accuracy.append([noise, label, str(r + 1), reached, _known(known, f"round {r + 1}") if ours else "-"])
            last = [of(unit)[-1] for unit in units]
            removal.append(
                [
                    noise,
                    label,
                    *_removal(last),
                    " / ".join(_known(known, k) for k in ("precision", "left")) if ours else "-",
                ]
            )
        removal.append([noise, "AUM's flag, for comparison", *_removal([unit["aum"] for unit in units]), "-"])
        anew = _percent(units, lambda unit: unit["anew"]["test"])
        accuracy.append([noise, "Influential Rank, relabelled and trained anew", "2", anew, "-"])
    names = ["noise", "repair"]
    fitted = _percent([unit for units in found.values() for unit in units], lambda unit: unit["fitted"])
    return [
        f"Test accuracy. The original models fit {fitted} of the given labels.",
        md.table([*names, "rounds", "ours", "paper"], accuracy),
        "Mean over seeds after two rounds, Influential Rank less others, in points of test accuracy; it is to be above "
        "original, longer and small loss.",
        _ahead(found),
        'What two rounds drop, and the share of wrong labels among the rest. "Paper" has precision / share left.',
        md.table([*names, "dropped", "precision", "recall", "left wrong", "paper"], removal),
        "What the first round would drop, by the number of classes that must agree (gamma; 0 is OSM alone).",
        _gamma(found),
    ]


def _ahead(found: dict[str, list[Unit]]) -> str:
    others: dict[str, Callable[[Unit], float]] = {
        "original": lambda unit: unit["original"]["test"],
        "longer": lambda unit: unit["longer"][-1]["test"],
        "small loss": lambda unit: unit["others"]["small loss"][-1]["test"],
    }
    rows = []
    for noise, units in found.items():
        gains = [
            100 * float(np.mean([unit["influential_rank"][-1]["test"] - of(unit) for unit in units]))
            for of in others.values()
        ]
        rows.append([noise, *(f"{gain:+.2f}" for gain in gains), "yes" if min(gains) > 0 else "no", str(len(units))])
    return md.table(["noise", *others, "met", "seeds"], rows)


def _removal(found: Sequence[Unit]) -> list[str]:
    dropped = md.over_seeds([unit["removed"] for unit in found], ".0f")
    return [dropped, *(_percent(list(found), lambda unit, k=k: unit[k]) for k in ("precision", "recall", "left"))]


def _known(values: dict[str, float], name: str) -> str:
    return f"{values[name]:.2f}" if name in values else "-"


def _gamma(found: dict[str, list[Unit]]) -> str:
    rows = []
    for noise, units in found.items():
        for place, choice in enumerate(units[0]["by_gamma"]):
            rows.append([noise, str(choice["gamma"]), *_removal([unit["by_gamma"][place] for unit in units])])
    return md.table(["noise", "gamma", "dropped", "precision", "recall", "left wrong"], rows)


def _rounds(found: dict[str, list[Unit]]) -> str:
    rows = []
    for noise, units in found.items():
        known = PAPER_ROUNDS.get(noise, {})
        accuracy = _percent(units, lambda unit: unit["original"]["test"])
        rows.append([noise, "0", accuracy, _percent(units, lambda unit: unit["wrong"]), "-", _pair(known, "original")])
        for r in range(len(units[0]["influential_rank"])):
            now = [unit["influential_rank"][r] for unit in units]
            kept = f"{sum(unit['accepted'] for unit in now)} of {len(now)}"
            shares = [_percent(now, lambda unit, k=k: unit[k]) for k in ("test", "left")]
            rows.append([noise, str(r + 1), *shares, kept, _pair(known, f"round {r + 1}")])
    head = ["noise", "round", "test accuracy", "left wrong", "kept in seeds", "paper: accuracy / left wrong"]
    return md.table(head, rows)


def _pair(known: dict[str, tuple[float, float]], name: str) -> str:
    return "{:.2f} / {:.2f}".format(*known[name]) if name in known else "-"


def _clean(units: list[Unit]) -> str:
    last = [unit["influential_rank"][-1] for unit in units]
    share = _percent(units, lambda unit: unit["influential_rank"][-1]["removed"] / unit["examples"])
    rows = [
        ["original", _percent(units, lambda unit: unit["original"]["test"]), f"{PAPER_CLEAN['original']:.1f}"],
        ["longer", _percent(units, lambda unit: unit["longer"][-1]["test"]), "-"],
        ["Influential Rank", _percent(last, lambda unit: unit["test"]), f"{PAPER_CLEAN['repaired']:.1f}"],
        ["relabelled and trained anew", _percent(units, lambda unit: unit["anew"]["test"]), "-"],
        ["share of examples dropped", share, f"{PAPER_CLEAN['removed']:.1f}"],
    ]
    return md.table(["", "ours", "paper"], rows)


def _time(unit: Unit, size: dict[str, int]) -> str:
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in unit["parts"].items())
    rows = [
        ["scores and selection, s", f"{unit['seconds']:.1f}"],
        ["the same for the first 4,096 with compiling, s", f"{unit['first_seconds']:.1f}"],
        ["peak anonymous memory, MB", f"{unit['peak_anonymous_bytes'] / 1e6:,.0f}"],
        ["features in their file, MB", f"{unit['features_bytes'] / 1e6:,.0f}"],
        [f"a training step of {unit['model']}, batch 128, s", f"{unit['step_seconds']:.2f}"],
        ["an epoch of such steps (counted, not run), s", f"{unit['epoch_seconds']:,.0f}"],
        ["scores / epoch", f"{unit['seconds'] / unit['epoch_seconds']:.3f}"],
    ]
    about = (
        f"### Time\n\n{size['n']:,} examples, {size['features']} features, {size['classes']} classes, "
        f"{size['validation']} validation examples; features are random and memory-mapped. {parts}. The "
        f"epoch is scaled from {unit['steps_timed']} timed steps."
    )
    return f"{about}\n\n{md.table(['', 'measured'], rows)}"
