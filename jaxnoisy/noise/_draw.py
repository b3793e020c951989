"""Steps that the generators share: reading the arguments, choosing who flips, comparing the labels."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp

from jaxnoisy import check
from jaxnoisy.noise.result import NoisyLabels
from jaxnoisy.types import Array, ArrayLike, Key


def arguments(key: Key, labels: ArrayLike, *, num_classes: int) -> Array:
    """Return ``labels`` as an array of their own dtype after checking them and the key.

    Raises:
        TypeError: a raw or batched key, or labels that are not integers.
        ValueError: labels of a wrong shape, out of range, or of a dtype too narrow for the largest class.
    """
    check.typed_key(key)
    given = check.label_array(labels, num_classes=num_classes)
    if jnp.iinfo(given.dtype).max < num_classes - 1:
        raise ValueError(
            f"labels have dtype {given.dtype}, which cannot hold class {num_classes - 1}: "
            "convert them to a wider integer"
        )
    return given


def result(given: Array, drawn: Array) -> NoisyLabels:
    """Pair the labels drawn, in the dtype given, with the mask of those that changed."""
    labels = drawn.astype(given.dtype)
    return NoisyLabels(labels, labels != given)


def flips(key: Key, can_flip: Array, *, rate: float, exact: bool) -> Array:
    """Choose the examples that flip.

    Args:
        key: typed key.
        can_flip: bool (n,), false where the class has no other class to go to.
        rate: probability that an example that can flip does.
        exact: flip ``round(rate * m)`` of the m examples that can, every such subset being equally likely.

    Returns:
        Bool (n,), false wherever ``can_flip`` is. One sort of n numbers with ``exact``, none without.
    """
    n = can_flip.shape[0]
    if not exact:
        return jax.random.bernoulli(key, rate, (n,)) & can_flip
    # Distinct ranks, those of examples that cannot flip above all others: the k smallest are a uniform k-subset.
    rank = jax.random.permutation(key, n) + jnp.where(can_flip, 0, n)
    count = _rounded_share(jnp.sum(can_flip, dtype=jnp.int32), rate)
    return rank < jnp.append(jnp.sort(rank), 2 * n)[count]


def _rounded_share(m: Array, rate: float) -> Array:
    """``round(rate * m)``, halves to even as Python has it, for an int32 ``m`` that may be traced.

    A float32 product can be off by one (and so differ from what the caller's Python says); with the rate as a fraction
    p / q whose 2 p q fits in 31 bits, integers suffice.
    """
    share = Fraction(rate).limit_denominator(min(2**30, math.isqrt(int(2**29 / max(rate, 2.0**-31)))))
    p, q = share.numerator, share.denominator
    whole, rest = p * (m // q) + p * (m % q) // q, p * (m % q) % q
    round_up = (2 * rest > q) | ((2 * rest == q) & (whole % 2 == 1))
    return whole + round_up.astype(whole.dtype)
