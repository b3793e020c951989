"""Weights that mix distributions best."""

import numpy as np
import pytest
from scipy.optimize import minimize

from jaxnoisy.stats import mixing_weights


def nll(weights, log_p):
    return -np.mean(np.log(np.exp(log_p) @ weights))


def test_no_weights_are_better():
    """Against a general solver, and within the gap that is claimed."""
    rng = np.random.default_rng(0)
    log_p = np.log(rng.beta(1, 2, size=(80, 4)))
    found = mixing_weights(log_p, tolerance=1e-7)
    other = minimize(
        nll, np.full(4, 0.25), (log_p,), method="SLSQP", bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1}, options={"ftol": 1e-12},
    )  # fmt: skip
    assert found.gap <= 1e-7
    assert nll(found.weights, log_p) <= nll(other.x / other.x.sum(), log_p) + 1e-7
    np.testing.assert_allclose(found.weights, other.x, atol=5e-3)
    assert found.weights.sum() == pytest.approx(1)


def test_each_observation_seen_by_one_distribution():
    """Then the weights are the shares of the observations."""
    log_p = np.full((5, 2), -np.inf)
    log_p[[0, 1, 2], 0] = log_p[[3, 4], 1] = -1000.0
    np.testing.assert_allclose(mixing_weights(log_p).weights, [0.6, 0.4], atol=1e-6)


def test_the_gap_shrinks_as_promised():
    log_p = np.log(np.random.default_rng(1).beta(1, 2, size=(80, 4)))
    best = nll(mixing_weights(log_p, tolerance=1e-9).weights, log_p)
    for steps in (1, 10, 100):
        found = mixing_weights(log_p, tolerance=0.0, max_steps=steps)
        missing = nll(found.weights, log_p) - best
        assert found.steps == steps
        assert missing <= min(found.gap, np.log(4) / steps) + 1e-12
        assert found.gap > 0
