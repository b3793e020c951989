"""Make RESULTS.md, and its drawings, from the JSON files in results/. Every number there is read from one of them."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cnn_tables
import dynacor_tables
import figures
import head_tables
import influence_tables
import influential_rank_tables
import lookahead_tables
import lstm_tables
import lsw_tables
import markdown as md
import numpy as np
from common import RESULTS

from jaxnoisy import files

Results = dict[str, Any]
Unit = dict[str, Any]

TARGETS = {("resnet20", "JAX, single steps"): 0.02, ("mlp", "JAX, scanned epoch"): 0.10}
"""The most that recording may add to a training step, for each model in the loop the library runs it in on a CPU."""

CHOSEN_RECIPE, CHOSEN_RULE = "push 3", "and memorised since 1/4"
FORMER_RECIPE, FORMER_RULE = "rate 0.05", "mixture or count"
"""The defaults of recipe and rule, and those before them, by their names in the results of flag_rules."""

MEASURES = {
    "roc_auc": ("ROC AUC", ".3f"),
    "average_precision": ("average precision", ".3f"),
    "precision_at_95_recall": ("precision at 95 % recall", ".3f"),
    "f1": ("F1", ".3f"),
    "fdr": ("FDR", ".3f"),
    "recall": ("recall", ".3f"),
    "flagged": ("flagged", ".0f"),
}


def recording_cost(results: Results) -> list[str]:
    steps = [unit for unit in results["units"] if unit["part"] == "step"]
    rows = [
        [
            f"{unit['model']}, {unit['loop']}: {name}",
            md.quartiles(seconds, ".3f", 1e3),
            md.interval(unit["overhead"][name]) if name in unit["overhead"] else "-",
            f"{unit['compile_seconds'][name]:.1f}" if "compile_seconds" in unit else "-",
        ]
        for unit in steps
        for name, seconds in unit["step_seconds"].items()
    ]
    parts = [
        "Milliseconds a training step: median (quartiles). Added: median over rounds of the ratio to the same round's "
        'step without recording, less one, [95 % confidence interval], in per cent; "none, again" is a second copy of '
        "the same program, so what it adds is the error of the comparison.",
        md.table(["step", "ms", "added, %", "compile, s"], rows),
    ]
    for unit in (unit for unit in results["units"] if unit["part"] == "growth"):
        rows = [
            [f"{int(n):,}", f"{unit['bytes'][n] / 1e6:,.0f}", md.quartiles(seconds, ".1f", 1e6)]
            for n, seconds in unit["record_seconds"].items()
        ]
        columns = results["settings"]["columns"]
        parts += [
            f"Buffers for n examples and {columns} epochs, and the time to record one batch into them.",
            md.table(["n", "buffers, MB", "µs a batch"], rows),
        ]
    memory = [unit for unit in results["units"] if unit["part"] == "memory"]
    if memory:
        rows = [
            [unit["storage"]]
            + [f"{unit[f'{name}_bytes'] / 1e6:,.0f}" for name in ("trace", "peak_anonymous", "peak_resident")]
            + [md.quartiles(unit["epoch_seconds"], ".2f")]
            for unit in memory
        ]
        parts += [
            f"Peak memory of a whole `fit` of n = {memory[0]['n']:,} examples over {results['settings']['columns']} "
            "epochs (a linear model on 8 features), by the storage of the trace. Resident memory includes mapped file "
            "pages, which the system takes back when it needs them.",
            md.table(["trace", "trace, MB", "peak anonymous, MB", "peak resident, MB", "s an epoch"], rows),
        ]
    return parts


def targets(results: Results) -> list[str]:
    rows = []
    for unit in results["units"]:
        most = TARGETS.get((unit.get("model"), unit.get("loop")))
        if most is not None:
            added = unit["overhead"]["recorded"]
            rows.append(
                [
                    f"recording, {unit['model']} ({unit['loop']})",
                    f"<= {most:.0%}",
                    md.interval(added),
                    md.interval(unit["overhead"]["none, again"]),
                    _met(added, most),
                ]
            )
    return [md.table(["target", "stated", "measured, %", "error of the comparison, %", "met"], rows)]


def _met(added: dict[str, float], most: float) -> str:
    """A target counts as met, or as missed, where the whole confidence interval says so."""
    if added["ci_high"] <= most:
        return "yes"
    return "no" if added["ci_low"] > most else "not settled"


def detection(name: str, results: Results) -> list[str]:
    """Quality and time for each data set that the units name, over their seeds."""
    keys = ("noise",) if name == "cifar10n" else ("labels", "model")
    groups: dict[tuple[str, ...], list[Unit]] = {}
    for unit in results["units"]:
        groups.setdefault(tuple(unit[key] for key in keys), []).append(unit)
    parts = ["Median over seeds (lowest to highest)."]
    for group, units in groups.items():
        audits, peers = ([u for u in units if u["route"] == route] for route in ("audit", "cleanlab"))
        true_rate = units[0]["true_noise_rate"]
        parts += [f"### {', '.join(group)}: {true_rate:.2%} wrong", _quality(audits + peers), _times(audits, peers)]
    return parts


def _quality(units: list[Unit]) -> str:
    methods = list(dict.fromkeys(method for unit in units for method in unit["metrics"]))
    rows = []
    for method in methods:
        found = [unit["metrics"][method] for unit in units if method in unit["metrics"]]
        label = "cleanlab, 5-fold" if method == "cleanlab" else method
        rows.append([label] + [md.over_seeds([m[key] for m in found], form) for key, (_, form) in MEASURES.items()])
    return md.table(["method", *(title for title, _ in MEASURES.values())], rows)


def _times(audits: list[Unit], peers: list[Unit]) -> str:
    rows = []
    if audits:
        extra = [unit["timings"].get("train threshold runs", 0.0) for unit in audits]
        compiling = md.over_seeds([unit["timings"]["compile"] for unit in audits], ".1f")
        one_run = [unit["seconds"] - more for unit, more in zip(audits, extra)]
        rows.append(_time_row("audit: one run, all methods that read it", audits, one_run, compiling))
        if any(extra):
            rows.append(_time_row("audit with aum-threshold: three runs", audits, [u["seconds"] for u in audits], "-"))
    if peers:
        compiling = md.over_seeds([unit["timings"]["compile"] for unit in peers], ".1f")
        rows.append(_time_row("cleanlab: five runs", peers, [unit["seconds"] for unit in peers], compiling))
    return md.table(
        ["route", "seeds", "s", "host load", "of which compiling, s (one trace; five folds)", "estimated noise rate"],
        rows,
    )


def _time_row(name: str, units: list[Unit], seconds: list[float], compiling: str) -> list[str]:
    seeds = " ".join(str(unit["seed"]) for unit in units)
    loads = [load for unit in units for load in unit["load"]]
    load = f"{min(loads):.1f} to {max(loads):.1f}"
    rates = md.over_seeds([unit["noise_rate"] for unit in units])
    return [name, seeds, md.over_seeds(seconds, ".1f"), load, compiling, rates]


def flag_rules(results: Results) -> list[str]:
    """Recipes by rules over all data sets, the chosen pair set by set, and cleanlab's route beside both."""
    trials = [{**trial, "data": unit["data"]} for unit in results["units"] for trial in unit["trials"]]
    by_recipe: dict[str, list[Unit]] = {}
    for trial in trials:
        by_recipe.setdefault(trial["recipe"], []).append(trial)
    peers = by_recipe.pop("cleanlab", [])
    rows = [
        [f"{recipe}: {rule}", *_judged([{**trial, **trial["rules"][rule]} for trial in found])]
        for recipe, found in by_recipe.items()
        for rule in found[0]["rules"]
    ]
    rows.append(["cleanlab, logistic regression, 5-fold", *_judged(peers)])
    detectors = [
        [name, *_judged([{**trial, **trial["detectors"][name]} for trial in by_recipe[CHOSEN_RECIPE]])]
        for name in by_recipe[CHOSEN_RECIPE][0]["detectors"]
    ]
    per_set = []
    for name in dict.fromkeys(trial["data"] for trial in trials):
        row = [name]
        for recipe in (CHOSEN_RECIPE, FORMER_RECIPE):
            mine = [trial for trial in by_recipe[recipe] if trial["data"] == name]
            rule = CHOSEN_RULE if recipe == CHOSEN_RECIPE else FORMER_RULE
            row += [*_judged([{**trial, **trial["rules"][rule]} for trial in mine])[:2]]
        row += _judged([peer for peer in peers if peer["data"] == name])[:2]
        per_set.append(row)
    columns = ["F1, noisy", "flagged, clean", "flagged / wrong, noisy"]
    return [
        "Mean over all noisy data sets and seeds; share flagged where no label is wrong: median (largest); "
        'ratio of the numbers: median (quartiles). Rules cut the ranking by mean margin; "true count" cuts it after '
        f"as many as are wrong. The defaults are {CHOSEN_RECIPE}, {CHOSEN_RULE}; they were {FORMER_RECIPE}, "
        f"{FORMER_RULE}.",
        md.table(["recipe: rule", *columns], rows),
        f"Default rules of the detectors under {CHOSEN_RECIPE}.",
        md.table(["detector", *columns], detectors),
        "By data set: the defaults, those before, and cleanlab; n examples, d features, c classes.",
        md.table(
            ["data set", *(f"{who}: {what}" for who in ("now", "before", "cleanlab") for what in columns[:2])], per_set
        ),
    ]


def _judged(trials: list[Unit]) -> list[str]:
    noisy = [trial for trial in trials if trial["wrong"]]
    clean = [trial["flagged"] / trial["n"] for trial in trials if not trial["wrong"]]
    f1 = sum(trial["f1"] for trial in noisy) / len(noisy)
    low, middle, high = np.quantile([trial["flagged"] / trial["wrong"] for trial in noisy], [0.25, 0.5, 0.75])
    shares = f"{np.median(clean):.3f} ({max(clean):.3f})"
    return [f"{f1:.3f}", shares, f"{middle:.2f} ({low:.2f} to {high:.2f})"]


def resnet34_gpu(results: Results) -> list[str]:
    images = {unit["images"] for unit in results["units"]}
    rows = [
        [
            f"{unit['framework']}, batch {unit['batch']}, {unit['dtype']}",
            md.quartiles(unit["images_per_second"], ",.0f"),
            f"{unit['compile_seconds']:.1f}",
        ]
        for unit in results["units"]
    ]
    counts = " and ".join(f"{count:,}" for count in sorted({unit["parameters"] for unit in results["units"]}))
    return [
        f"ResNet-34 with {counts} parameters on {' and '.join(sorted(images))}, in training: median (quartiles).",
        md.table(["step", "images/s", "compile, s"], rows),
    ]


SECTIONS: dict[str, tuple[str, Callable[[Results], list[str]]]] = {
    "recording_cost": ("What recording costs", recording_cost),
    "cifar10n": ("Wrong human labels on CIFAR-10N", lambda results: detection("cifar10n", results)),
    "flag_rules": ("How the defaults for features were chosen", flag_rules),
    "labelme": ("Wrong crowd labels on LabelMe", lambda results: detection("labelme", results)),
    "resnet34_gpu": ("ResNet-34 on a GPU", resnet34_gpu),
    "influence_lds": ("What influence foretells of models trained on half the data", influence_tables.lds),
    "influence_head": ("Exact influence on a linear head", head_tables.tables),
    "influential_rank": ("Repairing labels and model: Influential Rank", influential_rank_tables.tables),
    "influential_rank_features": (
        "Repairing labels and model on features: Influential Rank",
        influential_rank_tables.tables,
    ),
    "dynacor": ("DynaCor beside other detectors, on features", dynacor_tables.tables),
    "lookahead_cost": ("What a look-ahead costs", lookahead_tables.tables),
    "lsw": ("Learned sample weights", lsw_tables.tables),
    "influence_cnn": ("Influence in convolutional networks", cnn_tables.tables),
    "lstm_choice": ("How the shipped LSTM detector was chosen", lstm_tables.choice),
    "lstm_studies": ("The LSTM detector's studies", lstm_tables.studies),
    "lstm_speed": ("What the LSTM detector costs", lstm_tables.speed),
    "lstm_settings": ("Step sizes of the LSTM detector", lstm_tables.settings),
}


def report(folder: Path) -> str:
    """The text of RESULTS.md. Runs with --quick are left out."""
    found = {path.stem: files.read_json(path) for path in sorted(folder.glob("*.json"))}
    parts = ["# Benchmark results", "Made by `python benchmarks/tables.py` from the files in `benchmarks/results/`."]
    if "recording_cost" in found and not found["recording_cost"]["quick"]:
        parts += ["## Targets", *targets(found["recording_cost"])]
    for stem, results in found.items():
        section = SECTIONS.get(results["benchmark"])
        if section is None or results["quick"]:
            print(f"left out: {stem}.json ({'a --quick run' if results['quick'] else 'no section for it'})")
            continue
        title, body = section
        parts += [f"## {title}", md.origin(results), *body(results)]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--results", type=Path, default=RESULTS)
    options.add_argument("--out", type=Path, default=RESULTS.parent / "RESULTS.md")
    args = options.parse_args()
    files.write_text(args.out, report(args.results))
    figures.draw(args.results)
    print(args.out)


if __name__ == "__main__":
    main()
