"""Minimum covariance determinant: against scikit-learn, against outliers, and what must not change it."""

import numpy as np
import pytest
from sklearn.covariance import MinCovDet
from sklearn.covariance import oas as oas_of_sklearn

from jaxnoisy.stats import mcd
from jaxnoisy.stats.covariance import oas, shrink, whitener

FIT = mcd(support=0.7)


def contaminated(n=300, d=4, share=0.25, away=8.0, seed=0):
    """Correlated Gaussians about 0, of which the first ones lie ``away`` deviations off in each feature."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    x[: int(share * n)] += away
    return x @ rng.normal(size=(d, d)).T


def log_determinant(x):
    return np.linalg.slogdet(np.cov(x.T, bias=True))[1]


@pytest.mark.parametrize("d", [2, 3, 5])
@pytest.mark.parametrize("away", [0.0, 10.0])
def test_the_determinant_is_about_as_small_as_scikit_learn_s(d, away):
    x = contaminated(d=d, away=away)
    ours, theirs = FIT(x), MinCovDet(support_fraction=0.7, random_state=0).fit(x)
    assert ours.support.sum() == theirs.raw_support_.sum() == 210
    assert ours.log_determinant == pytest.approx(log_determinant(x[ours.support]), abs=1e-9)
    # Both are local minima: where the examples alone decide, at the edge of the bulk, several differ by thousandths.
    assert ours.log_determinant <= log_determinant(x[theirs.raw_support_]) + (1e-9 if away and d == 2 else 0.01)
    if away and d == 2:
        np.testing.assert_allclose(ours.location, theirs.raw_location_, atol=1e-9)


@pytest.mark.parametrize("away", [6.0, 100.0])
def test_outliers_that_move_the_mean_leave_the_support(away):
    x = contaminated(away=away)
    found = FIT(x)
    assert not found.support[:75].any()
    clean = x[75:]
    errors = [np.linalg.solve(np.linalg.cholesky(np.cov(clean.T)), m) for m in (found.location, x.mean(axis=0))]
    assert np.linalg.norm(errors[0]) < 0.3
    assert np.linalg.norm(errors[1]) > 2.5  # a quarter of 4 features' displacement
    assert log_determinant(x) > 3 + log_determinant(clean) > 3 + found.log_determinant


def test_what_is_returned_is_of_the_support():
    x = contaminated()
    found = FIT(x)
    np.testing.assert_allclose(found.location, x[found.support].mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(x[found.support].T, bias=True), atol=1e-10)
    distances = np.linalg.solve(np.linalg.cholesky(found.covariance), (x - found.location).T)
    order = np.argsort((distances**2).sum(axis=0))
    np.testing.assert_array_equal(np.sort(order[:210]), np.flatnonzero(found.support))  # no step changes it
    assert found.shrinkage == 0


def test_affine_maps_carry_it_along():
    x = contaminated(away=3.0)
    a = np.random.default_rng(5).normal(size=(4, 4)) * [1.0, 10.0, 0.1, 3.0]
    plain, mapped = FIT(x), FIT(x @ a.T + 7)
    np.testing.assert_array_equal(mapped.support, plain.support)
    np.testing.assert_allclose(mapped.location, a @ plain.location + 7, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(mapped.covariance, a @ plain.covariance @ a.T, rtol=1e-7, atol=1e-8)
    expected = plain.log_determinant + 2 * np.linalg.slogdet(a)[1]
    assert mapped.log_determinant == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("d", [4, 60])
def test_the_order_of_the_examples_does_not_matter(d):
    """60 features are more than the 42 examples kept: the covariance is shrunk."""
    x = contaminated(n=60, d=d)
    order = np.random.default_rng(1).permutation(60)
    plain, permuted = FIT(x), FIT(x[order])
    np.testing.assert_array_equal(permuted.support, plain.support[order])
    np.testing.assert_allclose(permuted.location, plain.location, atol=1e-9)
    assert (plain.shrinkage > 0) == (d == 60)


def test_everything_is_kept_at_support_1():
    x = contaminated()
    found = mcd(support=1.0)(x)
    assert found.support.all()
    np.testing.assert_allclose(found.covariance, np.cov(x.T, bias=True), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("support", "kept"), [(0.5, 10), (0.7, 14), (0.71, 15), (None, 12), (1.0, 20)])
def test_how_many_are_kept(support, kept):
    assert mcd(support=support)(contaminated(n=20, d=3)).support.sum() == kept


def test_more_features_than_examples():
    """Distances in the span of the examples are those in all directions, and far outliers go."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 90))
    x[:8] += 10
    found = FIT(x)
    assert not found.support[:8].any()
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    matrix = (1 - found.shrinkage) * np.cov(z[found.support].T, bias=True) + found.shrinkage * np.eye(90)
    assert found.log_determinant == pytest.approx(np.linalg.slogdet(matrix)[1], rel=1e-9)
    centred = z - z[found.support].mean(axis=0)
    distances = np.einsum("ij,jk,ik->i", centred, np.linalg.inv(matrix), centred)
    np.testing.assert_array_equal(np.sort(np.argsort(distances)[:28]), np.flatnonzero(found.support))


def test_features_that_repeat_or_are_constant():
    x = contaminated()
    plain = FIT(x)
    with_constant = FIT(np.column_stack([x, np.full(300, 0.1)]))
    np.testing.assert_array_equal(with_constant.support, plain.support)
    assert with_constant.log_determinant == pytest.approx(plain.log_determinant, abs=1e-9)
    np.testing.assert_allclose(with_constant.covariance[-1], 0, atol=1e-20)
    repeated = FIT(np.column_stack([x, x[:, 0] + x[:, 1]]))
    assert repeated.shrinkage > 0
    assert not repeated.support[:75].any()


def test_a_plane_that_most_examples_lie_on():
    """The determinant of the support is 0 there: those off the plane go."""
    x = contaminated(away=0.0)
    x[75:, 0] = 0
    found = FIT(x)
    assert not found.support[:75].any()
    assert np.isfinite(found.log_determinant)


@pytest.mark.parametrize("x", [np.ones((1, 3)), np.ones((7, 3)), np.repeat([[1.0, 2], [3, 1]], 20, axis=0)])
def test_duplicates_give_finite_results(x):
    found = FIT(x)
    assert np.isfinite(found.location).all()
    assert np.isfinite(found.covariance).all()
    assert found.support.sum() == (len(x) if len(np.unique(x, axis=0)) == 1 else 28)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.ones(3), r"shape \(n, d\) with n, d >= 1, but has shape \(3,\)"),
        (np.ones((0, 3)), r"but has shape \(0, 3\)"),
        (np.array([[1.0], [np.nan]]), "x has 1 values that are not finite"),
    ],
)
def test_bad_examples_are_refused(x, says):
    with pytest.raises(ValueError, match=says):
        FIT(x)


@pytest.mark.parametrize("support", [0.49, 1.01, float("nan")])
def test_bad_shares_are_refused(support):
    with pytest.raises(ValueError, match=r"support must lie in \[0.5, 1\]"):
        mcd(support=support)


@pytest.mark.parametrize(("n", "d"), [(50, 7), (10, 30)])
def test_the_share_of_the_identity_is_scikit_learn_s(n, d):
    x = np.random.default_rng(2).normal(size=(n, d)) * np.arange(1, d + 1)
    x -= x.mean(axis=0)
    assert oas(x.T @ x / n, n) == pytest.approx(oas_of_sklearn(x)[1], rel=1e-12)


def test_whitening():
    covariance = np.cov(contaminated().T)
    white = whitener(covariance)
    np.testing.assert_allclose(white.matrix @ covariance @ white.matrix.T, np.eye(4), atol=1e-10)
    assert white.log_determinant == pytest.approx(np.linalg.slogdet(covariance)[1])
    flat = np.ones((2, 2)) + 1e-12 * np.eye(2)
    assert whitener(flat) is None
    assert whitener(np.diag([1.0, 0.0])) is None
    assert whitener(shrink(flat, 0.1)).log_determinant == pytest.approx(np.log(1 - 0.9**2))
