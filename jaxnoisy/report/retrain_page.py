"""``report.html`` of a repair in one pass: what was removed or relabelled, and what it came to."""

from collections.abc import Mapping
from typing import Any

from jaxnoisy.repaired import Repaired
from jaxnoisy.report import text
from jaxnoisy.report.canvas import FLAGGED, INK, KEPT
from jaxnoisy.report.figures import score_distribution
from jaxnoisy.report.repair_cards import galleries
from jaxnoisy.report.templates import markup, template


def render_retrained(found: Repaired, summary: Mapping[str, Any]) -> str:
    """Build the page, as :func:`~jaxnoisy.report.repair_page.render_repair` does for a repair in rounds.

    Args:
        found: n training examples, without rounds.
        summary: from :func:`jaxnoisy.report.summarize_repair` on the same.

    Returns:
        HTML, free of lone surrogates, so that it can be encoded as UTF-8.

    Cost: about a second for matplotlib, and a few passes over the scores.
    """
    training = summary["settings"].get("training_anew", {})
    plain = {name: value for name, value in summary["settings"].items() if name != "training_anew"}
    threshold = found.settings.get("threshold")
    histogram = score_distribution(found.scores, found.removed, threshold, found.dataset.flips)
    return template("retrain.html.j2").render(
        summary=summary,
        title=text.shown(summary["data"]["name"] or "data"),
        models=_models(found),
        histogram=markup(histogram),
        galleries=galleries(found),
        settings=text.flattened(plain),
        training=text.flattened(training),
        colours={"flagged": FLAGGED, "kept": KEPT, "ink": INK},
    )


def _models(found: Repaired) -> list[dict[str, Any]]:
    """Each model with what it was trained on: a name, how many examples, and its accuracy on test data or None."""
    n = len(found)
    left = {
        "original": n,
        "without suspects": n - int(found.settings.get("left_out_first", 0)),
        "trained anew": int(found.used.sum()),
    }
    return [
        {"name": name, "examples": left[name], "test": measured.get("test")}
        for name, measured in found.accuracies.items()
    ]
