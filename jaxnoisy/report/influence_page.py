"""``report.html`` of a run that explained predictions: queries, and the training examples behind them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxnoisy.influences import Influences
from jaxnoisy.report import text
from jaxnoisy.report.canvas import FLAGGED, KEPT
from jaxnoisy.report.figures import self_influences
from jaxnoisy.report.influence_cards import query_cards, self_cards
from jaxnoisy.report.templates import markup, template


def render_influences(found: Influences, summary: Mapping[str, Any], *, matrix: bool = False) -> str:
    """Build the page.

    Like the page of findings it holds its pictures and its style, refers to nothing outside, runs no script, and
    escapes everything that comes from the data. At most 12 queries are shown, with ten examples either way.

    Args:
        found: n training examples, k queries.
        summary: from :func:`jaxnoisy.report.summarize_influences` on the same.
        matrix: whether ``influence.npy`` lies beside the page.

    Returns:
        HTML, free of lone surrogates, so that it can be encoded as UTF-8.

    Cost: about a second for matplotlib, and a few passes over the self-influences.
    """
    agreed = np.asarray(found.train_predictions == found.dataset.labels)
    cards = query_cards(found)
    return template("influence.html.j2").render(
        summary=summary,
        title=text.shown(summary["data"]["name"] or "data"),
        cards=cards,
        strongest=self_cards(found),
        distribution=markup(self_influences(found.self_influence, agreed, found.dataset.flips)),
        itself=any(neighbour.itself for card in cards for neighbour in (*card.helpful, *card.harmful)),
        per_side=min(found.count, max((len(card.helpful) for card in cards), default=0)),
        settings=text.flattened(summary["settings"]),
        matrix=matrix,
        colours={"flagged": FLAGGED, "kept": KEPT},
    )
