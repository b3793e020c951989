import numpy as np
import pytest

from jaxnoisy.detect import rules


def test_above_is_strict():
    flags = rules.above(1.0)(np.array([0.0, 1.0, 1.5]))
    assert flags.flagged.tolist() == [False, False, True]
    assert flags.threshold == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_above_needs_a_finite_value(value):
    with pytest.raises(ValueError, match="finite"):
        rules.above(value)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 0.5, 0.999, 1.0])
def test_top_fraction_flags_that_share(rate):
    scores = np.random.default_rng(0).permutation(200).astype(float)
    flags = rules.top_fraction(rate)(scores)
    assert flags.flagged.sum() == round(rate * 200)
    assert set(scores[flags.flagged]) == set(np.sort(scores)[200 - round(rate * 200) :])
    np.testing.assert_array_equal(flags.flagged, scores > flags.threshold)


def test_top_fraction_leaves_ties_at_the_boundary_out():
    assert rules.top_fraction(0.5)(np.array([3.0, 2.0, 2.0, 1.0])).flagged.tolist() == [True, False, False, False]
    assert not rules.top_fraction(0.5)(np.ones(10)).flagged.any()


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_top_fraction_refuses_rates_that_are_none(rate):
    with pytest.raises(ValueError, match="rate"):
        rules.top_fraction(rate)


@pytest.mark.parametrize(
    ("scale", "scores"),
    [
        (rules.LINEAR, np.linspace(-9, 9, 50)),
        (rules.log_odds(), np.linspace(0.001, 0.999, 50)),
        (rules.log_odds(-1, 1), np.linspace(-0.99, 0.99, 50)),
        (rules.LOSS_ODDS, np.geomspace(1e-4, 80, 50)),
    ],
    ids=["linear", "unit", "margin", "loss"],
)
def test_a_scale_increases_and_has_its_inverse(scale, scores):
    stretched = scale.stretch(scores)
    assert (np.diff(stretched) > 0).all()
    np.testing.assert_allclose([scale.shrink(float(v)) for v in stretched], scores, rtol=1e-9, atol=1e-9)


def test_losses_stretch_to_the_log_odds_of_their_probability():
    p = np.array([0.9, 0.5, 0.01])
    np.testing.assert_allclose(rules.LOSS_ODDS.stretch(-np.log(p)), np.log((1 - p) / p), atol=1e-12)


def test_saturated_scores_stay_finite():
    assert np.isfinite(rules.log_odds().stretch(np.array([0.0, 1.0]))).all()
    assert np.isfinite(rules.LOSS_ODDS.stretch(np.array([0.0, 1e4]))).all()


def test_log_odds_needs_a_range():
    with pytest.raises(ValueError, match="below"):
        rules.log_odds(1.0, 1.0)


def skewed_margins(n=2000, seed=0):
    """Minus the margins of right labels only: all negative, with a long tail of easy examples."""
    return -1.5 - np.random.default_rng(seed).gamma(3, 3, n)


def test_the_plain_mixture_flags_a_large_share_of_clean_scores_and_the_guarded_one_none():
    scores = skewed_margins()
    assert rules.mixture()(scores).flagged.mean() > 0.1
    assert not rules.mixture(floor=0.0)(scores).flagged.any()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("wrong", [0, 3, 60, 400, 800])
def test_the_guarded_mixture_flags_about_what_is_wrong(seed, wrong):
    rng = np.random.default_rng(seed + 10)
    scores = np.concatenate([skewed_margins(2000 - wrong, seed), rng.normal(6, 2.5, wrong)])
    flags = rules.mixture(floor=0.0)(scores)
    # The long tail of easy examples widens the lower component, which errs towards flagging too few.
    assert 0.6 * wrong <= flags.flagged.sum() <= 1.15 * wrong + 3
    assert (flags.flagged[: 2000 - wrong]).sum() <= 0.05 * wrong
    np.testing.assert_array_equal(flags.flagged, scores > flags.threshold)


def test_a_trusted_crossing_is_the_threshold_and_an_untrusted_one_is_not():
    rng = np.random.default_rng(0)
    apart = np.concatenate([rng.normal(-8, 2, 900), rng.normal(5, 1, 100)])
    flags = rules.mixture(floor=0.0)(apart)
    assert flags.info.trusted
    assert flags.threshold == flags.info.fit.threshold != 0
    one = rng.normal(-1, 1, 1000)
    flags = rules.mixture(floor=0.0)(one)
    assert not flags.info.trusted
    assert flags.threshold == 0


def test_the_far_tail_alone_is_not_the_suspicious_group():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(-3, 1, 900), rng.normal(1, 1, 90), rng.normal(40, 1, 10)])
    flags = rules.mixture(floor=0.0)(scores)
    assert not flags.info.trusted
    assert flags.flagged.sum() > 70


def test_equal_scores_flag_none():
    for rule in (rules.mixture(), rules.mixture(floor=0.25), rules.mixture(floor=0.5, scale=rules.log_odds())):
        assert not rule(np.full(100, 0.25)).flagged.any()


def test_equal_scores_above_the_floor_are_all_flagged():
    assert rules.mixture(floor=0.0)(np.full(100, 0.25)).flagged.all()


def test_a_linear_scaling_changes_nothing():
    rng = np.random.default_rng(0)
    losses = np.concatenate([rng.gamma(1, 0.3, 900), rng.gamma(9, 0.5, 100)])
    unit = (losses - losses.min()) / np.ptp(losses)
    np.testing.assert_array_equal(rules.mixture()(losses).flagged, rules.mixture()(unit).flagged)
