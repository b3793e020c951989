"""Steps that the generators share: reading the arguments, choosing who flips, comparing the labels."""

import jax
import jax.numpy as jnp
import numpy as np

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


def flips(key: Key, labels: Array, movable: np.ndarray, *, rate: float, exact: bool) -> Array:
    """Choose the examples that flip.

    Args:
        key: typed key.
        labels: integers (n,).
        movable: bool (c,), false for a class that has no other class to go to.
        rate: probability that an example of a movable class flips.
        exact: flip ``round(rate * m)`` of the m examples of movable classes, every such subset being equally likely.

    Returns:
        Bool (n,), false wherever the class is not movable. One sort of n numbers with ``exact``, none without.
    """
    n = labels.shape[0]
    can_flip = jnp.asarray(movable)[labels]
    if not exact:
        return jax.random.bernoulli(key, rate, (n,)) & can_flip
    if movable.all():
        count = jnp.asarray(round(rate * n))
    else:
        # m depends on the labels. A float32 product can be off by one from the caller's round(rate * m), so every
        # answer is worked out beforehand in float64, halves to even as Python has them.
        answers = np.round(rate * np.arange(n + 1)).astype(np.int32)
        count = jnp.asarray(answers)[jnp.sum(can_flip, dtype=jnp.int32)]
    # Distinct ranks, those of examples that cannot flip above all others: the k smallest are a uniform k-subset.
    rank = jax.random.permutation(key, n) + jnp.where(can_flip, 0, n)
    return rank < jnp.append(jnp.sort(rank), 2 * n)[count]
