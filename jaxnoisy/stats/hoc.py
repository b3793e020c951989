"""The noise transition matrix from how often an example and its two nearest neighbours carry the same labels."""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxnoisy import check
from jaxnoisy.types import Array, ArrayLike

MOST_CLASSES = 256
"""Third-order statistics of c classes are c^3 numbers, and a step of the fit takes 4 c^4 multiplications."""

_TINY = 1e-30


class Consensus(NamedTuple):
    """Frequencies of the labels of an example and its two nearest neighbours; each sums to 1.

    Attributes:
        first: (c,) of the example's own label.
        second: (c, c) of its own label and its nearest neighbour's.
        third: (c, c, c) of all three.
    """

    first: Array
    second: Array
    third: Array


class NoiseEstimate(NamedTuple):
    """What labels are turned into.

    Attributes:
        transition: (c, c) float32, the chance of given label j for true class i in row i; rows sum to 1.
        prior: (c,) float32, how frequent the true classes are.
        divergence: from what was observed to what the two make of it, in nats. 0 where the model holds exactly.
        steps: that the fit took.
    """

    transition: Array
    prior: Array
    divergence: Array
    steps: Array

    @property
    def noise_rate(self) -> Array:
        """The share of examples whose given label is not their true class."""
        return 1 - jnp.sum(self.prior * jnp.diagonal(self.transition))

    @property
    def wrong_given(self) -> Array:
        """(c,) the share of wrong labels among those given as each class, by Bayes' rule; 0 for one never given."""
        given = self.prior @ self.transition
        right = self.prior * jnp.diagonal(self.transition)
        return jnp.where(given > 0, 1 - right / jnp.where(given > 0, given, 1), 0)


Estimate: TypeAlias = Callable[[Consensus], NoiseEstimate]


def consensus(labels: ArrayLike, neighbours: ArrayLike, *, num_classes: int) -> Consensus:
    """Count labels over all examples and their two nearest neighbours (Zhu et al. 2021, equations 6 to 8).

    The paper counts over rounds of examples drawn at random, which saves the search for neighbours of the others; here
    every example counts once.

    Args:
        labels: (n,) given labels.
        neighbours: (n, 2) or wider, rows of the nearest ones first.
        num_classes: c, at most 256.

    Raises:
        ValueError: labels out of range, fewer than two neighbours, rows that do not fit, or too many classes.
    """
    c = check.positive_int(num_classes, name="num_classes", minimum=2)
    if c > MOST_CLASSES:
        raise ValueError(
            f"third-order statistics of {c} classes are {c}^3 numbers: merge classes to at most {MOST_CLASSES}, or use "
            "a method that estimates no transition matrix, such as simifeat-vote"
        )
    y = check.label_array(labels, num_classes=c)
    if neighbours.ndim != 2 or neighbours.shape[0] != len(y) or neighbours.shape[1] < 2:
        raise ValueError(f"neighbours must have shape ({len(y)}, 2) or wider, but have shape {neighbours.shape}")
    one, two = y[neighbours[:, 0]], y[neighbours[:, 1]]
    third = jnp.zeros(c**3, jnp.float32).at[(y * c + one) * c + two].add(1 / len(y)).reshape(c, c, c)
    return Consensus(third.sum(axis=(1, 2)), third.sum(axis=2), third)


def expected_consensus(transition: ArrayLike, prior: ArrayLike) -> Consensus:
    """The frequencies under which three labels are drawn apart, given one true class that all three share.

    Zhu et al. 2021, equations 3 to 5: the sum over i of prior[i] T[i, j] T[i, k] T[i, l], and what its sums leave.

    Args:
        transition: (c, c), rows sum to 1.
        prior: (c,), sums to 1.
    """
    weighted = transition.T * prior
    c = len(prior)
    pairs = (transition[:, :, None] * transition[:, None, :]).reshape(c, c * c)
    return Consensus(
        jnp.sum(weighted, axis=1),
        jnp.matmul(weighted, transition, precision="highest"),
        jnp.matmul(weighted, pairs, precision="highest").reshape(c, c, c),
    )


def hoc(*, max_steps: int = 2000, tolerance: float = 1e-6) -> Estimate:
    """Fit a transition matrix and a prior to consensus statistics of first, second and third order.

    Zhu, Song and Liu (2021), "Clusterability as an alternative to anchor points when learning with noisy labels" (HOC).
    Three orders determine both where the transition matrix is not singular and an example shares its true class with
    its two nearest neighbours; where neighbours often do not, what they disagree in counts as noise and the estimated
    rates come out too high.

    The paper fits all three orders by least squares, with Adam. Here the likelihood of the third is maximised by
    expectation maximisation, as of a mixture of c classes that each draw three labels alike: the lower orders are sums
    of the third, counts of rare labels get the weight that they deserve, every step raises the likelihood, and there
    is no rate to choose. The start has seven tenths on the diagonal, which also settles which class is called which,
    and the given labels' frequencies.

    Args:
        max_steps: the most steps.
        tolerance: stops when no entry of the transition matrix moves by more.

    Returns:
        ``estimate(consensus) -> NoiseEstimate``, which may be jitted. Cost: 4 c^4 multiplications a step; some hundred
        steps, more where labels say little of the true class.

    Raises:
        ValueError: from the constructor on choices out of range; from ``estimate`` on shapes that do not fit.

    Example:
        >>> import jax.numpy as jnp
        >>> truth = jnp.array([[0.8, 0.2], [0.1, 0.9]])
        >>> found = hoc()(expected_consensus(truth, jnp.array([0.5, 0.5])))
        >>> bool(jnp.allclose(found.transition, truth, atol=0.01)), round(float(found.noise_rate), 2)
        (True, 0.15)
    """
    check.positive_int(max_steps, name="max_steps")
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance must be a finite number >= 0, but is {tolerance}")

    def estimate(observed: Consensus) -> NoiseEstimate:
        c = observed.first.shape[0]
        if observed.second.shape != (c, c) or observed.third.shape != (c, c, c):
            shapes = [tuple(order.shape) for order in observed]
            raise ValueError(f"the three orders must have shapes (c,), (c, c) and (c, c, c), but have {shapes}")
        # The model takes the three labels alike; so one of them speaks for all.
        orders = jnp.stack([observed.third.transpose(order) for order in itertools.permutations(range(3))])
        third = orders.astype(jnp.float32).mean(axis=0)

        def ratio(transition: Array, prior: Array) -> Array:
            fitted = expected_consensus(transition, prior).third
            return jnp.where(third > 0, third / jnp.maximum(fitted, _TINY), 0)

        def step(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
            transition, prior, _, steps = state
            pairs = (transition[:, :, None] * transition[:, None, :]).reshape(c, c * c)
            weight = jnp.matmul(pairs, ratio(transition, prior).reshape(c, c * c).T, precision="highest")
            joint = prior[:, None] * transition * weight
            prior = joint.sum(axis=1)
            # A class that has died out keeps its row.
            new = jnp.where(prior[:, None] > _TINY, joint / jnp.maximum(prior, _TINY)[:, None], transition)
            return new, prior / prior.sum(), jnp.abs(new - transition).max(), steps + 1

        start = jnp.where(jnp.eye(c, dtype=bool), 0.7, 0.3 / (c - 1)).astype(jnp.float32)
        state = start, third.sum(axis=(1, 2)), jnp.float32(jnp.inf), jnp.int32(0)
        transition, prior, _, steps = jax.lax.while_loop(
            lambda state: (state[2] > tolerance) & (state[3] < max_steps), step, state
        )
        logs = jnp.log(jnp.maximum(ratio(transition, prior), _TINY))
        divergence = jnp.sum(jnp.where(third > 0, third * logs, 0))
        return NoiseEstimate(transition, prior, divergence, steps)

    return estimate
