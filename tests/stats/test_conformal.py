"""Conformal p-values: how extreme a score is among ordinary ones."""

import numpy as np
import pytest

from jaxnoisy.stats import conformal_p_values


def test_against_counting_with_ties():
    rng = np.random.default_rng(0)
    scores, clean = rng.integers(0, 6, 40).astype(float), rng.integers(0, 6, 17).astype(float)
    expected = [(1 + sum(c >= s for c in clean)) / 18 for s in scores]
    np.testing.assert_allclose(conformal_p_values(scores, clean), expected, rtol=1e-15)


def test_only_the_order_counts():
    rng = np.random.default_rng(1)
    scores, clean = rng.normal(size=30), rng.normal(size=20)
    np.testing.assert_array_equal(conformal_p_values(np.exp(scores), np.exp(clean)), conformal_p_values(scores, clean))
    shuffled = clean[rng.permutation(20)]
    np.testing.assert_array_equal(conformal_p_values(scores, shuffled), conformal_p_values(scores, clean))


@pytest.mark.parametrize("distinct", [None, 4], ids=["continuous", "ties"])
def test_small_p_values_of_exchangeable_scores_are_no_more_frequent_than_they_say(distinct):
    rng = np.random.default_rng(2)
    draws, m = 20_000, 19
    scores = rng.normal(size=(draws, m + 1))
    if distinct:
        scores = np.floor(distinct * scores)
    p = np.array([conformal_p_values(row[:1], row[1:])[0] for row in scores])
    levels = np.arange(1, m + 2) / (m + 1)
    below = (p[:, None] <= levels + 1e-12).mean(axis=0)
    error = np.sqrt(levels * (1 - levels) / draws)
    assert (below <= levels + 4 * error).all()
    if not distinct:
        assert (below >= levels - 4 * error).all()


@pytest.mark.parametrize(
    ("scores", "clean", "message"),
    [
        (np.zeros(2), np.zeros(0), "no calibration scores"),
        (np.zeros((2, 1)), np.zeros(3), r"scores must have one axis.*\(2, 1\)"),
        (np.zeros(2), np.zeros((1, 3)), r"calibration must have one axis.*\(1, 3\)"),
        (np.array([1.0, np.nan]), np.zeros(3), "scores has 1 values that are not finite"),
        (np.zeros(2), np.array([np.inf]), "calibration has 1 values that are not finite"),
    ],
)
def test_refusals(scores, clean, message):
    with pytest.raises(ValueError, match=message):
        conformal_p_values(scores, clean)
