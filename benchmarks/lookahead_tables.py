"""Tables of what a look-ahead costs."""

from typing import Any

import markdown as md

Unit = dict[str, Any]

MOST = 2.0
"""What (b) may take beside a plain step."""

MEANS = {
    "forward": "(b) one forward-mode pass",
    "reverse": "(a) through the update",
    "plain, again": "the plain step again",
}


def tables(results: dict[str, Any]) -> list[str]:
    """The section on the cost of a look-ahead."""
    timed = [unit for unit in results["units"] if unit["part"] == "time"]
    held = [unit for unit in results["units"] if unit["part"] == "memory"]
    parts = [
        "Milliseconds a step: median (quartiles). Beside the plain step: median over rounds of the ratio to the same "
        "round's plain step [95 % confidence interval]. Batch and clean batch are of one size. What looks ahead every "
        "so many steps is timed in calls of as many times more steps, which spreads what a call costs.",
        md.table(["step", "ms", "times the plain step", "compile, s"], [row for unit in timed for row in _times(unit)]),
    ]
    targets = [_target(unit) for unit in timed if unit["framework"] == "jax"]
    if targets:
        head = ["model", f"(b) / plain, at most {MOST:g}", "met", "(b) / (a), below 1", "met"]
        parts += [md.table(head, targets)]
    if held:
        buffers = {
            (unit["framework"], unit["model"], name): size
            for unit in timed
            for name, size in unit.get("temporary_bytes", {}).items()
        }
        rows = [
            [
                f"{unit['model']}, {unit['framework']}: {MEANS.get(unit['variant'], 'plain step')}",
                f"{unit['peak_anonymous_bytes'] / 1e6:,.0f}",
                _megabytes(buffers.get((unit["framework"], unit["model"], unit["variant"]))),
            ]
            for unit in held
        ]
        parts += [
            "Peak memory over five steps above what the process held before them, and the temporary buffers of the "
            "compiled step by XLA's own account.",
            md.table(["step", "peak anonymous, MB", "buffers, MB"], rows),
        ]
    return parts


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:,.0f}"


def _times(unit: Unit) -> list[list[str]]:
    rows = []
    for name, seconds in unit["step_seconds"].items():
        ratio = unit["ratio"].get(name)
        compiled = unit.get("compile_seconds", {}).get(name)
        rows.append(
            [
                f"{unit['model']}, {unit['framework']}: {MEANS.get(name, name)}",
                md.quartiles(seconds, ".2f", 1e3),
                md.interval(ratio, ".2f", 1.0) if ratio else "-",
                f"{compiled:.1f}" if compiled is not None else "-",
            ]
        )
    return rows


def _target(unit: Unit) -> list[str]:
    plain, other = unit["ratio"]["forward"], unit["forward_over_reverse"]
    return [
        unit["model"],
        md.interval(plain, ".2f", 1.0),
        _met(plain, MOST),
        md.interval(other, ".2f", 1.0),
        _met(other, 1.0),
    ]


def _met(ratio: dict[str, float], most: float) -> str:
    """Met, or missed, where the whole confidence interval says so."""
    if ratio["ci_high"] <= most:
        return "yes"
    return "no" if ratio["ci_low"] > most else "not settled"
