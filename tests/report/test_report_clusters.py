"""DynaCor's part of the page."""

import dataclasses
import re

import numpy as np
import pytest
from report_examples import findings

from jaxnoisy import report
from jaxnoisy.detect import Detection, DynaCorInfo
from jaxnoisy.detect.dynacor import Drawn
from jaxnoisy.detect.dynacor_network import Encoder, Weights
from jaxnoisy.report.dynamics_clusters import cluster_pictures
from jaxnoisy.report.page import render_page
from jaxnoisy.report.text import percent

K, D, T = 40, 5, 6
REMARK = "every original lies in the noisy cluster: go by the ranking"


def info(*, remark="", epochs=3, empty=False):
    rng = np.random.default_rng(0)
    scores = np.linspace(0.3, 0.7, K)
    corrupted = np.arange(K) >= 30
    towards = np.where(scores > 0.5, 1.0, -1.0)[:, None] * np.eye(D)[0]
    drawn = Drawn(np.arange(K), corrupted, scores, (towards + 0.1 * rng.normal(size=(K, D))).astype(np.float32))
    weights = Weights(Encoder((), np.zeros((1, D)), np.zeros(D)), np.eye(D)[0], -np.eye(D)[0])
    metric = np.array([[0.01, 0.02, 0.04, 0.03], [0.01, 0.015, 0.02, 0.025]])[:, : epochs + 1]
    dynamics = np.linspace(-1, 1, 4 * T).reshape(2, 2, T)
    counts = np.array([[20, 10], [1, 9]])
    if empty:
        dynamics[0, 0], counts[0] = np.nan, (0, 30)
    best = int(metric[0].argmax())
    return DynaCorInfo(
        "quantised-margin",
        metric,
        np.array([0.05, 0.5]),
        np.array([0, 0]),
        0,
        best,
        metric,
        metric,
        weights,
        0.9,
        dynamics,
        counts,
        drawn,
        remark,
    )


def detection(**options):
    scores = np.random.default_rng(0).random(60)
    return Detection(scores, scores > 0.5, 0.5, info(**options))


def words(picture):
    return re.findall(r"<text[^>]*>([^<]*)</text>", picture.svg)


def test_the_charts_say_what_they_show():
    found = cluster_pictures(detection())
    assert {"original", "corrupted copy", "centroid"} <= set(words(found.plane))
    assert (
        "30 originals and 10 corrupted copies; 10 originals and 10 copies lie in the noisy cluster" in found.plane.alt
    )
    assert {"chosen search", "epoch kept", "other searches", "epoch of the encoder (0: untrained)"} <= set(
        words(found.metric)
    )
    assert (
        "2 searches over 3 epochs; kept is epoch 2 at 0.04, against 0.01 of the untrained encoder" in found.metric.alt
    )
    assert {"clean cluster", "noisy cluster", "originals", "copies", "mean sign of the margin"} <= set(
        words(found.dynamics)
    )
    assert "20 originals, clean cluster: from -1.00 to" in found.dynamics.alt
    assert (
        found.kept
        == f"epoch 2 of 3, alpha 0.05, start 1 of 1; {percent(0.9)} of the corrupted copies lie in the noisy cluster"
    )


def test_the_plane_parts_what_lies_in_opposite_directions():
    """The first component alone parts the clusters, as the markers' places in the drawing show."""
    svg = cluster_pictures(detection()).plane.svg
    circles = {}
    for colour in ("#0072b2", "#d55e00"):
        at = re.findall(rf'<use xlink:href="#[^"]*" x="([\d.]+)" y="[\d.]+" style="fill: {colour}; fill-opacity', svg)
        circles[colour] = np.array([float(x) for x in at])
    assert all(len(x) for x in circles.values())
    low, high = sorted(circles.values(), key=np.mean)
    assert low.max() < high.min()


@pytest.mark.parametrize("options", [{"empty": True, "remark": REMARK}, {"epochs": 0}])
def test_empty_clusters_and_untrained_encoders_are_drawn(options):
    found = cluster_pictures(detection(**options))
    assert "nan" not in found.dynamics.svg.lower()
    if options.get("empty"):
        assert "30 originals, noisy cluster" in found.dynamics.alt
        assert "originals, clean cluster" not in found.dynamics.alt
    else:
        assert found.kept.startswith("the untrained encoder, alpha 0.05")


def test_the_page_holds_them_where_dynacor_ran():
    plain = findings()
    html = render_page(plain, report.summarize(plain), plain.suggested())
    assert "DynaCor" not in html
    with_it = dataclasses.replace(plain, detections={**plain.detections, "dynacor": detection(remark=REMARK)})
    html = render_page(with_it, report.summarize(with_it), with_it.suggested())
    for heading in ("two clusters of dynamics", "mean dynamics of the clusters", "which epoch was kept"):
        assert f"DynaCor: {heading}" in html
    assert "Every original lies in the noisy cluster: go by the ranking." in html
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_other_detections_have_no_such_part():
    assert cluster_pictures(Detection(np.zeros(3), np.zeros(3, bool), None)) is None
