"""Weights on the simplex that mix distributions best: a convex problem, solved with a bound on what is missing."""

from typing import NamedTuple

import numpy as np


class MixingWeights(NamedTuple):
    """How much of each distribution to take.

    Attributes:
        weights: (k,) float64, nonnegative, summing to 1.
        gap: an upper bound on how much lower the mean negative log-likelihood could still be, in nats.
        steps: of the iteration.
    """

    weights: np.ndarray
    gap: float
    steps: int


def mixing_weights(log_likelihoods: np.ndarray, *, tolerance: float = 1e-5, max_steps: int = 20_000) -> MixingWeights:
    """Minimise ``-mean_i log sum_l w_l p_l(i)`` over w >= 0 with sum 1, by expectation maximisation from equal weights.

    With g_l = mean_i p_l(i) / sum_k w_k p_k(i) a step is w_l <- w_l g_l, and log(max_l g_l) bounds what is missing, by
    convexity; after t steps it is at most log(k) / t below the value reached. No step size is needed, and a
    distribution that is of no use loses its weight geometrically.

    Args:
        log_likelihoods: (m, k), log p_l(i) of what was observed; -inf is allowed, in not all of a row.
        tolerance: the gap to stop at, in nats.
        max_steps: the most steps.

    Cost: m k operations a step.

    Example:
        >>> import numpy as np
        >>> found = mixing_weights(np.log([[0.8, 0.2], [0.8, 0.2], [0.2, 0.8]]))
        >>> found.weights.round(2), found.gap < 1e-5
        (array([0.78, 0.22]), True)
    """
    ratios = np.exp(log_likelihoods - log_likelihoods.max(axis=1, keepdims=True))
    m, k = ratios.shape
    weights = np.full(k, 1 / k)
    steps = 0
    while True:
        gradient = (1 / (ratios @ weights)) @ ratios / m
        gap = max(0.0, float(np.log(gradient.max())))
        if gap <= tolerance or steps == max_steps:
            return MixingWeights(weights, gap, steps)
        weights = weights * gradient
        weights, steps = weights / weights.sum(), steps + 1
