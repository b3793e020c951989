"""Tables of learned sample weights: ours beside the paper's, which are of ResNet-34 on 45,000 images of CIFAR-10."""

from collections.abc import Callable, Sequence
from typing import Any

import markdown as md
import numpy as np

Unit = dict[str, Any]

NOISES = ("symmetric", "asymmetric", "instance")

PAPER_DETECTION = {
    "lsw": ((92.84, 6.78, 92.47), (93.19, 4.92, 91.39), (93.53, 8.42, 95.57)),
    "bhn": ((72.46, 13.86, 62.53), (72.47, 13.84, 62.54), (69.50, 14.22, 58.42)),
    "nlnl": ((95.11, 7.21, 97.55), (90.13, 9.83, 90.11), (87.35, 17.55, 92.89)),
}
"""F1, FDR and recall in per cent at 40 % of symmetric, asymmetric and instance noise: Hoang et al., Table 1."""

PAPER_ACCURACY = {
    "lsw": (91.14, 91.52, 91.50),
    "mwnet": (90.64, 90.26, 80.68),
    "nlnl": (90.74, 90.34, 82.06),
    "bhn": (86.22, 87.31, 81.63),
}
"""Table 3, in per cent, of the same noises."""

PAPER_SETTINGS = {
    "1 all, no weights": (83.01, 84.68, 79.63),
    "2 all, joint training": (86.98, 89.02, 89.07),
    "3 all, weights": (87.21, 89.29, 89.27),
    "4 filtered, no weights": (90.05, 90.28, 90.60),
    "5 filtered, weights": (90.22, 90.72, 91.30),
    "6 right labels alone": (93.95, 93.31, 93.55),
}
"""Table 6, in per cent."""

PAPER_CLEAN = {10: (95.56, 87.86), 20: (95.98, 89.74), 50: (96.09, 89.83), 100: (96.65, 89.94)}
"""AUC and accuracy in per cent by clean examples per class, Table 7; the kind of noise is not said there."""

NAMES = {
    "bhn": "bhn, learned from half of the clean",
    "bhn, halves": "bhn, halves judge each other",
    "l2rw": "l2rw, cut at the known rate",
    "mwnet": "mwnet, cut at the known rate",
}


def tables(results: dict[str, Any]) -> list[str]:
    """The section on learned sample weights."""
    units = results["units"]
    parts = [
        "In per cent unless weights are meant: median over seeds (lowest to highest). The paper's figures are of "
        "ResNet-34 on 45,000 images of CIFAR-10 with 5,000 clean ones, wherever they stand."
    ]
    choosing = [unit for unit in units if unit["part"] == "choose"]
    if choosing:
        used = {unit["lsw"]["rate"] for unit in units if "lsw" in unit}
        chosen = f" It is {', '.join(f'{rate:g}' for rate in sorted(used))} below." if used else ""
        parts += [
            "### How LSW's rate was chosen",
            f"By the mean of F1 on ten classes of CIFAR-100, which nothing below is reported on.{chosen}",
        ]
        for name, title in (("body", "Through all parameters but the head's."), ("all", "Through all parameters.")):
            parts += [title, _by_rate([{**unit, "rates": unit["choices"][name]} for unit in choosing])]
    for data, title in (("digits", "scikit-learn's digits"), ("cifar10", "a tenth of CIFAR-10 as features")):
        found = [unit for unit in units if unit["part"] == "compare" and unit["data"] == data]
        if found:
            parts += [f"### 40 % wrong labels: {title}", *_compared(found)]
        rated = [unit for unit in units if unit["part"] == "rates" and unit["data"] == data]
        if rated:
            parts += ["How much the rate matters, looked at with the choice made.", _by_rate(rated)]
    cheaper = [unit for unit in units if unit["part"] == "routes"]
    if cheaper:
        parts += ["### Cheaper look-aheads", *_routes(cheaper)]
    sized = [unit for unit in units if unit["part"] == "clean"]
    if sized:
        parts += ["### Clean examples per class: CIFAR-10, symmetric noise", _by_clean(sized)]
    return parts


def _percent(units: Sequence[Unit], of: Callable[[Unit], float | None]) -> str:
    values = [of(unit) for unit in units]
    return md.over_seeds([None if value is None else 100 * value for value in values], ".1f")


def _by_noise(units: list[Unit]) -> dict[str, list[Unit]]:
    found = {noise: [unit for unit in units if unit["noise"] == noise] for noise in NOISES}
    return {noise: some for noise, some in found.items() if some}


def _by_rate(units: list[Unit]) -> str:
    noises = _by_noise(units)
    rows = []
    for rate in units[0]["rates"]:
        row = [rate]
        for some in noises.values():
            row += [_percent(some, lambda unit: unit["rates"][rate][name]) for name in ("f1", "roc_auc", "joint")]  # noqa: B023
        mean = np.mean([unit["rates"][rate]["f1"] for unit in units])
        rows.append([*row, f"{100 * mean:.1f}"])
    columns = [f"{noise}: {what}" for noise in noises for what in ("F1", "AUC", "accuracy of its model")]
    return md.table(["rate", *columns, "mean F1"], rows)


def _compared(units: list[Unit]) -> list[str]:
    noises = _by_noise(units)
    methods = list(units[0]["detections"])
    order = sorted(methods, key=lambda name: -np.mean([unit["detections"][name]["roc_auc"] for unit in units]))
    detection, accuracy = [], []
    for name in order:
        row = [NAMES.get(name, name)]
        for noise, some in noises.items():
            known = PAPER_DETECTION.get(name)
            for key in ("f1", "fdr", "recall", "roc_auc"):
                row.append(_percent(some, lambda unit, name=name, key=key: unit["detections"][name][key]))
            row.append(" / ".join(f"{x:.1f}" for x in known[NOISES.index(noise)]) if known else "-")
        detection.append(row)
    for name in units[0]["accuracy"]:
        accuracy.append(
            [
                NAMES.get(name, name),
                *_row(noises, lambda unit, name=name: unit["accuracy"][name], PAPER_ACCURACY.get(name)),
            ]
        )
    accuracy += [
        ["all given labels", *_row(noises, lambda unit: unit["plain"]["last"], None)],
        ["clean examples alone", *_row(noises, lambda unit: unit["clean_alone"], None)],
    ]
    settings = [
        [name, *_row(noises, lambda unit, name=name: unit["settings"][name], PAPER_SETTINGS[name])]
        for name in units[0]["settings"]
    ]
    first = _by_noise([unit for unit in units if "variants" in unit])
    variants = [["as compared, the same seed", *_variant(first, None)]]
    variants += [[name, *_variant(first, name)] for name in units[0]["variants"]]
    functions = []
    for name in units[0].get("mwnet_variants", {}):
        row = [name]
        for some in first.values():
            row += [f"{100 * some[0]['mwnet_variants'][name][key]:.1f}" for key in ("f1", "roc_auc", "joint")]
        functions.append(row)
    measures = ("F1", "FDR", "recall", "AUC", "paper: F1 / FDR / recall")
    with_paper = [f"{noise}{more}" for noise in noises for more in ("", ", paper")]
    return [
        "Detection, best AUC first.",
        md.table(["method", *(f"{noise}: {what}" for noise in noises for what in measures)], detection),
        "Test accuracy of a classifier trained anew on the examples that are not flagged and the clean ones.",
        md.table(["kept by", *with_paper], accuracy),
        "The six settings of the paper's Table 6: test accuracy without the clean examples in training; 1 stops at the "
        "epoch that they find best.",
        md.table(["setting", *with_paper], settings),
        "LSW done otherwise, one seed. Weights: 5 % to 95 % quantiles of those of right and of wrong labels.",
        md.table(
            ["", *(f"{noise}: {what}" for noise in noises for what in ("F1", "AUC", "right / wrong"))],
            variants,
        ),
        "MW-Net done otherwise, the same seed, cut at the known rate; with the accuracy of the model it trained.",
        md.table(["", *(f"{noise}: {what}" for noise in noises for what in ("F1", "AUC", "accuracy"))], functions),
    ]


def _row(
    noises: dict[str, list[Unit]], of: Callable[[Unit], float | None], known: tuple[float, ...] | None
) -> list[str]:
    row = []
    for noise, some in noises.items():
        row += [_percent(some, of), f"{known[NOISES.index(noise)]:.2f}" if known else "-"]
    return row


def _variant(noises: dict[str, list[Unit]], name: str | None) -> list[str]:
    row = []
    for some in noises.values():
        for key in ("f1", "roc_auc"):
            row.append(
                _percent(
                    some, lambda unit, key=key: (unit["variants"][name] if name else unit["detections"]["lsw"])[key]
                )
            )
        weights = some[0]["variants"][name]["weights"] if name else some[0]["weights"]
        row.append(" / ".join(f"{weights[who][0]:.2f}..{weights[who][-1]:.2f}" for who in ("right", "wrong")))
    return row


def _by_clean(units: list[Unit]) -> str:
    rows = []
    for size in sorted({unit["clean"] for unit in units}):
        some = [unit for unit in units if unit["clean"] == size]
        of = {
            "f1": lambda unit: unit["detections"]["lsw"]["f1"],
            "auc": lambda unit: unit["detections"]["lsw"]["roc_auc"],
            "accuracy": lambda unit: unit["accuracy"],
            "bhn": lambda unit: unit["detections"]["bhn"]["f1"],
            "alone": lambda unit: unit["clean_alone"],
        }
        known = " / ".join(f"{x:.2f}" for x in PAPER_CLEAN[size]) if size in PAPER_CLEAN else "-"
        rows.append([str(size), *(_percent(some, get) for get in of.values()), known])
    head = ["clean per class", "LSW: F1", "LSW: AUC", "LSW: accuracy", "BHN: F1", "accuracy of clean alone"]
    return md.table([*head, "paper, LSW: AUC / accuracy"], rows)


def _routes(units: list[Unit]) -> list[str]:
    """What each cheaper look-ahead costs, and what it still finds."""
    names = list(dict.fromkeys((unit["data"], unit["noise"]) for unit in units))
    rows = []
    for number, route in enumerate(units[0]["routes"]):
        part, every = route["part"], route["every"]
        row = [f"{part}, {'every step' if every == 1 else f'every {every} steps'}"]
        for measure in ("operations", "seconds"):
            costs = [unit["costs"][part][measure] for unit in units]
            each = np.median([cost if measure == "operations" else cost["median"] for cost in costs])
            row.append(f"{1 + (each - 1) / every:.2f}")
        for data, noise in names:
            some = [unit for unit in units if (unit["data"], unit["noise"]) == (data, noise)]
            row += [_percent(some, lambda unit, key=key: unit["routes"][number][key]) for key in ("f1", "roc_auc")]  # noqa: B023
        rows.append(row)
    heads = [f"{data}, {noise}: {what}" for data, noise in names for what in ("F1", "AUC")]
    return [
        "One seed; a perceptron with three hidden layers of 256, so that its last block is not its whole body. Cost of "
        "a step beside one that does not look ahead: by XLA's count of operations, and by time taken in turns; those "
        "every few steps spread theirs, and move weights as many times as far.",
        md.table(["through", "operations", "time", *heads], rows),
    ]
