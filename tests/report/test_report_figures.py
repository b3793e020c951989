import re

import matplotlib
import numpy as np
import pytest
from report_examples import findings

from jaxnoisy.report.canvas import sample
from jaxnoisy.report.figures import score_distribution, trajectories


def words(picture):
    return re.findall(r"<text[^>]*>([^<]*)</text>", picture.svg)


def test_distribution_has_axes_legend_and_numbers():
    scores = np.r_[np.linspace(0, 1, 80), np.linspace(3, 4, 20)]
    picture = score_distribution(scores, scores > 2, 2.0, scores > 3.5)
    said = words(picture)
    for text in ("score (higher = more suspicious)", "examples per bar", "kept", "flagged", "threshold", "truly wrong"):
        assert text in said
    assert "100 scores from 0 to 4" in picture.alt
    assert "threshold 2" in picture.alt
    assert "20 flagged" in picture.alt


def test_bars_hold_every_score_once():
    """Kept bars have an area proportional to the kept examples: the heights in the drawing add up."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=1000)
    flagged = scores > 1
    svg = score_distribution(scores, flagged, 1.0).svg
    heights = {"#0072b2": 0.0, "#d55e00": 0.0}
    for points, colour in re.findall(r'<path d="M ([^"]*?)z\s*"[^>]*style="fill: (#[0-9a-f]{6})', svg, re.DOTALL):
        y = [float(pair.split()[1]) for pair in re.split(r"L", points)]
        if colour in heights and "L" in points:
            heights[colour] += max(y) - min(y)
    # The legend's two patches add one height each, small against the sums.
    share = heights["#d55e00"] / (heights["#d55e00"] + heights["#0072b2"])
    assert share == pytest.approx(flagged.mean(), abs=0.03)


@pytest.mark.parametrize("threshold", [None, 50.0, -50.0, float("inf")])
def test_a_threshold_that_is_missing_or_far_is_not_drawn(threshold):
    scores = np.linspace(0, 1, 50)
    picture = score_distribution(scores, np.zeros(50, bool), threshold)
    assert "threshold" not in words(picture)
    if threshold is not None:
        assert f"lies far {'above' if threshold > 0 else 'below'}" in picture.note


def test_extreme_scores_are_gathered_and_counted():
    scores = np.r_[np.linspace(0, 1, 9998), 1e9, -1e9]
    picture = score_distribution(scores, scores > 0.9, 0.9)
    ticks = [float(w.replace("−", "-")) for w in words(picture) if re.fullmatch(r"−?\d+\.?\d*", w)]
    assert min(ticks) > -1e6
    outside = int(re.match(r"(\d+) more extreme", picture.note)[1])
    assert 2 <= outside <= 22


def test_equal_scores_can_be_drawn():
    assert "kept" in words(score_distribution(np.ones(5), np.zeros(5, bool), None))


def test_few_flagged_among_many_use_a_logarithmic_axis():
    scores = np.r_[np.zeros(10_000), 1.0]
    assert "examples (log scale)" in words(score_distribution(scores, scores > 0.5, 0.5))


def test_trajectories_tell_the_medians():
    found = findings(n=40, t=3)
    flagged = found.detections["aum"].flagged
    picture = trajectories(found.trace, flagged)
    p = np.exp(found.trace.seen.log_p_given.astype(np.float64))
    for name, rows in (("kept", ~flagged), ("flagged", flagged)):
        first, last = np.median(p[rows][:, 0]), np.median(p[rows][:, -1])
        assert f"{name}: median from {first:.2f} to {last:.2f}" in picture.alt
    assert {"epoch", "probability of the given label"} <= set(words(picture))


def test_trajectories_pass_over_what_was_not_recorded():
    found = findings(n=40, t=4)
    for field in found.trace.seen[:4]:
        field[:, 1] = np.nan
        field[:10, 2] = np.nan
    found.trace.seen.argmax[:, 1] = -1
    found.trace.seen.argmax[:10, 2] = -1
    assert "nan" not in trajectories(found.trace, found.detections["aum"].flagged).alt


@pytest.mark.parametrize("flagged", [True, False])
def test_trajectories_of_one_group_only(flagged):
    said = words(trajectories(findings().trace, np.full(60, flagged)))
    assert ("flagged (median)" in said) == flagged
    assert ("kept (median)" in said) != flagged


def test_one_epoch_has_no_trajectory():
    assert trajectories(findings(t=1).trace, np.zeros(60, bool)) is None


def test_settings_of_the_user_neither_matter_nor_change():
    scores = np.linspace(0, 1, 50)
    plain = score_distribution(scores, scores > 0.5, 0.5).svg
    with matplotlib.rc_context({"font.size": 30, "text.usetex": True, "svg.fonttype": "path"}):
        assert score_distribution(scores, scores > 0.5, 0.5).svg == plain
        assert matplotlib.rcParams["font.size"] == 30
        assert matplotlib.rcParams["text.usetex"]


def test_a_sample_is_in_order_without_repeats_and_always_the_same():
    rows = np.arange(100, 1100)
    taken = sample(rows, 50)
    assert len(taken) == len(set(taken.tolist())) == 50
    assert (np.diff(taken) > 0).all()
    assert set(taken) <= set(rows)
    np.testing.assert_array_equal(taken, sample(rows, 50))
    np.testing.assert_array_equal(sample(rows, 1000), rows)
