"""Asymmetric noise: each class is confused with one other class."""

import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.noise import _draw
from jaxnoisy.noise.result import Corrupt, NoisyLabels
from jaxnoisy.types import ArrayLike, Key


def asymmetric(
    *, num_classes: int, rate: float, mapping: ArrayLike | None = None, exact: bool = False
) -> Corrupt[NoisyLabels]:
    """Flip each label y to y + 1 mod c, or to the class that ``mapping`` names.

    Args:
        num_classes: c >= 2.
        rate: probability in [0, 1] that a label whose class can flip does. With a mapping that leaves classes alone the
            share of wrong labels among all n is smaller.
        mapping: integers of shape (c,), the class that each class is confused with; one that maps to itself never
            flips. None is the pair flip y + 1 mod c. CIFAR-10's usual one, truck -> automobile, bird -> airplane,
            deer -> horse, cat <-> dog, is ``[0, 1, 0, 5, 7, 3, 6, 7, 8, 1]``.
        exact: flip exactly ``round(rate * m)`` of the m labels whose class can flip, chosen uniformly.

    Returns:
        ``corrupt(key, labels, inputs=None)``, see :class:`~jaxnoisy.noise.Corrupt`; ``inputs`` are not read.
        Time and memory O(n + c); ``exact`` adds a sort.

    Raises:
        TypeError: a mapping that is not of integers.
        ValueError: fewer than two classes, a rate outside [0, 1], or a mapping of another length, out of range, or that
            maps every class to itself.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxnoisy.noise import asymmetric
        >>> corrupt = asymmetric(num_classes=3, rate=1.0, mapping=[0, 2, 1])
        >>> corrupt(jax.random.key(0), jnp.array([0, 1, 2])).labels.tolist()
        [0, 2, 1]
    """
    c = check.positive_int(num_classes, name="num_classes", minimum=2)
    r = check.fraction(rate, name="rate")
    target = _target(c, mapping)
    moves = target != np.arange(c)

    def corrupt(key: Key, labels: ArrayLike, inputs: ArrayLike | None = None) -> NoisyLabels:
        given = _draw.arguments(key, labels, num_classes=c)
        flip = _draw.flips(key, given, moves, rate=r, exact=exact)
        return _draw.result(given, jnp.where(flip, jnp.asarray(target)[given], given))

    return corrupt


def asymmetric_matrix(*, num_classes: int, rate: float, mapping: ArrayLike | None = None) -> np.ndarray:
    """Transition matrix of :func:`asymmetric`.

    Args:
        num_classes: c >= 2.
        rate: flip probability in [0, 1] of the classes that can flip.
        mapping: integers of shape (c,) as in :func:`asymmetric`.

    Returns:
        Float64 of shape (c, c): per row 1 - rate on the diagonal and rate at the target, or 1 for a class that maps to
        itself.

    Example:
        >>> asymmetric_matrix(num_classes=3, rate=0.25, mapping=[1, 1, 0]).tolist()
        [[0.75, 0.25, 0.0], [0.0, 1.0, 0.0], [0.25, 0.0, 0.75]]
    """
    c = check.positive_int(num_classes, name="num_classes", minimum=2)
    r = check.fraction(rate, name="rate")
    identity = np.eye(c)
    return (1 - r) * identity + r * identity[_target(c, mapping)]


def _target(c: int, mapping: ArrayLike | None) -> np.ndarray:
    if mapping is None:
        return (np.arange(c, dtype=np.int32) + 1) % c
    target = check.labels(mapping, num_classes=c, n=c, name="mapping")
    if (target == np.arange(c)).all():
        raise ValueError("mapping sends every class to itself, so that no label can flip: name another class for one")
    return target
