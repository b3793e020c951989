"""The figures of a repair carry the numbers of the arrays they are drawn from."""

import math
import re

import numpy as np
import pytest
from repair_examples import repaired
from sklearn.metrics import roc_auc_score

from jaxnoisy.report.repair_curves import accuracy_curve, remaining_curve, stages
from jaxnoisy.report.repair_effects import class_colours, embeddings, influence_spread
from jaxnoisy.report.repair_scores import Groups, bars, first_round, groups, score_histograms
from jaxnoisy.report.repair_votes import _share, class_votes


def words(picture):
    return re.findall(r"<text[^>]*>([^<]*)</text>", picture.svg)


def test_accuracy_over_the_rounds_tells_what_was_refused():
    picture = accuracy_curve(stages(repaired(rounds="refused", seen=False)))
    assert "validation: original 60.0 %, round 1 80.0 %, round 2 75.0 % (refused), trained anew 90.0 %." in picture.alt
    assert "test: original 58.0 %, round 1 77.0 %, round 2 72.0 % (refused), trained anew 88.0 %." in picture.alt
    assert {"validation", "test", "validation, refused", "test, refused", "0", "1", "2", "anew"} <= set(words(picture))


def test_without_test_data_there_is_one_line():
    picture = accuracy_curve(stages(repaired(test=False, seen=False)))
    assert "test" not in picture.alt
    assert "test" not in words(picture)


def test_a_single_accuracy_is_no_curve():
    at = stages(repaired(rounds="nothing", anew=False, seen=False))
    assert accuracy_curve(at) is None
    assert remaining_curve(at) is None


def test_what_is_left_is_wrong_labels_where_the_truth_is_known():
    found = repaired(rounds="refused", seen=False)
    flips = found.dataset.flips
    left = np.setdiff1d(np.arange(80), found.rounds[0].removed)
    told = (
        f"original {100 * flips.mean():.1f} %, round 1 {100 * flips[left].mean():.1f} %, "
        f"trained anew {100 * found.noise_after:.1f} %"
    )
    assert told in remaining_curve(stages(found)).alt
    unknown = repaired(rounds="refused", seen=False, truth=False)
    assert f"original 100.0 %, round 1 {100 * len(left) / 80:.1f} %" in remaining_curve(stages(unknown)).alt


def test_examples_are_told_apart_by_the_truth_or_by_the_first_round():
    known = groups(repaired())
    assert known.known
    np.testing.assert_array_equal(known.second, repaired().dataset.flips)
    found = repaired(truth=False)
    assert np.flatnonzero(groups(found).second).tolist() == found.rounds[0].removed.tolist()
    assert groups(found).names == ("kept", "dropped")
    assert first_round(repaired(rounds="none")).names == ("kept", "tried to drop")


def test_all_labels_right_is_no_truth_to_tell_apart_by():
    found = repaired()
    object.__setattr__(found.dataset, "clean_labels", found.dataset.labels)
    assert not groups(found).known


def test_histograms_tell_medians_and_how_well_each_ranks():
    found = repaired()
    seen, parts = found.evidence, groups(found)
    loss, osm = score_histograms(seen.losses, seen.osm, parts)
    z = (seen.losses - seen.losses.mean()) / seen.losses.std()
    for picture, values in ((loss, z), (osm, seen.osm)):
        for name, rows in (("right label", ~parts.second), ("wrong label", parts.second)):
            assert f"{name}: {rows.sum()} examples, median {np.median(values[rows]):.2f}" in picture.alt
        assert f"{100 * roc_auc_score(parts.second, values):.1f}\u00a0% of pairs" in picture.note
        assert {"right label", "wrong label"} <= set(words(picture))
    assert "OSM, in standard deviations from its mean" in words(osm)


def test_the_loss_in_the_place_of_osm_is_drawn_once():
    found = repaired(by_loss=True)
    assert len(score_histograms(found.evidence.losses, found.evidence.osm, groups(found))) == 1


def test_losses_that_are_not_numbers_are_counted():
    found = repaired()
    losses = found.evidence.losses.copy()
    losses[:3] = np.nan, np.inf, np.nan
    picture = score_histograms(losses, found.evidence.osm, groups(found))[0]
    assert "3 values that are not numbers" in picture.note
    assert "nan" not in picture.alt


def test_one_kind_and_one_value_can_be_drawn():
    nobody = Groups(np.zeros(20, bool), ("kept", "dropped"), False)
    for picture in score_histograms(np.ones(20), np.r_[np.zeros(19), 4.0], nobody):
        assert "kept: 20 examples" in picture.alt
        assert "dropped" not in words(picture)


def test_bars_hold_every_value_once():
    values = np.r_[np.linspace(0, 1, 98), -50, 50]
    second = np.arange(100) % 4 == 0
    found = bars(values, second, most=50, within=(0.01, 0.99))
    assert found.first.sum() == 75
    assert found.second.sum() == 25
    assert found.outside == 2
    assert len(found.edges) == 1 + 8 + 10, "few values have fewer bars"
    assert len(bars(np.arange(9999.0), np.zeros(9999, bool), most=50, within=(0.0, 1.0)).edges) == 51


def test_a_logarithmic_axis_shows_a_kind_that_would_be_dwarfed():
    second = np.arange(4000) == 0
    values = np.where(second, 3.0, np.linspace(0, 0.1, 4000))
    assert "examples (log scale)" in words(score_histograms(values, values[::-1], Groups(second, ("a", "b"), True))[0])


def test_votes_of_each_class_are_those_of_the_rule():
    found = repaired()
    seen = found.evidence
    drawn = class_votes(seen.osd, seen.info, groups(found))
    assert [entry.label for entry in drawn] == [0, 1, 2]
    assert sum(entry.votes for entry in drawn) == seen.info.votes.sum()
    for entry in drawn:
        mixture = seen.info.mixtures[entry.label]
        low, high = mixture.means
        assert (
            f"{seen.info.candidates.sum()} candidates; Gaussians around {low:.2f} and {high:.2f}" in entry.picture.alt
        )
        assert f"votes for the {entry.votes} from {low:.2f} on" in entry.picture.alt


def test_classes_that_cannot_vote_have_no_chart():
    seen = repaired().evidence
    info = seen.info._replace(mixtures=(None, seen.info.mixtures[1], None))
    assert [entry.label for entry in class_votes(seen.osd, info, groups(repaired()))] == [1]


def test_the_curve_over_a_bar_is_what_the_gaussian_puts_into_it():
    """Bars side by side hold the whole Gaussian; one that is far wider than it holds all of it."""
    middles = np.arange(-60, 61) * 0.1
    assert _share(middles, 0.1, 0.3, 1.0).sum() == pytest.approx(1, abs=1e-6)
    assert _share(np.array([0.25]), 1.0, 0.0, 1e-6)[0] == pytest.approx(1)
    density = 0.01 * math.exp(-0.5) / math.sqrt(2 * math.pi)
    assert _share(np.array([1.0]), 0.01, 0.0, 1.0)[0] == pytest.approx(density, rel=1e-4)


def test_influence_is_told_by_its_median_deviation():
    found = repaired()
    seen, parts = found.evidence, first_round(found)
    picture = influence_spread(seen.spread_rows, seen.spread, parts)
    deviation, dropped = seen.spread.std(axis=1), parts.second[seen.spread_rows]
    for name, rows in (("kept", ~dropped), ("dropped", dropped)):
        assert f"{name}: {rows.sum()} examples, median deviation {np.median(deviation[rows]):.3g}" in picture.alt
        assert f"{name} ({rows.sum()})" in words(picture)
    assert "Influence on 4 validation examples" in picture.alt


def test_much_influence_is_drawn_in_part():
    nobody = Groups(np.zeros(900, bool), ("kept", "dropped"), False)
    picture = influence_spread(np.arange(900), np.ones((900, 2), np.float32), nobody)
    assert "At most 400 examples on either side" in picture.note
    assert influence_spread(np.zeros(0, int), np.zeros((0, 2), np.float32), nobody) is None


def test_maps_tell_how_many_lie_among_their_own():
    """On a line 0 1 | 10 11 | 20 21 the nearest of each is its partner; the second pair has different labels."""
    places = np.stack([[0.0, 1, 10, 11, 20, 21], np.zeros(6)], axis=1)
    labels, dropped = np.array([0, 0, 0, 1, 1, 1]), np.array([False, False, True, True, False, False])
    found = embeddings(np.arange(6), places, places[::-1], labels, dropped, 2)
    assert "6 examples, 2 of them dropped" in found.before.alt
    assert "Of the kept, 100 % lie nearest" in found.before.alt
    assert "Of the dropped, 0 % lie nearest" in found.before.alt
    assert (found.drawn, found.dropped) == (6, 2)
    assert embeddings(np.zeros(0, int), places[:0], places[:0], labels, dropped, 2) is None


@pytest.mark.parametrize("c", [2, 10, 20, 21, 200])
def test_classes_have_colours_of_their_own(c):
    assert len(set(class_colours(c))) == c
