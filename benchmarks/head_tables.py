"""Tables of exact influence on a linear head."""

from typing import Any

import markdown as md
import numpy as np

Unit = dict[str, Any]

FASTER = 10.0
"""How many times faster than the exact methods of other packages the library is meant to be."""
NEAR = 1.5
"""The most that it may take, as a multiple of square matrix products of the same operation count."""
MEMORY = 10**9
ERROR = 1e-4

_QUANTITIES = {"norms": "norms", "forms": "forms", "pairwise": "pairwise"}


def tables(results: dict[str, Any]) -> list[str]:
    """The section on a linear head."""
    units = results["units"]
    size = results["settings"]["sizes"]["exact"]
    parts: list[str] = []
    exact = _by_method(units, "exact")
    if exact:
        parts += [_targets(exact), _exact(exact, size)]
        parts.append("\n".join(f"- {name}: {found[0]['computes']}." for name, found in exact.items() if _says(found)))
    larger = _by_method(units, "larger")
    if "jaxnoisy" in larger:
        parts += _larger(larger, results["settings"]["sizes"]["larger"])
    growth = [unit for unit in units if unit["part"] == "growth"]
    if growth:
        parts += _growth(growth)
    return parts + [_wide(unit, results["settings"]["sizes"]["wide"]) for unit in units if unit["part"] == "wide"]


def _by_method(units: list[Unit], part: str) -> dict[str, list[Unit]]:
    found: dict[str, list[Unit]] = {}
    for unit in units:
        if unit["part"] == part:
            found.setdefault(unit["method"], []).append(unit)
    return found


def _says(units: list[Unit]) -> bool:
    return "computes" in units[0]


def _seconds(units: list[Unit]) -> list[float]:
    return [unit["seconds"] for unit in units]


def _products(units: list[Unit], library: str) -> list[float]:
    return [unit["product_seconds"][library] for unit in units]


def _targets(exact: dict[str, list[Unit]]) -> str:
    """Each with what was measured; ratios are of the rounds' medians."""
    ours = exact["jaxnoisy"]
    mine = float(np.median(_seconds(ours)))
    rows = []
    for name in ("PyTorch, by hand", "PyTorch, autograd", "pyDVL"):
        if name in exact:
            ratio = float(np.median(_seconds(exact[name]))) / mine
            rows.append([f"times faster than {name}", f">= {FASTER:g}", f"{ratio:.1f}", _word(ratio >= FASTER)])
    for library in ("JAX", "NumPy"):
        if "products" in exact:
            ratio = mine / float(np.median(_products(exact["products"], library)))
            rows.append([f"time over bare products in {library}", f"< {NEAR:g}", f"{ratio:.2f}", _word(ratio < NEAR)])
    peak = max(unit["peak_anonymous_bytes"] for unit in ours)
    rows.append(
        ["peak memory above the interpreter, MB", f"< {MEMORY / 1e6:,.0f}", f"{peak / 1e6:,.0f}", _word(peak < MEMORY)]
    )
    worst = max(error["worst"] for unit in ours for error in unit["errors"].values())
    rows.append(["worst relative error, float32", f"< {ERROR:g}", f"{worst:.1e}", _word(worst < ERROR)])
    return md.table(["target", "stated", "measured", "met"], rows)


def _word(met: bool) -> str:
    return "yes" if met else "no"


def _exact(exact: dict[str, list[Unit]], size: dict[str, int]) -> str:
    rows = []
    for name, units in exact.items():
        if name == "products":
            operations = units[0]["operations"]
            for library in units[0]["product_seconds"]:
                seconds = md.over_seeds(_products(units, library), ".1f")
                rows.append([f"bare products, {library} ({operations:.2e} operations)", seconds, *["-"] * 8])
            continue
        errors = units[-1].get("errors", {})
        rows.append(
            [
                name,
                md.over_seeds(_seconds(units), ".1f"),
                md.over_seeds([unit["first_seconds"] for unit in units], ".1f") if "first_seconds" in units[0] else "-",
                _load(units),
                *(f"{max(u[f'peak_{kind}_bytes'] for u in units) / 1e6:,.0f}" for kind in ("anonymous", "resident")),
                *(f"{errors[q]['worst']:.1e}" if q in errors else "-" for q in _QUANTITIES),
                f"{errors['pairwise']['rank_correlation']:.4f}" if "pairwise" in errors else "-",
            ]
        )
    head = ["method", "s", "first call, s", "host load", "peak anonymous, MB", "peak resident, MB"]
    head += [f"{name}: worst error" for name in _QUANTITIES.values()] + ["pairwise: lowest rank correlation"]
    return (
        f"{size['n']:,} examples, {size['d']} features and a bias, {size['c']} classes, {size['queries']} queries: "
        "norms ||(H + λI)⁻¹g||, quadratic forms and pairwise influence of all. Median over rounds (lowest to highest). "
        "Memory is above what the interpreter and its libraries hold before any data is read.\n\n"
        + md.table(head, rows)
    )


def _load(units: list[Unit]) -> str:
    return md.over_seeds([load for unit in units for load in unit["load"]], ".1f")


def _larger(larger: dict[str, list[Unit]], size: dict[str, int]) -> list[str]:
    unit = larger["jaxnoisy"][0]
    bare = larger.get("products", [])
    rows = [
        ["s", f"{unit['seconds']:.1f}"],
        *(
            [f"bare products, {library}, s", f"{s:.1f}"]
            for b in bare[:1]
            for library, s in b["product_seconds"].items()
        ),
        ["peak anonymous, MB", f"{unit['peak_anonymous_bytes'] / 1e6:,.0f}"],
        *([f"{name}: worst error", f"{e['worst']:.1e}"] for name, e in unit.get("errors", {}).items()),
    ]
    title = f"{size['n']:,} examples and {size['queries']} queries, as above; errors for the first thousand examples."
    return [title, md.table(["", "jaxnoisy"], rows)]


def _growth(units: list[Unit]) -> list[str]:
    rows = [
        [
            f"{unit['n']:,}",
            f"{unit['seconds']:.1f}",
            f"{unit['seconds'] / unit['n'] * 1e6:.0f}",
            f"{unit['features_bytes'] / 1e6:,.0f}",
            *(f"{unit[f'peak_{kind}_bytes'] / 1e6:,.0f}" for kind in ("anonymous", "resident")),
        ]
        for unit in units
    ]
    return [
        "The same with 10 queries for more and more examples, features mapped from a file. Resident memory includes "
        "pages of that file, which the system takes back when it needs them; anonymous memory holds the results too, "
        "12 numbers an example.",
        md.table(["n", "s", "µs an example", "file, MB", "peak anonymous, MB", "peak resident, MB"], rows),
    ]


def _wide(unit: Unit, size: dict[str, int]) -> str:
    rows = [
        ["converged", f"{unit['converged']} of {unit['queries']}"],
        ["worst residual (solver; float64)", f"{unit['reported_residual']:.1e}; {unit['worst_residual']:.1e}"],
        ["passes", " ".join(map(str, unit["passes"]))],
        ["s", f"{unit['seconds']:.0f}"],
        ["peak anonymous, MB", f"{unit['peak_anonymous_bytes'] / 1e6:,.0f}"],
    ]
    return (
        f"A wide head, {size['n']:,} examples, {size['d']:,} features, {size['c']:,} classes, {unit['parameters']:,} "
        "parameters, by block conjugate gradient.\n\n" + md.table(["", "jaxnoisy"], rows)
    )
