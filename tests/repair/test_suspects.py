"""Which examples a repair in one pass takes."""

import numpy as np
import pytest

from jaxnoisy.detect import Detection
from jaxnoisy.repair import suspects

SCORES = np.array([0.9, 0.1, 0.4, 0.4, 0.8, 0.2])
FOUND = Detection(SCORES, SCORES > 0.5, 0.5)


def test_without_a_choice_the_detector_s_flags_stay():
    assert suspects()(FOUND) is FOUND


def test_a_share_is_exact_and_ties_go_by_rows():
    found = suspects(fraction=0.5)(FOUND)
    np.testing.assert_array_equal(found.flagged, [True, False, True, False, True, False])
    assert found.threshold is None
    np.testing.assert_array_equal(found.scores, SCORES)


@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.77, 0.99])
def test_a_share_is_the_most_suspicious(fraction):
    scores = np.random.default_rng(0).random(1000)
    flagged = suspects(fraction=fraction)(Detection(scores, scores > 0.9, None)).flagged
    assert flagged.sum() == round(1000 * fraction)
    assert scores[flagged].min() > scores[~flagged].max()


def test_a_threshold_is_in_the_units_of_the_scores():
    found = suspects(threshold=0.2)(FOUND)
    np.testing.assert_array_equal(found.flagged, SCORES > 0.2)
    assert found.threshold == 0.2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"fraction": 0.1, "threshold": 0.5}, "a fraction or a threshold, not both"),
        ({"fraction": 0.0}, r"fraction must lie in \(0, 1\)"),
        ({"fraction": 1.0}, r"fraction must lie in \(0, 1\)"),
        ({"threshold": float("nan")}, "threshold must be finite"),
    ],
)
def test_choices_out_of_range(options, says):
    with pytest.raises(ValueError, match=says):
        suspects(**options)


def test_scores_must_be_finite():
    with pytest.raises(ValueError, match="not finite"):
        suspects(fraction=0.5)(Detection(np.array([np.nan, 1.0]), np.zeros(2, bool), None))
