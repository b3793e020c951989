"""Tables of influence in convolutional networks."""

from typing import Any

import markdown as md

Unit = dict[str, Any]

FEWER = 3.0
"""How many times fewer passes the preconditioned solver is meant to take than plain conjugate gradient."""
RESIDUAL = 1e-2


def tables(results: dict[str, Any]) -> list[str]:
    """The section on convolutional networks."""
    units, sizes = results["units"], results["settings"]["sizes"]
    parts: list[str] = []
    solved = [unit for unit in units if unit["part"] == "solve"]
    if solved:
        parts += _solved(solved, sizes["cnn"])
    for model in sizes:
        found = [unit for unit in units if unit["part"] == "self" and unit["model"] == model]
        if found:
            between = [unit for unit in units if unit["part"] == "agreement" and unit["model"] == model]
            parts += _self(found, between, model, sizes[model])
    return parts + [_loop(unit) for unit in units if unit["part"] == "loop"]


def _solved(units: list[Unit], size: dict[str, int]) -> list[str]:
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
        "solution of (A + λI)x = g for each. Residuals are ||g - (A + λI)x|| / ||g|| computed anew from what each "
        "returns, in the system that it means to solve. Products are passes over the data with all "
        "queries; seconds include compiling, the matrix and the preconditioner.",
        _targets(ours, peers),
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


def _targets(ours: list[Unit], peers: list[Unit]) -> str:
    rows = []
    converged = [unit for unit in ours if unit["worst_residual"] <= RESIDUAL]
    best = min(converged, key=lambda unit: unit["seconds"], default=None)
    plain = [unit for unit in ours if (unit["preconditioner"], unit["method"]) == ("none", "cg")]
    helped = [unit for unit in ours if unit["preconditioner"] != "none"]
    if plain and helped:
        fewest = min(unit["steps"] + unit["preparing_passes"] for unit in helped)
        ratio = plain[0]["steps"] / fewest
        rows.append(
            ["times fewer passes than plain conjugate gradient", f">= {FEWER:g}", f"{ratio:.1f}", _word(ratio >= FEWER)]
        )
    if best is not None:
        for unit in peers:
            ratio = unit["seconds"] / best["seconds"]
            rows.append([f"times faster than {unit['package']}", "> 1", f"{ratio:.1f}", _word(ratio > 1)])
        worst = best["worst_residual"]
        rows.append(["worst residual of the fastest", f"<= {RESIDUAL:g}", f"{worst:.1e}", _word(worst <= RESIDUAL)])
    return md.table(["target", "stated", "measured", "met"], rows)


def _word(met: bool) -> str:
    return "yes" if met else "no"


def _self(units: list[Unit], between: list[Unit], model: str, size: dict[str, int]) -> list[str]:
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
        f"Self-influence by EK-FAC of {size['n']:,} images, {model}: median over rounds (lowest to highest). Rank "
        "correlation is with conjugate gradient on the exact Gauss-Newton matrix, for the first "
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
