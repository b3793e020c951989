"""``report.html`` of a repair: what was dropped and relabelled, what it came to, and why."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxnoisy.repaired import Evidence, Repaired
from jaxnoisy.report import text
from jaxnoisy.report.canvas import FLAGGED, INK, KEPT
from jaxnoisy.report.figures import Picture
from jaxnoisy.report.repair_cards import galleries
from jaxnoisy.report.repair_curves import accuracy_curve, remaining_curve, stages
from jaxnoisy.report.repair_effects import LEGEND, Embedding, embeddings, influence_spread
from jaxnoisy.report.repair_scores import Groups, first_round, groups, score_histograms
from jaxnoisy.report.repair_votes import ClassVotes, class_votes
from jaxnoisy.report.templates import markup, template


class Reasons(NamedTuple):
    """The charts of the evidence, as markup.

    Attributes:
        kinds: the two kinds of examples that the histograms tell apart.
        histograms: of the loss, and of OSM unless that is the loss.
        classes: of OSD, for some or all of the classes that can vote.
        spread: the influence on the validation examples of one class.
        maps: of the examples, before and after.
        named: whether the maps' colours are explained class by class.
    """

    kinds: Groups
    histograms: list[Picture]
    classes: list[ClassVotes]
    spread: Picture | None
    maps: Embedding | None
    named: bool


def render_repair(found: Repaired, summary: Mapping[str, Any]) -> str:
    """Build the page.

    Like the page of findings it holds its pictures and its style, refers to nothing outside, runs no script, and
    escapes everything that comes from the data. At most 48 examples are shown.

    Args:
        found: n training examples.
        summary: from :func:`jaxnoisy.report.summarize_repair` on the same.

    Returns:
        HTML, free of lone surrogates, so that it can be encoded as UTF-8.

    Cost: about two seconds for matplotlib, and a few passes over the scores.
    """
    at = stages(found)
    nested = {name: value for name, value in summary["settings"].items() if value and isinstance(value, dict)}
    return template("repair.html.j2").render(
        summary=summary,
        title=text.shown(summary["data"]["name"] or "data"),
        names=[text.shown(name) for name in found.dataset.class_names],
        stages=at,
        last=[stage for stage in at if stage.accepted][-1],
        rounds={info.round: info for info in found.rounds},
        curves=[markup(picture) for picture in (accuracy_curve(at), remaining_curve(at)) if picture is not None],
        galleries=galleries(found),
        why=None if found.evidence is None else _reasons(found, found.evidence),
        settings=text.flattened({name: v for name, v in summary["settings"].items() if name not in nested}),
        nested={text.shown(name): text.flattened(value) for name, value in nested.items()},
        colours={"flagged": FLAGGED, "kept": KEPT, "ink": INK},
    )


def _reasons(found: Repaired, seen: Evidence) -> Reasons:
    kinds, first = groups(found), first_round(found)
    maps = embeddings(
        seen.embedded_rows, seen.before, seen.after, found.dataset.labels, found.removed, found.dataset.num_classes
    )
    return Reasons(
        kinds=kinds,
        histograms=[markup(picture) for picture in score_histograms(seen.losses, seen.osm, kinds)],
        classes=[entry._replace(picture=markup(entry.picture)) for entry in class_votes(seen.osd, seen.info, kinds)],
        spread=markup(influence_spread(seen.spread_rows, seen.spread, first)),
        maps=None if maps is None else maps._replace(before=markup(maps.before), after=markup(maps.after)),
        named=found.dataset.num_classes <= LEGEND,
    )
