"""Tables of what influence foretells."""

from typing import Any

import markdown as md


def lds(results: dict[str, Any]) -> list[str]:
    """The linear datamodeling score of every method, model by model."""
    settings = results["settings"]
    parts = [
        f"Rank correlation, over {settings['subsets']} random halves of {settings['examples']:,} digits, of a query's "
        f"loss under models trained on the half with the sum of the influences of its examples; mean over "
        f"{settings['queries']} queries. From one model: median over seeds (lowest to highest). From the mean: of the "
        "influences at the models of all seeds. Seconds are for all seeds, compiling included."
    ]
    for model in dict.fromkeys(unit["model"] for unit in results["units"]):
        units = [unit for unit in results["units"] if unit["model"] == model]
        trained = [unit for unit in units if "accuracy" in unit]
        rows = [
            [
                unit["method"],
                md.over_seeds(unit["lds"]),
                f"{unit['lds_of_mean']:.3f}",
                "-" if None in unit["converged"] else f"{min(unit['converged']):.0%}",
                f"{unit['seconds']:.1f}",
            ]
            for unit in units
            if "lds" in unit
        ]
        parts += [f"### {model}", *map(_trained, trained)]
        parts.append(md.table(["method", "from one model", "from the mean", "converged, least", "s"], rows))
    return parts


def _trained(unit: dict[str, Any]) -> str:
    said = f"Accuracy on the queries {unit['accuracy']:.1%}; training all models took {unit['seconds']:.0f} s."
    if "agreement" not in unit:
        return f"{said} There is one minimum, which every seed finds."
    return (
        f"{said} Losses under models of half of the seeds rank with those of the other half by {unit['agreement']:.3f}."
    )
