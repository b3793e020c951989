"""Linear discriminant analysis on features, with means and a tied covariance over the bulk of each class."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxnoisy.stats.covariance import Whitener, oas, shrink, whitener
from jaxnoisy.stats.mcd import mcd
from jaxnoisy.types import Array


class Discriminant(NamedTuple):
    """Gaussians of one covariance, as the linear functions their posteriors are a softmax of.

    Attributes:
        centre: (d,) float32, taken off the features first, so that float32 does.
        kernel: (d, c) float32, the covariance's inverse times the means; 0 for a class without examples.
        bias: (c,) float32, minus half the means' squared lengths under the inverse, plus the log prior; -inf for a
            class without examples.
    """

    centre: Array
    kernel: Array
    bias: Array

    def scores(self, x: Array) -> Array:
        """Return log P(x, class) up to what all classes share, float32 of shape (n, c)."""
        centred = jnp.asarray(x, jnp.float32) - self.centre
        return jnp.matmul(centred, self.kernel, precision="highest") + self.bias


class DiscriminantFit(NamedTuple):
    """What :func:`fit_discriminant` found.

    Attributes:
        discriminant: the classifier.
        means: (c, d) float64, 0 for a class without examples.
        covariance: (d, d) float64, tied: of the kept examples about their class means, divided by their number.
        support: (n,) bool, the examples kept.
        class_shrinkages: (c,) of :class:`~jaxnoisy.stats.mcd.Mcd`; 0 for classes of fewer than two examples.
        shrinkage: the share of the identity that was added to the covariance to invert it.
    """

    discriminant: Discriminant
    means: np.ndarray
    covariance: np.ndarray
    support: np.ndarray
    class_shrinkages: np.ndarray
    shrinkage: float


def fit_discriminant(x: np.ndarray, labels: np.ndarray, prior: np.ndarray, *, support: float | None) -> DiscriminantFit:
    """Fit class means and a tied covariance by minimum covariance determinant; see :func:`jaxnoisy.repair.rog`.

    Args:
        x: (n, d) finite floats.
        labels: (n,) int32.
        prior: (c,) float64, 0 for classes without examples.
        support: of :func:`~jaxnoisy.stats.mcd.mcd`.
    """
    n, d = x.shape
    c = len(prior)
    robust = mcd(support=support)
    means, scatter = np.zeros((c, d)), np.zeros((d, d))
    kept, shrinkages, sizes = np.zeros(n, bool), np.zeros(c), np.zeros(c, int)
    for k in range(c):
        rows = np.flatnonzero(labels == k)
        if len(rows) == 0:
            continue
        found = robust(x[rows])
        kept[rows[found.support]] = True
        sizes[k] = np.count_nonzero(found.support)
        means[k], shrinkages[k] = found.location, found.shrinkage
        scatter += sizes[k] * found.covariance
    covariance = scatter / sizes.sum()
    scale = _scales(means, covariance, sizes / sizes.sum())
    white, shrinkage = _inverse(covariance, scale, int(sizes.sum()))
    return DiscriminantFit(
        discriminant=_linear(means, prior, scale, white),
        means=means,
        covariance=covariance,
        support=kept,
        class_shrinkages=shrinkages,
        shrinkage=shrinkage,
    )


def _scales(means: np.ndarray, covariance: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The unit of each feature, (d,): its deviation within classes, or else over all kept; 0 where it is constant."""
    rounding = float(np.finfo(np.float32).eps)
    centre = shares @ means
    within = np.diag(covariance)
    overall = within + shares @ (means - centre) ** 2
    varies = overall > (rounding * centre) ** 2
    return np.sqrt(np.where(within > rounding**2 * overall, within, overall)) * varies


def _inverse(covariance: np.ndarray, scale: np.ndarray, size: int) -> tuple[Whitener, float]:
    """Of the features that vary, in their units."""
    used = scale > 0
    relative = covariance[np.ix_(used, used)] / np.outer(scale[used], scale[used])
    white = whitener(relative)
    if white is not None:
        return white, 0.0
    shrinkage = oas(relative, size)
    white = whitener(shrink(relative, shrinkage))
    assert white is not None  # a positive share of the identity leaves no direction flat
    return white, shrinkage


def _linear(means: np.ndarray, prior: np.ndarray, scale: np.ndarray, white: Whitener) -> Discriminant:
    present, used = prior > 0, scale > 0
    centre = means[present].mean(axis=0)
    units = (means - centre)[:, used] / scale[used]
    whitened = units @ white.matrix.T
    kernel = np.zeros((means.shape[1], len(prior)))
    kernel[used] = (whitened @ white.matrix).T / scale[used][:, None]
    kernel[:, ~present] = 0
    with np.errstate(divide="ignore"):
        bias = np.where(present, np.log(prior) - 0.5 * (whitened**2).sum(axis=1), -np.inf)
    return Discriminant(*(jnp.asarray(a, jnp.float32) for a in (centre, kernel, bias)))
