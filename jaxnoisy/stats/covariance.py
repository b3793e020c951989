"""Covariances that have an inverse: as they are where they have one, shrunk where they are singular."""

from typing import NamedTuple

import numpy as np

ROUNDING = 1e-10
"""A share of a feature's variance that is taken for rounding: features come in float32, which has seven digits."""


class Whitener(NamedTuple):
    """The inverse of a covariance, in a form to multiply with.

    Attributes:
        matrix: (d, d) float64, lower triangular: rows of ``(x - mean) @ matrix.T`` have unit covariance.
        log_determinant: of the covariance.
    """

    matrix: np.ndarray
    log_determinant: float


def whitener(covariance: np.ndarray) -> Whitener | None:
    """Invert the Cholesky factor of a covariance, or return None where it is singular.

    Singular means here that the features before it determine some feature up to 1e-10 of its variance: what is left
    would be rounding. An empty covariance, (0, 0), is regular.

    Args:
        covariance: (d, d) symmetric, float64.

    Cost: d^3 operations, a third for the factor and two thirds for its inverse, after which one product of matrices
    whitens any number of examples.
    """
    variances = np.diag(covariance)
    if (variances <= 0).any():
        return None
    try:
        lower = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return None
    left = np.diag(lower) ** 2
    if (left <= ROUNDING * variances).any():
        return None
    return Whitener(np.tril(np.linalg.inv(lower)), float(np.log(left).sum()))


def shrink(covariance: np.ndarray, shrinkage: float) -> np.ndarray:
    """``(1 - shrinkage) covariance + shrinkage I``, for features in units in which the identity is a likely guess."""
    return (1 - shrinkage) * covariance + shrinkage * np.eye(len(covariance))


def oas(covariance: np.ndarray, n: int) -> float:
    """The share of the identity, in (0, 1], by oracle approximating shrinkage.

    It needs the covariance alone and no pass over the examples, unlike Ledoit and Wolf's, and is meant for Gaussians.
    As in scikit-learn, terms of order 1/d are left out of numerator and denominator.

    Source: Chen, Wiesel, Eldar and Hero, "Shrinkage algorithms for MMSE covariance estimation", IEEE Transactions on
    Signal Processing 2010, equation 23.

    Args:
        covariance: (d, d) of n examples, divided by n.
        n: the number of examples.
    """
    d = len(covariance)
    mean, square = float(np.trace(covariance)) / d, float(np.mean(covariance**2))
    above, below = square + mean**2, (n + 1) * (square - mean**2 / d)
    return 1.0 if below <= 0 else min(1.0, above / below)
