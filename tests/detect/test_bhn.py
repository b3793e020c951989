"""BHN: clean examples say which losses are too large for a right label."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from jaxnoisy.detect import bhn


def drawn(rng, n, m, *, wrong=0.3, models=1, ties=False):
    """Scores of n examples and of m clean ones: right labels score as clean ones do, wrong ones higher."""
    flips = rng.random(n) < wrong
    judges = rng.integers(0, models, n)
    # Models differ in the scale of their scores.
    scale, shift = 1 + np.arange(models), 10.0 * np.arange(models)
    scores = (rng.normal(size=n) + 3 * flips) * scale[judges] + shift[judges]
    clean = rng.normal(size=(models, m)) * scale[:, None] + shift[:, None]
    if ties:
        scores, clean = np.floor(scores), np.floor(clean)
    return scores, clean, judges, flips


@pytest.mark.parametrize("ties", [False, True], ids=["continuous", "ties"])
@pytest.mark.parametrize("models", [1, 2])
@pytest.mark.parametrize("level", [0.1, 0.3])
def test_the_false_discovery_rate_holds(level, models, ties):
    rng = np.random.default_rng(0)
    rounds, wrong, shares, found = 300, 0.3, [], []
    detect = bhn(level=level)
    for _ in range(rounds):
        scores, clean, judges, flips = drawn(rng, 200, 150, wrong=wrong, models=models, ties=ties)
        flagged = detect(scores, clean, judges).flagged
        shares.append((flagged & ~flips).sum() / max(1, flagged.sum()))
        found.append((flagged & flips).sum() / flips.sum())
    error = np.std(shares) / np.sqrt(rounds)
    assert np.mean(shares) <= level * (1 - wrong) + 4 * error
    assert np.mean(found) > 0.5


def test_nothing_wrong_is_hardly_ever_flagged():
    """Then every flag is false, and the false discovery rate is the chance of any."""
    rng = np.random.default_rng(1)
    rounds = 500
    any_flagged = [bhn(level=0.2)(rng.normal(size=50), rng.normal(size=200)).flagged.any() for _ in range(rounds)]
    assert np.mean(any_flagged) <= 0.2 + 4 * np.sqrt(0.2 * 0.8 / rounds)


def test_against_its_definition_through_scipy():
    scores, clean, _, _ = drawn(np.random.default_rng(2), 80, 40)
    p = np.array([(1 + (clean[0] >= s).sum()) / 41 for s in scores])
    found = bhn(level=0.2)(scores, clean[0])
    np.testing.assert_allclose(found.info.p_values, p, rtol=1e-15)
    np.testing.assert_array_equal(found.flagged, false_discovery_control(p) <= 0.2)
    np.testing.assert_array_equal(found.scores, scores)
    assert found.flagged.any()
    assert not found.flagged.all()


@pytest.mark.parametrize("level", [0.001, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("ties", [False, True])
def test_one_model_has_one_threshold(level, ties):
    for seed in range(10):
        scores, clean, _, _ = drawn(np.random.default_rng(seed), 60, 30, ties=ties)
        found = bhn(level=level)(scores, clean[0])
        np.testing.assert_array_equal(found.flagged, found.scores > found.threshold)
        assert np.isfinite(found.threshold)


def test_several_models_are_each_compared_with_their_own_clean_scores():
    rng = np.random.default_rng(3)
    scores, clean, judges, _ = drawn(rng, 100, 50, models=3)
    found = bhn()(scores, clean, judges)
    assert found.threshold is None
    for k in range(3):
        alone = bhn()(scores[judges == k], clean[k])
        np.testing.assert_array_equal(found.info.p_values[judges == k], alone.info.p_values)
    relabelled = bhn()(scores, clean[[2, 0, 1]], np.array([1, 2, 0])[judges])
    np.testing.assert_array_equal(relabelled.flagged, found.flagged)


def test_few_clean_examples_can_flag_only_many():
    scores = np.concatenate([np.zeros(95), np.full(5, 9.0)])
    clean = np.linspace(-1, 1, 99)
    found = bhn(level=0.1)(scores, clean)
    assert found.info.enough == 10
    assert not found.flagged.any()
    assert found.info.largest == 0
    more = bhn(level=0.1)(np.concatenate([np.zeros(90), np.full(10, 9.0)]), clean)
    assert more.info.enough == 10
    assert more.flagged.sum() == 10


@pytest.mark.parametrize(
    ("scores", "clean", "judges", "message"),
    [
        (np.zeros(3), np.zeros((2, 3)), None, r"shapes \(3,\), \(2, 3\) and None"),
        (np.zeros(0), np.zeros(3), None, "n >= 1"),
        (np.zeros(3), np.zeros(0), None, "m >= 1"),
        (np.zeros(3), np.zeros((2, 3)), np.zeros(2, int), r"and \(2,\)"),
        (np.zeros(3), np.zeros((2, 3)), np.array([0, 1, 2]), "integers from 0 to 1"),
        (np.zeros(3), np.zeros((2, 3)), np.zeros(3), "integers from 0 to 1"),
        (np.array([0, np.nan]), np.zeros(3), None, r"scores \(did training diverge\?\)"),
        (np.zeros(2), np.array([0, np.inf]), None, r"calibration \(did training diverge\?\)"),
    ],
)
def test_refusals(scores, clean, judges, message):
    with pytest.raises(ValueError, match=message):
        bhn()(scores, clean, judges)


@pytest.mark.parametrize("level", [0.0, 1.0, -1, float("nan")])
def test_levels_out_of_range(level):
    with pytest.raises(ValueError, match=r"level must lie in \(0, 1\)"):
        bhn(level=level)
