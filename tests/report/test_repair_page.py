"""The page of a repair."""

import dataclasses
import re

import numpy as np
import pytest
from repair_examples import repaired
from report_examples import NASTY
from test_report_page import Page

from jaxnoisy import report
from jaxnoisy.report.repair_cards import SHOWN, galleries
from jaxnoisy.report.repair_page import render_repair
from jaxnoisy.report.text import shown


def page_of(found):
    html = render_repair(found, report.summarize_repair(found))
    html.encode()
    return html, Page(html)


@pytest.mark.parametrize(
    ("options", "charts"),
    [
        # Accuracy and what is left; loss, OSM, OSD of each class, the influence, two maps.
        ({}, 2 + 2 + 3 + 1 + 2),
        ({"inputs": "features", "c": 2, "test": False}, 2 + 2 + 2 + 1 + 2),
        ({"rounds": "none", "truth": False, "anew": False, "c": 2}, 1 + 2 + 2 + 1 + 2),
        ({"rounds": "nothing", "truth": False, "anew": False, "test": False, "c": 2}, 2 + 2 + 1 + 2),
        ({"by_loss": True}, 2 + 1 + 1 + 1 + 2),
        ({"seen": False}, 2),
    ],
    ids=str,
)
def test_every_part_is_there_and_nothing_comes_from_outside(options, charts):
    whole(repaired(**options), charts)


def whole(found, charts):
    html, page = page_of(found)
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", html) == [
        "Round by round",
        "What was dropped",
        "What the first round went by",
        "How this was made",
    ]
    assert html.count('class="chart"') == charts
    cards = sum(len(gallery.cards) for gallery in galleries(found))
    assert html.count('<li class="card">') == cards
    assert (page.tags.count("img") if found.dataset.is_images else html.count('class="strip"')) == cards
    assert not {"script", "link", "a"} & set(page.tags)
    for reference in page.values("src") + page.values("href") + page.values("xlink:href"):
        assert reference.startswith(("data:image/png;base64,", "#"))
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert len(page.ids) == len(set(page.ids)), "an id stands twice"
    assert all(target in page.ids for target in page.values("aria-labelledby"))
    assert all(page.values("alt"))
    assert all(page.values("aria-label"))
    assert "nan" not in page.text
    return html, page


def test_text_of_the_data_stays_text():
    ids = np.array([f"<b onclick='x'>{k}</b>&\"$" for k in range(80)])
    found = repaired(c=len(NASTY), names=NASTY, ids=ids)
    object.__setattr__(found.dataset, "name", "<img src=x onerror=alert(1)>")
    object.__setattr__(found, "settings", {"<i>": "<hr>"})
    object.__setattr__(found, "method", "<u>mine</u>")
    _, page = page_of(found)
    assert not {"script", "hr", "u", "a"} & set(page.tags)
    assert "x" not in page.values("src")
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    told = ("<img src=x onerror=alert(1)>", "<i>", "<hr>", "<u>mine</u>", "Reason <1>.")
    for text in (*told, *map(shown, NASTY[:5]), *(card.id for card in galleries(found)[0].cards)):
        assert text in page.text


def test_the_first_sentence_tells_what_happened():
    found = repaired(seen=False)
    counts = report.summarize_repair(found)["labels"]
    text = page_of(found)[1].text
    assert (
        f"{counts['dropped']} of 80 labels were dropped as suspicious by influential-rank; of these, "
        f"{counts['relabelled']} came back under another label, {counts['restored']} under their own, and "
        f"{counts['left_out']} were left out. {counts['doubted']} others were left out"
    ) in text
    assert "90.0 % of the validation data (60.0 % before), and on 88.0 % of the test data (58.0 % before)." in text
    assert "Test data decided nothing" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"test": False}, "There was no test data"),
        ({"rounds": "none", "anew": False}, "None of the 80 labels was dropped. The original model is right on 60.0 %"),
        ({"rounds": "none"}, "Nothing was dropped for good"),
        ({"anew": False}, "The last model was trained without them"),
        ({}, "The scores of the first round were not kept"),
    ],
    ids=str,
)
def test_what_is_missing_is_said(options, said):
    assert said in page_of(repaired(seen=False, **options))[1].text


def test_a_model_trained_anew_that_is_not_kept_is_told_and_not_counted():
    found = dataclasses.replace(
        repaired(seen=False),
        final="round 2",
        settings={"trained_anew": "The model trained anew is not kept."},
    )
    page = page_of(found)[1].text
    assert "The last model is right on 85.0 % of the validation data" in page
    assert "The model trained anew is not kept." in page
    assert "came back under another label" not in page


def test_why_nothing_was_trained_anew_and_nested_settings_are_shown():
    found = repaired(seen=False, anew=False)
    object.__setattr__(
        found, "settings", {"trained_anew": "Not <sure> of any.", "post_training": {"epochs": 7}, "k": {}}
    )
    html, page = page_of(found)
    assert "Not <sure> of any." in page.text
    assert re.search(r"<details>.*post_training.*epochs.*7.*</details>", html, re.DOTALL)


def test_rounds_stand_in_a_table():
    html, page = page_of(repaired(rounds="refused", seen=False))
    body = html[html.index("<tbody>") : html.index("</tbody>")]
    rows = [re.findall(r"<t[hd][^>]*>(?:<span[^>]*>)?(.*?)<", row) for row in body.split("</tr>")[:-1]]
    assert [row[:2] for row in rows] == [
        ["original", ""], ["round 1", "kept"], ["round 2", "refused"], ["trained anew", ""],
    ]  # fmt: skip
    assert [row[4:6] for row in rows] == [
        ["60.0 %", "58.0 %"], ["80.0 %", "77.0 %"], ["75.0 %", "72.0 %"], ["90.0 %", "88.0 %"],
    ]  # fmt: skip
    assert "Round 2. Reason <2>." in page.text


def test_a_round_that_found_nothing_was_not_refused():
    assert ">ended</span>" in page_of(repaired(rounds="nothing", seen=False))[0]


def test_galleries_hold_the_dropped_by_fate_most_suspicious_first():
    found = repaired(n=400)
    shown_by_fate = galleries(found)
    assert [gallery.fate for gallery in shown_by_fate] == ["relabelled", "restored", "left out"]
    assert sum(gallery.total for gallery in shown_by_fate) == (found.removed_in > 0).sum()
    clean = found.dataset.clean_labels
    for gallery in shown_by_fate:
        rows = np.array([int(card.id) for card in gallery.cards])
        assert len(rows) == SHOWN // 3 < gallery.total
        assert (found.used[rows] != (gallery.fate == "left out")).all()
        assert (found.removed_in[rows] == 1).all(), "those of the second round come later"
        assert (np.diff(found.scores[rows]) <= 0).all()
        for row, card in zip(rows.tolist(), gallery.cards):
            assert (card.given, card.cleaned) == (f"class {row % 3}", f"class {found.labels[row]}")
            assert card.confidence == f"{100 * found.confidence[row]:.0f} %"
            assert (card.wrong, card.mended) == (clean[row] != row % 3, clean[row] == found.labels[row])
    assert {card.given == card.cleaned for card in shown_by_fate[0].cards} == {False}
    assert {card.given == card.cleaned for card in shown_by_fate[1].cards} == {True}


def test_cards_are_marked_only_where_the_truth_is_known():
    found = repaired(seen=False)
    html, _ = page_of(found)
    relabelled, *others = galleries(found)
    verdicts = [card.mended for card in relabelled.cards] + [not card.wrong for g in others for card in g.cards]
    section = html[html.index('id="dropped"') : html.index('id="why"')]
    assert section.count('class="chip right"') == sum(verdicts)
    assert section.count('class="chip wrong"') == len(verdicts) - sum(verdicts)
    hidden, _ = page_of(repaired(seen=False, truth=False))
    assert 'class="chip' not in hidden[hidden.index('id="dropped"') :]


def test_of_many_classes_the_clearest_splits_are_shown_and_colours_not_named():
    found = repaired(c=200, n=400, rounds="refused")
    html, page = whole(found, 2 + 2 + 12 + 1 + 2)
    apart = [mixture.separation for mixture in found.evidence.info.mixtures]
    panels = html[html.index('<div class="panels') :]
    assert re.findall(r'<bdi title="class (\d+)"', panels) == np.argsort(apart)[::-1][:12].astype(str).tolist()
    assert "Of 200 classes, the 12 are shown whose Gaussians are furthest apart" in page.text
    assert "With 200 classes, near colours may be different ones" in page.text


def test_where_no_class_can_vote_the_page_says_so():
    found = repaired()
    seen = found.evidence
    silent = seen._replace(osd=np.zeros_like(seen.osd), info=seen.info._replace(mixtures=(None,) * 3, required=0))
    object.__setattr__(found, "evidence", silent._replace(spread=np.zeros((40, 0), np.float32)))
    html, page = page_of(found)
    assert "No class could vote" in page.text
    assert "Even and uneven influence" not in page.text
    assert html.count('class="chart"') == 2 + 2 + 2
