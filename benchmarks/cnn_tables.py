"""Tables of influence in convolutional networks."""

from collections.abc import Iterator
from typing import Any

import markdown as md

Unit = dict[str, Any]

FEWER = 3.0
"""How many times fewer passes the preconditioned solver is meant to take than plain conjugate gradient."""
RESIDUAL = 1e-2


def tables(results: dict[str, Any]) -> list[str]:
    """The section on convolutional networks: what each machine measured, apart."""
    units, sizes = results["units"], results["settings"]["sizes"]
    parts: list[str] = []
    solved = [unit for unit in units if unit["part"] == "solve"]
    if solved:
        parts.append(_fewer_passes([unit for unit in solved if unit["package"] == "jaxnoisy"]))
    for machine, some in _by_machine(solved, results):
        parts += _solved(some, sizes["cnn"], machine)
    for model in sizes:
        found = [unit for unit in units if unit["part"] == "self" and unit["model"] == model]
        for machine, some in _by_machine(found, results):
            run = {unit["run"] for unit in some}
            between = [
                unit for unit in units if unit["part"] == "agreement" and unit["model"] == model and unit["run"] in run
            ]
            parts += _self(some, between, model, sizes[model], machine)
    return parts + [_loop(unit) for unit in units if unit["part"] == "loop"]


def _by_machine(units: list[Unit], results: dict[str, Any]) -> Iterator[tuple[str, list[Unit]]]:
    def name(unit: Unit) -> str:
        machine = results["runs"][unit["run"]]["machine"]
        return f"{machine['cpu']}, {machine['cores']} core{'s' * (machine['cores'] > 1)}"

    for machine in dict.fromkeys(map(name, units)):
        yield machine, [unit for unit in units if name(unit) == machine]


def _solved(units: list[Unit], size: dict[str, int], machine: str) -> list[str]:
    ours = [unit for unit in units if unit["package"] == "jaxnoisy"]
    peers = [unit for unit in units if unit["package"] != "jaxnoisy"]
    rows = [[*_our_row(unit), f"{max(unit['load']):.1f}"] for unit in ours]
    rows += [
        [
            unit["package"],
            f"{unit['seconds']:.0f}",
            "-",
            f"{unit['median_residual']:.2g}",
            f"{unit['worst_residual']:.2g}",
            f"{unit['peak_anonymous_bytes'] / 1e6:,.0f}",
            f"{max(unit['load']):.1f}",
        ]
        for unit in peers
    ]
    head = ["solver", "s", "products", "median residual", "worst residual", "peak anonymous, MB", "host load"]
    parameters = f"{ours[0]['parameters']:,} parameters, " if ours else ""
    parts = [
        f"A convolutional network, {parameters}{size['n']:,} images of CIFAR-10, {size['queries']} queries: the "
        f"solution of (A + λI)x = g for each, on {machine}. Residuals are ||g - (A + λI)x|| / ||g|| computed anew from "
        "what each returns, in the system that it means to solve. Products are passes over the data with all "
        "queries; seconds include compiling, the matrix and the preconditioner. Other packages are timed on ten "
        "queries, and times as many as that makes all.",
        *_targets(ours, peers),
        md.table(head, rows),
    ]
    said = [f"- {unit['package']}: {unit['computes']}." for unit in peers]
    return parts + (["\n".join(said)] if said else [])


def _our_row(unit: Unit) -> list[str]:
    return [
        f"jaxnoisy: {unit['method']}, {unit['preconditioner']} preconditioner, products by {unit['products']}",
        f"{unit['seconds']:.0f}",
        f"{unit['steps']} + {unit['preparing_passes']}" if unit["preparing_passes"] else str(unit["steps"]),
        f"{unit['median_residual']:.2g}",
        f"{unit['worst_residual']:.2g}",
        f"{unit['peak_anonymous_bytes'] / 1e6:,.0f}",
    ]


def _fewer_passes(ours: list[Unit]) -> str:
    """Passes depend on no machine."""
    plain = [unit for unit in ours if (unit["preconditioner"], unit["method"]) == ("none", "cg")]
    helped = [unit for unit in ours if unit["preconditioner"] != "none"]
    if not plain or not helped:
        return "Plain conjugate gradient, or any with a preconditioner, has not been measured."
    ratio = plain[0]["steps"] / min(unit["steps"] + unit["preparing_passes"] for unit in helped)
    said = ["times fewer passes than plain conjugate gradient", f">= {FEWER:g}", f"{ratio:.1f}", _word(ratio >= FEWER)]
    return md.table(["target", "stated", "measured", "met"], [said])


def _targets(ours: list[Unit], peers: list[Unit]) -> list[str]:
    converged = [unit for unit in ours if unit["worst_residual"] <= RESIDUAL]
    best = min(converged, key=lambda unit: unit["seconds"], default=None)
    if best is None:
        return []
    rows = []
    for unit in peers:
        ratio = unit["seconds"] / best["seconds"]
        rows.append([f"times faster than {unit['package']}", "> 1", f"{ratio:.1f}", _word(ratio > 1)])
    worst = best["worst_residual"]
    rows.append(["worst residual of the fastest", f"<= {RESIDUAL:g}", f"{worst:.1e}", _word(worst <= RESIDUAL)])
    return [md.table(["target", "stated", "measured", "met"], rows)]


def _word(met: bool) -> str:
    return "yes" if met else "no"


def _self(units: list[Unit], between: list[Unit], model: str, size: dict[str, int], machine: str) -> list[str]:
    rows = []
    for method in dict.fromkeys(unit["method"] for unit in units):
        some = [unit for unit in units if unit["method"] == method]
        rows.append(
            [
                method,
                md.over_seeds([_total(unit) for unit in some], ".1f"),
                *(
                    md.over_seeds([unit[f"{part}_seconds"] for unit in some], ".1f")
                    if f"{part}_seconds" in some[0]
                    else "-"
                    for part in ("factor", "self", "first")
                ),
                md.over_seeds([unit.get("rank_correlation") for unit in some]),
            ]
        )
    said = [
        f"Self-influence by EK-FAC of {size['n']:,} images, {model}, on {machine}: median over rounds (lowest to "
        "highest). Rank correlation is with conjugate gradient on the exact Gauss-Newton matrix, for the first "
        f"{size['some']} images.",
        md.table(["method", "s", "factors, s", "scores, s", "first call, s", "rank correlation"], rows),
    ]
    for unit in between:
        pairs = ", ".join(f"{value:.3f} for {method}" for method, value in unit["rank_correlation"].items())
        said.append(f"Rank correlation over all images with {unit['of']}: {pairs}.")
    return said


def _total(unit: Unit) -> float:
    """Factors and scores; what else a package was asked for is left out."""
    return unit["factor_seconds"] + unit["self_seconds"] if "factor_seconds" in unit else unit["seconds"]


def _loop(unit: Unit) -> str:
    outside, inside = (unit["product_seconds"][where] for where in ("outside", "inside"))
    return (
        f"One product for {unit['examples']} images and {unit['vectors']} vectors by differentiation takes "
        f"{outside:.2f} s as a program of its own and {inside:.2f} s inside a loop on the device."
    )
