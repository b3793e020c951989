"""The mean and covariance of the bulk of the examples: minimum covariance determinant."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from jaxnoisy import check
from jaxnoisy.stats.covariance import Whitener, oas, shrink, whitener

_TRIAL_STEPS = 2
_MOST_STEPS = 200


class Mcd(NamedTuple):
    """What is left when the examples that stretch the covariance most are out.

    Attributes:
        location: (d,) float64, the mean of the support.
        covariance: (d, d) float64, that of the support about its mean, divided by its size: neither shrunk nor scaled
            up for consistency.
        support: (n,) bool, the examples kept.
        log_determinant: of the matrix that was made small: ``covariance`` without constant features where
            ``shrinkage`` is 0, else the shrunk one of the features in units of their standard deviations; -inf where
            all examples are equal.
        shrinkage: the share of the identity in the covariance that distances were measured under; 0 where it had an
            inverse of its own.
        steps: concentration steps from the best start until nothing changed.
    """

    location: np.ndarray
    covariance: np.ndarray
    support: np.ndarray
    log_determinant: float
    shrinkage: float
    steps: int


def mcd(*, support: float | None = 0.7) -> Callable[[np.ndarray], Mcd]:
    """Return ``fit(x)``, which finds the share ``support`` of the examples whose covariance has a small determinant.

    From a first subset, concentration steps take the h examples nearest to its mean under its covariance, as often as
    that changes anything; the determinant falls with every step (Rousseeuw and Van Driessen, theorem 1). There are
    five starts, of which each makes two steps and the one then lowest goes on. With x whitened by the covariance of
    all, they are the h examples nearest to the mean; nearest to the spatial median; nearest to it in the eigenvectors
    of the spatial signs, each scaled by its median absolute deviation (as one of Hubert, Rousseeuw and Verdonck's);
    and nearest to the median along the directions of least and of most kurtosis. Nothing is drawn at random: neither
    the order of the examples nor the coordinates x is given in (any regular affine map) change the support. The
    minimum is a local one, as in every implementation; random subsets may find one a little lower.

    Where a covariance is singular, because d >= h or features repeat each other, distances are measured under
    ``(1 - r) covariance + r I`` of the features in units of their standard deviations, with one r, by oracle
    approximating shrinkage, for all steps of this fit (Boudt, Rousseeuw, Vanduffel and Verdonck 2020, whose theorem 1
    carries over). Only shifts and scales of single features then leave the support as it is. Features that are constant
    over x are left out of distances.

    What it can do: a determinant weighs all directions alike. Outliers that lie together are left out when they are
    far, and many dimensions hide them: to trim the tails of d features saves about as many factors as d, while a
    cluster of share a at distance D multiplies the determinant by 1 + a (1 - a) D^2 only.

    Args:
        support: h = ceil(support n), with the share in [0.5, 1]; or None for h = floor((n + d + 1) / 2), which
            survives the most outliers and is what the paper on robust generative classifiers writes.

    ``fit`` takes x of shape (n, d) with finite values, n >= 1, and works in float64 on the host. Of examples equally
    far at the edge of the support the first are kept. One example, or examples that are all equal, are all kept and
    have covariance 0.

    Cost: a step takes 4 n d^2 operations in products of matrices (4 n^3 where d > n); there are ten for the starts and
    then seldom as many again. 5,000 examples of 512 features take about ten seconds of a CPU core.

    Raises:
        ValueError: a share outside [0.5, 1], x of another shape, empty, or not finite.

    Source: Rousseeuw and Van Driessen, "A fast algorithm for the minimum covariance determinant estimator",
    Technometrics 1999; Hubert, Rousseeuw and Verdonck, "A deterministic algorithm for robust location and scatter",
    JCGS 2012; Boudt et al., "The minimum regularized covariance determinant estimator", Statistics and Computing 2020.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> x[:20] += 30
        >>> found = mcd(support=0.7)(x)
        >>> int(found.support[:20].sum()), int(found.support.sum()), bool(np.abs(found.location).max() < 0.3)
        (0, 70, True)
    """
    if support is not None:
        check.fraction(support, name="support", low=0.5)

    def fit(x: np.ndarray) -> Mcd:
        x = np.asarray(x, np.float64)
        if x.ndim != 2 or x.size == 0:
            raise ValueError(f"x must have shape (n, d) with n, d >= 1, but has shape {x.shape}")
        check.finite(x, name="x")
        n, d = x.shape
        h = min(n, (n + d + 1) // 2 if support is None else math.ceil(support * n - 1e-9))
        scale = _varying_scale(x)
        z = (x - x.mean(axis=0))[:, scale > 0] / scale[scale > 0]
        if z.shape[1] == 0:
            return Mcd(x.mean(axis=0), np.zeros((d, d)), np.ones(n, bool), -math.inf, 0.0, 0)
        correlation = z.T @ z / n
        white = whitener(correlation) if h > z.shape[1] else None
        found = None if white is None else _concentrated(z @ white.matrix.T, h, 0.0)
        if white is not None and found is not None:
            shrinkage, unit = 0.0, white.log_determinant + 2 * float(np.log(scale[scale > 0]).sum())
        else:
            shrinkage, unit = oas(correlation, h), 0.0
            if z.shape[1] > n:
                # Distances need the examples' span alone: the directions beyond it hold the identity's share and no
                # example.
                unit = (z.shape[1] - n) * math.log(shrinkage)
                left, lengths, _ = np.linalg.svd(z, full_matrices=False)
                z = left * lengths
            found = _concentrated(z, h, shrinkage)
        assert found is not None  # a positive share of the identity leaves no direction flat
        rows, log_determinant, steps = found
        kept = np.zeros(n, bool)
        kept[rows] = True
        return Mcd(*_moments(x[rows]), kept, log_determinant + unit, shrinkage, steps)

    return fit


def _varying_scale(x: np.ndarray) -> np.ndarray:
    """The standard deviation of each column, (d,), exactly 0 where it is constant to the precision of float32."""
    mean, std = x.mean(axis=0), x.std(axis=0)
    return np.where(std <= np.finfo(np.float32).eps * np.abs(mean), 0.0, std)


def _concentrated(z: np.ndarray, h: int, shrinkage: float) -> tuple[np.ndarray, float, int] | None:
    """The subset of lowest determinant, that determinant's logarithm and the steps; None where one is singular."""
    best: tuple[np.ndarray, float] | None = None
    for rows in _starts(z, h):
        for _ in range(_TRIAL_STEPS):
            step = _step(z, rows, h, shrinkage)
            if step is None:
                return None
            rows = step[0]
        measured = _measure(z[rows], shrinkage)
        if measured is None:
            return None
        if best is None or measured[1].log_determinant < best[1]:
            best = rows, measured[1].log_determinant
    assert best is not None
    rows, lowest = best
    steps = _TRIAL_STEPS
    while True:
        step = _step(z, rows, h, shrinkage)
        if step is None:
            return None
        new, lowest = step
        if np.array_equal(new, rows) or steps == _MOST_STEPS:
            return rows, lowest, steps
        rows, steps = new, steps + 1


def _step(z: np.ndarray, rows: np.ndarray, h: int, shrinkage: float) -> tuple[np.ndarray, float] | None:
    """The h examples nearest to those of ``rows``, and the log determinant of ``rows``."""
    measured = _measure(z[rows], shrinkage)
    if measured is None:
        return None
    mean, white = measured
    return _nearest(_squares((z - mean) @ white.matrix.T), h), white.log_determinant


def _measure(z: np.ndarray, shrinkage: float) -> tuple[np.ndarray, Whitener] | None:
    mean, covariance = _moments(z)
    white = whitener(shrink(covariance, shrinkage) if shrinkage > 0 else covariance)
    return None if white is None else (mean, white)


def _starts(z: np.ndarray, h: int) -> Iterator[np.ndarray]:
    if h == len(z):
        yield np.arange(h)
        return
    yield _nearest(_squares(z), h)
    centred = z - _spatial_median(z)
    lengths = _squares(centred)
    yield _nearest(lengths, h)
    signs = centred / np.sqrt(np.maximum(lengths, np.finfo(float).tiny))[:, None]
    projected = centred @ np.linalg.eigh(signs.T @ signs)[1]
    spread = np.median(np.abs(projected), axis=0)
    # More than half of the examples share one value of a sparse feature, whose deviation is then 0.
    spread = np.where(spread > 1e-6, spread, np.sqrt(np.mean(projected**2, axis=0)) + 1e-6)
    yield _nearest(_squares(projected / spread), h)
    fourth = np.linalg.eigh((z * _squares(z)[:, None]).T @ z)[1]
    for direction in (fourth[:, 0], fourth[:, -1]):
        along = z @ direction
        yield _nearest(np.abs(along - np.median(along)), h)


def _spatial_median(z: np.ndarray, *, steps: int = 20) -> np.ndarray:
    """The point of least summed distance, by Weiszfeld's iteration from the mean."""
    centre = z.mean(axis=0)
    for _ in range(steps):
        near = 1 / np.maximum(np.sqrt(_squares(z - centre)), 1e-6)
        centre = near @ z / near.sum()
    return centre


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = x.mean(axis=0)
    centred = x - mean
    return mean, centred.T @ centred / len(x)


def _squares(x: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", x, x)


def _nearest(distances: np.ndarray, h: int) -> np.ndarray:
    return np.sort(np.argsort(distances, kind="stable")[:h])
