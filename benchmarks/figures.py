"""The figures of RESULTS.md, drawn from the JSON files in results/ into the same folder."""

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from jaxnoisy import files

CONTAMINATED = "twice_contaminated.svg"


def draw(folder: Path) -> None:
    """Draw every figure whose results are in ``folder``."""
    path = folder / "lstm_studies.json"
    if not path.is_file():
        return
    units = [unit for unit in files.read_json(path)["units"] if unit["part"] == "contaminated"]
    if units:
        files.write_text(folder / CONTAMINATED, contaminated(units))


def contaminated(units: list[dict[str, Any]]) -> str:
    """A heat map, as SVG, of the median ROC AUC over seeds by the noise that was there and the noise put on top."""
    below, above = (sorted({unit[key] for unit in units}) for key in ("underlying", "synthetic"))
    grid = np.full((len(below), len(above)), np.nan)
    for row, u in enumerate(below):
        for column, s in enumerate(above):
            found = [x["metrics"]["roc_auc"] for x in units if (x["underlying"], x["synthetic"]) == (u, s)]
            grid[row, column] = np.median(found) if found else np.nan
    # Text as text, and nothing that changes from one drawing to the next.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": CONTAMINATED, "font.size": 9}):
        figure = Figure(figsize=(4.6, 3.4), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(grid, cmap="viridis", vmin=0.5, vmax=1.0)
        for (row, column), value in np.ndenumerate(grid):
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.75 else "white")
        axes.set_xticks(range(len(above)), [f"{s:.0%}" for s in above])
        axes.set_yticks(range(len(below)), [f"{u:.0%}" for u in below])
        axes.set_xlabel("noise put on top, of which the detector knew")
        axes.set_ylabel("noise that was there before")
        figure.colorbar(image, label="ROC AUC")
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
