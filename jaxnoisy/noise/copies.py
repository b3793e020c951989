"""Copies of some examples under labels that are other than the given ones, to learn what wrong labels look like."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxnoisy import check
from jaxnoisy.noise import _draw
from jaxnoisy.types import Array, ArrayLike, Key


class CorruptedCopies(NamedTuple):
    """Which examples are copied, and what the copies are called.

    Attributes:
        rows: (m,) int32, ascending, each at most once.
        labels: integers (m,), of the dtype given, none of them the label given to the example.
    """

    rows: Array
    labels: Array


CopyCorrupt: TypeAlias = Callable[[Key, ArrayLike], CorruptedCopies]


def corrupted_copies(*, num_classes: int, rate: float = 0.1) -> CopyCorrupt:
    """Draw the corrupted set of DynaCor: a share of the examples, each under a label drawn from the other classes.

    Kim et al. (2024), "Learning discriminative dynamics with label corruption for noisy label detection", section 4.2.
    Where a share eta of the given labels is wrong, however it came about, a copy's label is right only if its example's
    was wrong and the draw hit the true class, so that the copies have 1 - eta / (c - 1) wrong labels in expectation:
    at least 1 - 1 / c as long as eta <= 1 - 1 / c (Proposition 1), and then no fewer than the originals. With two
    classes a copy gets the one other label, and the copies of wrong labels are right: 1 - eta are wrong, which says
    something of wrong labels only where most given ones are right.

    Args:
        num_classes: c >= 2.
        rate: gamma in (0, 1], the share of the examples that are copied.

    Returns:
        ``corrupt(key, labels) -> CorruptedCopies`` of ``max(1, round(rate * n))`` distinct examples, every such set
        being equally likely. Pure; can be jitted. Time and memory O(n).

    Raises:
        ValueError: fewer than two classes, or a rate outside (0, 1].

    Example:
        >>> import jax, jax.numpy as jnp
        >>> copies = corrupted_copies(num_classes=3, rate=0.5)(jax.random.key(0), jnp.array([0, 1, 2, 0]))
        >>> len(copies.rows), bool((copies.labels != jnp.array([0, 1, 2, 0])[copies.rows]).all())
        (2, True)
    """
    c = check.positive_int(num_classes, name="num_classes", minimum=2)
    r = check.fraction(rate, name="rate", open_low=True)

    def corrupt(key: Key, labels: ArrayLike) -> CorruptedCopies:
        given = _draw.arguments(key, labels, num_classes=c)
        of_rows, of_labels = jax.random.split(key)
        n = len(given)
        rows = jnp.sort(jax.random.permutation(of_rows, n)[: max(1, round(r * n))]).astype(jnp.int32)
        y = given[rows].astype(jnp.int32)
        step = jax.random.randint(of_labels, y.shape, 1, c)
        return CorruptedCopies(rows, ((y + step) % c).astype(given.dtype))

    return corrupt
