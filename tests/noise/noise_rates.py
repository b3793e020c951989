"""Holds labels drawn against the transition matrix that they should follow."""

import numpy as np
from scipy import stats


def assert_follows(given, drawn, matrix, *, sigmas=5.0):
    """Every count lies within ``sigmas`` binomial deviations of its mean, and impossible targets have none.

    A right generator fails the bound for one entry with probability 6e-7, and the chi-square test of a class with 1e-6.
    """
    given, drawn = np.asarray(given), np.asarray(drawn)
    c = matrix.shape[0]
    counts = np.zeros((c, c), int)
    np.add.at(counts, (given, drawn), 1)
    n = counts.sum(axis=1, keepdims=True)
    assert (n > 0).all(), "a class without examples proves nothing"
    assert (counts[matrix == 0] == 0).all()
    bound = sigmas * np.sqrt(n * matrix * (1 - matrix))
    assert (np.abs(counts - n * matrix) <= bound + 1e-6 * n).all()
    for row, total, p in zip(counts, n[:, 0], matrix, strict=True):
        possible = p > 0
        if possible.sum() > 1:
            assert stats.chisquare(row[possible], total * p[possible] / p[possible].sum()).pvalue > 1e-6


def assert_share(mask, probability, *, sigmas=5.0):
    """The share of true entries lies within ``sigmas`` binomial deviations of ``probability``."""
    mask = np.asarray(mask)
    assert abs(mask.mean() - probability) <= sigmas * np.sqrt(probability * (1 - probability) / mask.size)
