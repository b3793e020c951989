import numpy as np
import pytest
from scipy import stats
from sklearn.mixture import GaussianMixture

from jaxnoisy.stats import two_gaussians


def two_groups(n0=900, n1=100, gap=8.0, spread=2.0, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(0, 1, n0), rng.normal(gap, spread, n1)])


def posterior(fit, x):
    dense = fit.weights * stats.norm.pdf(np.asarray(x)[..., None], fit.means, np.sqrt(fit.variances))
    return dense[..., 1] / dense.sum(axis=-1)


def test_recovers_what_was_drawn():
    fit = two_gaussians(two_groups(40_000, 10_000))
    np.testing.assert_allclose(fit.means, [0, 8], atol=0.1)
    np.testing.assert_allclose(fit.variances, [1, 4], rtol=0.06)
    np.testing.assert_allclose(fit.weights, [0.8, 0.2], atol=0.01)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.5, 1.0, 3.0])
def test_posteriors_are_equal_at_the_threshold_and_part_around_it(seed, spread):
    fit = two_gaussians(two_groups(spread=spread, seed=seed))
    assert fit.means[0] < fit.threshold < fit.means[1]
    assert posterior(fit, fit.threshold) == pytest.approx(0.5, abs=1e-9)
    between = np.linspace(*fit.means, 200)
    np.testing.assert_array_equal(posterior(fit, between) > 0.5, between > fit.threshold)


def test_equal_variances_cross_where_the_textbook_says():
    fit = two_gaussians(two_groups(20_000, 20_000, gap=6, spread=1))
    v = fit.variances.mean()
    midpoint = fit.means.mean() + v * np.log(fit.weights[0] / fit.weights[1]) / np.diff(fit.means)[0]
    assert fit.threshold == pytest.approx(midpoint, abs=0.02)


def test_agrees_with_scikit_learn_from_its_own_start():
    x = two_groups()
    reference = GaussianMixture(2, n_init=5, tol=1e-8, max_iter=1000, random_state=3).fit(x[:, None])
    order = np.argsort(reference.means_[:, 0])
    fit = two_gaussians(x)
    np.testing.assert_allclose(fit.means, reference.means_[order, 0], atol=0.02)
    np.testing.assert_allclose(fit.variances, reference.covariances_[order, 0, 0], rtol=0.02)


def test_order_does_not_matter_and_repeats_are_equal():
    x = two_groups()
    shuffled = np.random.default_rng(1).permutation(x)
    for a, b in zip(two_gaussians(x), two_gaussians(shuffled), strict=True):
        np.testing.assert_array_equal(a, b)


def test_shift_and_scale_carry_over():
    x = two_groups()
    fit, moved = two_gaussians(x), two_gaussians(3 * x - 50)
    assert moved.threshold == pytest.approx(3 * fit.threshold - 50, rel=1e-6)
    np.testing.assert_allclose(moved.variances, 9 * fit.variances, rtol=1e-6)
    assert moved.separation == pytest.approx(fit.separation, rel=1e-6)


def test_large_inputs_are_fitted_on_their_quantiles():
    x = two_groups(180_000, 20_000)
    assert two_gaussians(x).threshold == pytest.approx(two_gaussians(x[::20]).threshold, abs=0.15)


def test_a_split_finds_the_small_group_it_points_at():
    rng = np.random.default_rng(0)
    skewed = -4 - rng.gamma(2, 2, 1900)  # a long left tail is the likelier second component
    x = np.concatenate([skewed, rng.normal(6, 1, 60)])
    fit = two_gaussians(x, split=2.0)
    assert fit.weights[1] * len(x) == pytest.approx(60, abs=3)
    assert fit.means[1] == pytest.approx(6, abs=0.5)
    assert two_gaussians(x).weights.min() * len(x) > 200


@pytest.mark.parametrize(
    "values",
    [np.full(50, 3.0), np.array([1.0]), np.arange(7.0), np.full(20, 1e8) + np.arange(20) * 1e-8],
    ids=["equal", "one", "few", "equal to rounding"],
)
def test_nothing_lies_above_the_threshold_of_what_cannot_be_fitted(values):
    fit = two_gaussians(values)
    assert not (values > fit.threshold).any()
    np.testing.assert_array_equal(fit.weights, [1, 0])
    assert fit.separation == 0


def test_a_split_outside_the_values_fits_nothing():
    x = two_groups()
    assert two_gaussians(x, split=1e3).threshold == x.max()
    assert two_gaussians(x, split=-1e3).weights.tolist() == [1, 0]


def test_two_distinct_values_part():
    x = np.repeat([0.0, 1.0], [90, 10])
    fit = two_gaussians(x)
    np.testing.assert_array_equal(x > fit.threshold, x == 1)


def test_one_gaussian_is_not_called_apart():
    assert two_gaussians(np.random.default_rng(0).normal(size=3000)).separation < 2.5
    assert two_gaussians(two_groups()).separation > 4


@pytest.mark.parametrize("bad", [np.array([]), np.zeros((3, 2)), np.array([1.0] * 9 + [np.nan])])
def test_bad_values_are_refused(bad):
    with pytest.raises(ValueError, match="values"):
        two_gaussians(bad)
