import re
from html.parser import HTMLParser

import numpy as np
import pytest
from report_examples import NASTY, findings

from jaxnoisy import report
from jaxnoisy.data import make
from jaxnoisy.report.page import render_page
from jaxnoisy.report.text import shown

VOID = {"meta", "img", "br"}
TITLES = [
    "Most suspicious examples",
    "Methods side by side",
    "Scores and threshold",
    "How they were learned",
    "Which classes are taken for which",
    "Suspicion by class",
    "Do the methods agree?",
    "How this was made",
]


class Page(HTMLParser):
    """The elements of a page, its text, and whether every element is closed in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.ids, self.text = [], [], [], [], ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def values(self, name):
        return [value for _, attribute, value in self.attributes if attribute == name]


def page_of(found):
    html = render_page(found, report.summarize(found), found.suggested())
    html.encode()
    return html, Page(html)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"c": 2},
        {"c": 100, "n": 400},
        {"c": 31, "n": 200},
        {"t": 1},
        {"flag": "none"},
        {"flag": "all"},
        {"inputs": None},
        {"inputs": None, "t": 1, "truth": False},
        {"inputs": "features"},
        {"truth": False},
        {"methods": ("only",)},
        {"n": 3},
    ],
    ids=str,
)
def test_every_part_is_there_and_nothing_comes_from_outside(options):
    found = findings(**options)
    html, page = page_of(found)
    titles = [title for title in TITLES if title != "Do the methods agree?" or len(found.detections) > 1]
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", html) == titles
    assert html.count('class="chart"') == (1 if options.get("t") == 1 else 2)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert len(page.ids) == len(set(page.ids)), "an id stands twice"
    for reference in page.values("src") + page.values("href") + page.values("xlink:href"):
        assert reference.startswith(("data:image/png;base64,", "#"))
    for name in (name for _, name, _ in page.attributes):
        assert not name.startswith("on")
    for target in page.values("aria-labelledby"):
        assert target in page.ids
    assert "url(http" not in html
    assert all(alt for alt in page.values("alt"))


def test_text_of_the_data_stays_text():
    ids = np.array([f"<b onclick='x'>{k}</b>&\"$" for k in range(70)])
    found = findings(n=70, c=len(NASTY), names=NASTY, ids=ids, methods=("<u>$m$</u>", "aum"), settings={"<i>": "<hr>"})
    object.__setattr__(found.dataset, "name", "<img src=x onerror=alert(1)>")
    object.__setattr__(found.dataset, "skipped", ("<a href=x>bad.png</a>: broken",))
    _, page = page_of(found)
    assert not {"script", "b", "u", "i", "hr", "a"} & set(page.tags)
    assert "x" not in page.values("src")
    for text in (
        *map(shown, (name for name in NASTY if len(name) < 40)),
        ids[found.detections["<u>$m$</u>"].scores.argmax()],
    ):
        assert text in page.text
    for text in ("<img src=x onerror=alert(1)>", "<u>$m$</u>", "<i>", "<hr>", "<a href=x>bad.png</a>: broken"):
        assert text in page.text


def test_lone_surrogates_do_not_break_the_page():
    ids = np.array([f"\udcff{k}" for k in range(60)])
    _, page = page_of(findings(ids=ids, names=["\udc80", "b", "c"]))
    assert "\\udcff" in page.text
    assert "\\udc80" in page.text


def test_headline_numbers():
    found = findings()
    _, page = page_of(found)
    assert "aum flags 12 of 60 labels" in page.text
    assert "25.0 %" in page.text
    assert f"{100 * found.flips.mean():.1f} %" in page.text
    hits = (found.detections["aum"].flagged & found.flips).sum()
    assert f"{100 * hits / 12:.1f} %" in page.text


def test_gallery_follows_the_ranking_and_says_what_is_wrong():
    found = findings()
    html, page = page_of(found)
    first = report.rank_issues(found).id[:48].tolist()
    shown_ids = re.findall(r'<div class="meta"><bdi title="(\d+)">', html)
    assert shown_ids == first
    wrong = found.flips[np.array(first, int)]
    assert html.count('class="chip wrong"') == wrong.sum()
    assert html.count('class="chip right"') == (~wrong).sum()
    assert page.tags.count("img") == 48


def test_without_the_truth_nothing_is_called_wrong_or_right():
    html, _ = page_of(findings(truth=False))
    assert 'class="chip wrong"' not in html
    assert 'class="chip right"' not in html
    assert "ROC AUC" not in html


def test_small_images_are_crisp_and_large_ones_are_not():
    found = findings(n=20)
    html, _ = page_of(found)
    assert html.count('class="crisp"') == 20
    large = make(np.zeros((20, 200, 300, 3), np.uint8), found.labels)
    html, page = page_of(type(found)(found.trace, found.detections, "aum", 0.1, large))
    assert page.tags.count("img") == 20
    assert 'class="crisp"' not in html


def test_a_single_epoch_says_that_there_is_no_trajectory():
    assert "no trajectory over epochs" in page_of(findings(t=1))[1].text


def test_nothing_and_everything_flagged_are_said():
    assert "None of the 60 labels crosses" in page_of(findings(flag="none"))[1].text
    assert "flags every one of the 60 labels" in page_of(findings(flag="all"))[1].text


def test_many_classes_show_the_largest_confusions():
    text = page_of(findings(c=100, n=400))[1].text
    assert "of 9,900 pairs" in text
    assert "Of 100 classes, the 30 with most flagged" in text


def test_the_same_findings_give_the_same_page():
    assert page_of(findings())[0] == page_of(findings())[0]


def test_skipped_inputs_are_listed_up_to_a_limit():
    found = findings()
    object.__setattr__(found.dataset, "skipped", tuple(f"file {k}.png: broken" for k in range(60)))
    text = page_of(found)[1].text
    assert "60 inputs were left out" in text
    assert "file 49.png: broken" in text
    assert "file 50.png" not in text
