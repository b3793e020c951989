"""Markdown for the benchmark tables: numbers with their spread, tables, and where a file of results came from."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def over_seeds(values: Sequence[float | None], form: str = ".3f") -> str:
    """Median (lowest to highest); JSON's null, a measure that was not defined, is left out."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    median, low, high = (format(value, form) for value in (np.median(known), min(known), max(known)))
    return median if low == high else f"{median} ({low} to {high})"


def quartiles(spread: dict[str, float], form: str, scale: float = 1.0) -> str:
    """Median (quartiles) of what ``common.spread`` made."""
    median, low, high = (format(spread[name] * scale, form) for name in ("median", "q1", "q3"))
    return f"{median} ({low} to {high})"


def interval(spread: dict[str, float], form: str = "+.1f", scale: float = 100.0) -> str:
    """Median [its 95 % confidence interval], by default a share in per cent."""
    median, low, high = (format(spread[name] * scale, form) for name in ("median", "ci_low", "ci_high"))
    return f"{median} [{low}, {high}]"


def origin(results: dict[str, Any]) -> str:
    """Commands, machine, versions, settings and load: what a reader needs to run it again."""
    lines = []
    for number, run in enumerate(results["runs"]):
        machine, versions = run["machine"], run["versions"]
        loads = [load for unit in results["units"] if unit["run"] == number for load in unit["load"]]
        if not loads:
            continue  # interrupted before its first measurement was done
        threads = f", PyTorch with {machine['torch_threads']} threads" if "torch_threads" in machine else ""
        lines += [
            f"- `{run['command']}`, {run['started']}",
            f"  - {machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB; "
            f"JAX on {machine['jax_device']}{threads}; host load {min(loads):.1f} to {max(loads):.1f}",
            f"  - {', '.join(f'{name} {version}' for name, version in versions.items() if version)}",
        ]
    settings = ", ".join(f"{name} = {_plain(value)}" for name, value in results["settings"].items())
    return "\n".join([*lines, f"- settings: {settings}"])


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_plain(inner)}" for name, inner in value.items()) + "}"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
