"""The page, the tables and the folder of influences."""

import csv
import re

import numpy as np
import pytest
from influence_examples import influences
from report_examples import NASTY
from test_report_page import Page

from jaxnoisy import influence, report
from jaxnoisy.files import read_json
from jaxnoisy.report import influence_folder
from jaxnoisy.report.cells import text_of
from jaxnoisy.report.figures import self_influences
from jaxnoisy.report.influence_cards import query_cards, self_cards
from jaxnoisy.report.influence_page import render_influences
from jaxnoisy.report.text import shown


def page_of(found):
    html = render_influences(found, report.summarize_influences(found))
    html.encode()
    return html, Page(html)


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "options",
    [{}, {"inputs": "features"}, {"truth": False, "rows": False}, {"k": 15}, {"k": 1, "count": 1}, {"count": 40}],
    ids=str,
)
def test_every_part_is_there_and_nothing_comes_from_outside(options):
    found = influences(**options)
    html, page = page_of(found)
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", html) == [
        "Most helpful and most harmful training examples",
        "Highest self-influence",
        "How this was made",
    ]
    queries, either_way = min(len(found), 12), min(found.count, 10)
    assert html.count('<article class="query') == queries
    assert html.count('<li class="near') == queries * 2 * either_way
    assert html.count('<li class="card">') == 24
    pictures = queries * (1 + 2 * either_way) + 24
    assert (page.tags.count("img") if found.dataset.is_images else html.count('class="strip"')) == pictures
    assert not {"script", "link", "a"} & set(page.tags)
    for reference in page.values("src") + page.values("href") + page.values("xlink:href"):
        assert reference.startswith(("data:image/png;base64,", "#"))
    assert all(target in page.ids for target in page.values("aria-labelledby"))
    assert len(page.ids) == len(set(page.ids))
    assert all(page.values("alt"))


def test_text_of_the_data_stays_text():
    ids = np.array([f"<b onclick='x'>{k}</b>&\"$" for k in range(40)])
    found = influences(c=len(NASTY), names=NASTY, ids=ids)
    object.__setattr__(found.dataset, "name", "<img src=x onerror=alert(1)>")
    object.__setattr__(found, "settings", {**found.settings, "<i>": "<hr>"})
    _, page = page_of(found)
    assert not {"script", "b", "u", "i", "hr", "a"} & set(page.tags)
    assert "x" not in page.values("src")
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    for text in ("<img src=x onerror=alert(1)>", "<i>", "<hr>", ids[0], *map(shown, NASTY[:3])):
        assert text in page.text


def test_queries_stand_with_the_examples_of_largest_influence():
    found = influences()
    matrix = np.asarray(influence.matrix(found.rows))
    for q, card in enumerate(query_cards(found)):
        order = np.argsort(matrix[:, q])
        assert [entry.example.id for entry in card.helpful] == order[:4].astype(str).tolist()
        assert [entry.example.id for entry in card.harmful] == order[:-5:-1].astype(str).tolist()
        assert [entry.itself for entry in (*card.helpful, *card.harmful)] == [
            row == q for row in (*order[:4], *order[:-5:-1])
        ]
        assert card.query.id == str(q)
        assert card.query.given == f"class {q % 3}"
        assert card.query.predicted == f"class {(q + 1) % 3}"
        assert {entry.influence[0] for entry in card.helpful} == {"−"}
        assert {entry.influence[0] for entry in card.harmful} == {"+"}
        assert all(entry.same == (entry.example.given == card.query.given) for entry in card.helpful)
        assert max(entry.share for entry in (*card.helpful, *card.harmful)) == 100


def test_of_many_queries_those_of_highest_loss_are_shown():
    found = influences(k=15)
    assert [card.query.id for card in query_cards(found)] == [str(q) for q in range(14, 2, -1)]
    assert "The 12 queries of highest loss; all 15 are in influence.csv" in page_of(found)[1].text


def test_the_strongest_stand_in_order_with_what_is_known_of_them():
    found = influences()
    cards = self_cards(found)
    order = np.argsort(-found.self_influence)[:24]
    assert [card.example.id for card in cards] == order.astype(str).tolist()
    assert [card.example.wrong for card in cards] == found.dataset.flips[order].tolist()
    html, page = page_of(found)
    gallery = html[html.index('id="strong"') :]
    assert gallery.count('class="chip wrong"') == found.dataset.flips[order].sum()
    assert "ROC AUC" in page.text
    assert "ROC AUC" not in page_of(influences(truth=False))[1].text


def test_what_was_not_solved_is_said_in_words():
    html, page = page_of(influences(status=2))
    assert html.count("not solved to tolerance") == 3
    assert "0 of 3 right-hand sides converged in 5 passes" in page.text
    assert "met negative curvature" in page.text
    assert "not solved to tolerance" not in page_of(influences())[0]


def test_influences_that_are_not_numbers_are_left_out(tmp_path):
    found = influences(k=1, count=4)
    values = np.full((40, 1), np.nan, np.float32)
    values[[5, 9]] = [[1.0], [-1.0]]
    object.__setattr__(found, "top", influence.top(count=4)(influence.from_matrix(values)))
    (card,) = query_cards(found)
    assert [entry.example.id for entry in card.helpful] == ["9", "5"]
    assert "38 influences are not numbers" in page_of(found)[1].text
    report.write_influences(found, tmp_path / "out", report=False)
    assert [line["train_id"] for line in table(tmp_path / "out" / "influence.csv")] == ["9", "5", "5", "9"]


def test_a_chart_of_self_influence():
    values, agreed = np.array([1e-12, 1e-3, 1.0, 2.0]), np.array([True, True, False, False])
    drawn = self_influences(values, agreed)
    assert "predicts another label than the given one for 2" in drawn.alt
    assert drawn.note == "1 smaller values are counted in the first bar."
    assert self_influences(np.zeros(4), agreed) is None


def test_the_tables_read_back_as_they_were(tmp_path):
    ids = np.array([f"=id,{k}" for k in range(40)])
    found = influences(ids=ids, names=['a "b"', "-x", "two\nlines"])
    out = report.write_influences(found, tmp_path / "out", report=False, matrix=True)
    np.testing.assert_array_equal(np.load(out / "influence.npy"), influence.matrix(found.rows))
    lines = table(out / "influence.csv")
    assert [text_of(line["query_id"]) for line in lines[::8]] == ids[:3].tolist()
    assert text_of(lines[8]["query_label"]) == "-x"
    assert [float(line["influence"]) for line in lines[4:8]] == found.answer(0).harms.tolist()
    queries = table(out / "queries.csv")
    np.testing.assert_array_equal(np.float32([float(line["loss"]) for line in queries]), found.losses)
    assert [text_of(line["predicted_label"]) for line in queries] == ["-x", "two\nlines", 'a "b"']
    ranked = table(out / "self_influence.csv")
    order = found.by_self_influence()
    assert [text_of(line["train_id"]) for line in ranked] == ids[order].tolist()
    assert [int(line["rank"]) for line in ranked] == list(range(1, 41))
    assert [float(line["self_influence"]) for line in ranked] == found.self_influence[order].tolist()


def test_the_summary_says_what_was_asked():
    found = influences()
    summary = report.summarize_influences(found)
    assert summary["queries"] == {
        "name": "small", "examples": 3, "predicted_as_given": 0, "mean_loss": pytest.approx(found.losses.mean()),
    }  # fmt: skip
    assert summary["seeds"] == {"seed": 3}
    assert summary["solution"]["converged"] == 3
    flips, values = found.dataset.flips, found.self_influence
    pairs = values[flips][:, None] > values[~flips]
    assert summary["self_influence"]["metrics"]["roc_auc"] == pytest.approx(pairs.mean())
    assert summary["accuracy"] == pytest.approx((~flips).mean())


def test_all_files_or_none(tmp_path, monkeypatch):
    found = influences()
    with monkeypatch.context() as patch:
        patch.setattr(influence_folder, "write_self_influence", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(OSError, match="full"):
            report.write_influences(found, tmp_path / "a" / "out")
    assert list(tmp_path.iterdir()) == []
    out = report.write_influences(found, tmp_path / "out", matrix=True)
    assert {p.name for p in out.iterdir()} == set(report.INFLUENCE_FILES)
    assert read_json(out / "summary.json")["settings"]["method"] == "last-layer"
    with pytest.raises(ValueError, match="already holds a run"):
        report.write_influences(found, out)
    report.write_influences(found, out, report=False, overwrite=True)
    assert {p.name for p in out.iterdir()} == {*report.INFLUENCE_FILES} - {"influence.npy", "report.html"}
