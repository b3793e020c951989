"""What DynaCor minimises, and the metric by which it stops, of representations whose corrupted ones are known.

Groups that are empty contribute nothing, and never a NaN: a batch may well hold no corrupted copy that looks clean.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnoisy.detect.dynacor_network import Weights, cosine_distance, q_noisy
from jaxnoisy.types import Array


class Losses(NamedTuple):
    """The two terms of equation 8.

    Attributes:
        cluster: () equation 6, as a mean over examples.
        align: () equation 7.
    """

    cluster: Array
    align: Array


def sharpened(q: Array) -> Array:
    """(n,) the target p_noisy that lifts what is near a cluster and lowers what is not (equation 5).

    The sums s are over the same n examples, so over the batch in training.
    """
    noisy, clean = q**2 / q.sum(), (1 - q) ** 2 / (1 - q).sum()
    return noisy / (noisy + clean)


def losses(weights: Weights, representations: Array, corrupted: Array) -> Losses:
    """The clustering and the alignment loss (Kim et al. 2024, equations 5 to 7).

    Equation 6 is a sum over examples; here it is their mean, for the caller to weigh, as otherwise its weight beside
    the alignment, which does not grow with their number, would depend on the size of the batch. No gradient passes
    through the targets, nor through the decision which group an example belongs to.

    Args:
        weights: see :class:`~jaxnoisy.detect.dynacor_network.Weights`.
        representations: (n, d).
        corrupted: (n,) bool, those of corrupted copies.

    Returns:
        :class:`Losses`. A term of the alignment is left out where one of its two groups is empty.
    """
    q = q_noisy(weights, representations)
    p = jax.lax.stop_gradient(sharpened(q))
    cluster = (p * jnp.log(p / q) + (1 - p) * jnp.log((1 - p) / (1 - q))).mean()
    noisy = q > 0.5
    apart = [_between_means(representations, group & ~corrupted, group & corrupted) for group in (noisy, ~noisy)]
    return Losses(cluster, (apart[0] + apart[1]) / 2)


def validation_metric(q: Array, corrupted: Array) -> Array:
    """How far corrupted copies taken for noisy lie from originals taken for clean (Kim et al. 2024, equation 9).

    Args:
        q: (n,) assignments to the noisy cluster.
        corrupted: (n,) bool.

    Returns:
        () the squared difference of the mean assignments of the two groups, at most 1/4; 0 where one of them is empty.
    """
    noisy = q > 0.5
    first, second = noisy & corrupted, ~noisy & ~corrupted
    means = [jnp.where(group, q, 0).sum() / jnp.maximum(group.sum(), 1) for group in (first, second)]
    return jnp.where(first.any() & second.any(), (means[0] - means[1]) ** 2, 0.0)


def _between_means(representations: Array, first: Array, second: Array) -> Array:
    """Cosine distance of two groups' means; 0, without a gradient, where one of them is empty."""
    groups = jnp.stack([first, second]).astype(representations.dtype)
    means = groups @ representations / jnp.maximum(groups.sum(axis=1, keepdims=True), 1)
    return jnp.where(first.any() & second.any(), cosine_distance(means[0], means[1]), 0.0)
