"""Which flagged examples may be dropped."""

import numpy as np
import pytest

from jaxnoisy.detect import Detection, ranking
from jaxnoisy.repair import drop

LABELS = np.array([0, 0, 0, 1, 1, 2])


def detection(flagged, scores=None):
    flagged = np.asarray(flagged, bool)
    return Detection(np.linspace(1, 0, len(flagged)) if scores is None else np.asarray(scores), flagged, None)


def test_without_a_floor_all_that_is_flagged_goes():
    found = drop()(detection([1, 0, 1, 1, 0, 0]), LABELS)
    assert found.rows.tolist() == [True, False, True, True, False, False]
    assert found.emptied == ()
    assert found.spared == 0


def test_emptied_classes_are_named():
    assert drop()(detection([1, 1, 1, 0, 1, 1]), LABELS).emptied == (0, 2)


def test_a_class_without_examples_is_not_emptied():
    assert drop()(detection([1, 0, 0]), np.array([0, 0, 2])).emptied == ()


def test_the_floor_spares_the_least_suspicious_of_each_class():
    scores = [0.5, 0.9, 0.7, 0.2, 0.3, 0.8]
    found = drop(class_floor=1)(detection([1, 1, 1, 1, 1, 1], scores), LABELS)
    assert found.rows.tolist() == [False, True, True, False, True, False]
    assert found.emptied == ()
    assert found.spared == 3


def test_what_is_not_flagged_counts_towards_the_floor_whatever_its_score():
    found = drop(class_floor=1)(detection([1, 0, 1, 0, 0, 0], [0.1, 9.0, 0.2, 0, 0, 0]), LABELS)
    assert found.rows.tolist() == [True, False, True, False, False, False]
    assert found.spared == 0


@pytest.mark.parametrize("floor", [1, 2, 5])
def test_the_floor_is_the_last_of_each_class_by_rank(floor):
    rng = np.random.default_rng(floor)
    labels, scores, flagged = rng.integers(0, 4, 60), rng.normal(size=60).round(1), rng.random(60) < 0.8
    found = drop(class_floor=floor)(detection(flagged, scores), labels)
    order = ranking(detection(flagged, scores))
    for k in range(4):
        members = [int(i) for i in order if labels[i] == k]
        protected = members[len(members) - min(floor, len(members)) :]
        assert {i for i in members if found.rows[i]} == {i for i in members if flagged[i]} - set(protected)


@pytest.mark.parametrize("floor", [0, -1, 1.5, True])
def test_a_floor_below_one_is_refused(floor):
    with pytest.raises(ValueError, match="class_floor must be a whole number >= 1"):
        drop(class_floor=floor)


def test_labels_of_other_examples_are_refused():
    with pytest.raises(ValueError, match="6 entries for 2 examples"):
        drop()(detection([1, 0]), LABELS)
