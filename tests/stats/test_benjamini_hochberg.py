"""Which hypotheses to reject."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control, norm

from jaxnoisy.stats import benjamini_hochberg


@pytest.mark.parametrize("n", [1, 2, 37, 500])
def test_adjusted_p_values_are_scipys(n):
    rng = np.random.default_rng(n)
    p = rng.uniform(size=n) ** rng.integers(1, 5, n)
    p[rng.integers(0, n, n // 3)] = 0.125  # ties
    found = benjamini_hochberg(p, level=0.2)
    np.testing.assert_allclose(found.adjusted, false_discovery_control(p), rtol=1e-12)
    np.testing.assert_array_equal(found.rejected, found.adjusted <= 0.2)
    np.testing.assert_array_equal(found.rejected, p <= found.threshold)


def test_by_its_definition():
    """The largest k for which k of the p-values are at most level k / n."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        p = rng.uniform(size=12) ** 3
        k = max((k for k in range(13) if (p <= 0.25 * k / 12).sum() >= k), default=0)
        assert benjamini_hochberg(p, level=0.25).rejected.sum() == k


def test_rounding_does_not_decide_on_the_line():
    # 0.1 * 3 is a little more than 0.3, and 3 / 30 is 0.1.
    p = np.array([1, 2, 3]) / 10
    assert benjamini_hochberg(p, level=0.3).rejected.all()
    for m in range(2, 200):
        assert benjamini_hochberg(np.array([1 / (m + 1), 1.0]), level=2 / (m + 1)).rejected.tolist() == [True, False]


def test_nothing_to_reject():
    found = benjamini_hochberg(np.array([0.5, 0.9, 1.0]))
    assert not found.rejected.any()
    assert found.threshold == 0


@pytest.mark.parametrize("true_share", [1.0, 0.5])
def test_the_false_discovery_rate_of_independent_p_values_is_the_level_times_the_share_of_true_hypotheses(true_share):
    rng = np.random.default_rng(4)
    n, rounds, level = 60, 2000, 0.2
    true = np.arange(n) < true_share * n
    shares = []
    for _ in range(rounds):
        rejected = benjamini_hochberg(norm.sf(rng.normal(np.where(true, 0, 2.5))), level=level).rejected
        shares.append((rejected & true).sum() / max(1, rejected.sum()))
    error = np.std(shares) / np.sqrt(rounds)
    assert abs(np.mean(shares) - level * true_share) < 4 * error


@pytest.mark.parametrize(
    ("p", "level", "message"),
    [
        (np.zeros(0), 0.1, r"shape \(n,\) with n >= 1"),
        (np.zeros((2, 2)), 0.1, r"shape \(2, 2\)"),
        (np.array([0.5, 1.5]), 0.1, r"p_values\[1\] is 1.5"),
        (np.array([0.5, np.nan]), 0.1, r"p_values\[1\] is nan"),
        (np.array([0.5]), 0.0, "level must lie in"),
    ],
)
def test_refusals(p, level, message):
    with pytest.raises(ValueError, match=message):
        benjamini_hochberg(p, level=level)
