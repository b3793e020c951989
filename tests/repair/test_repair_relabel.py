"""New labels for what was dropped."""

import numpy as np
import pytest

from jaxnoisy.repair import relabel

PROBS = np.array([[0.1, 0.85, 0.05], [0.4, 0.4, 0.2], [0.0, 0.1, 0.9], [0.8, 0.1, 0.1], [0.81, 0.1, 0.09]], np.float64)
GIVEN = np.array([0, 2, 0, 0, 0])


def test_dropped_examples_take_the_most_probable_class_and_the_others_keep_theirs():
    found = relabel()(PROBS, GIVEN, np.array([True, True, False, False, False]))
    assert found.labels.tolist() == [1, 0, 0, 0, 0]  # of two equally probable classes the first
    assert found.labels.dtype == np.int32
    assert found.confidence.tolist() == pytest.approx([0.85, 0.4, 0.0, 0.8, 0.81])
    assert found.confidence.dtype == np.float32


def test_the_given_label_of_what_was_never_dropped_is_judged_as_well():
    """Row 2 was not dropped; the classifier gives its label no probability. 0.8 is not above 0.8."""
    found = relabel(threshold=0.8)(PROBS, GIVEN, np.array([True, True, False, False, False]))
    assert found.kept.tolist() == [True, False, False, False, True]


def test_a_threshold_of_zero_keeps_all_that_is_possible_at_all():
    found = relabel(threshold=0.0)(PROBS, GIVEN, np.zeros(5, bool))
    assert found.kept.tolist() == [True, True, False, True, True]
    np.testing.assert_array_equal(found.labels, GIVEN)


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_a_threshold_that_no_probability_can_pass_is_refused(threshold):
    with pytest.raises(ValueError, match=r"threshold must lie in \[0, 1\)"):
        relabel(threshold=threshold)


@pytest.mark.parametrize(
    ("probs", "labels", "removed", "says"),
    [
        (np.log(PROBS + 1e-9), GIVEN, np.zeros(5, bool), "not a distribution"),
        (PROBS, GIVEN[:4], np.zeros(5, bool), "4 entries for 5 examples"),
        (PROBS, GIVEN + 1, np.zeros(5, bool), r"labels\[1\] is 3, but there are 3 classes"),
        (PROBS, GIVEN, np.zeros(4, bool), r"removed must be bool of shape \(5,\)"),
        (PROBS, GIVEN, np.array([0, 1]), "removed must be bool"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(probs, labels, removed, says):
    with pytest.raises(ValueError, match=says):
        relabel()(probs, labels, removed)
