"""Superclass noise: a flipped label goes to another class of the same superclass."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.noise import _draw
from jaxnoisy.noise.result import Corrupt, NoisyLabels
from jaxnoisy.types import ArrayLike, Key


def superclass(*, num_classes: int, groups: ArrayLike, rate: float, exact: bool = False) -> Corrupt[NoisyLabels]:
    """Flip labels uniformly to the other classes of their superclass.

    This imitates annotators who know the kind of thing but not which one, as in the study of CIFAR-100's 20
    superclasses of five classes each ("Noises within Super-Classes", LSTM on training dynamics, section 4.4).

    Args:
        num_classes: c >= 2.
        groups: integers of shape (c,), the superclass of each class, in any numbering from 0. The labels of a class
            that is alone in its superclass never flip.
        rate: probability in [0, 1] that a label whose class can flip does. With classes that are alone the share of
            wrong labels among all n is smaller.
        exact: flip exactly ``round(rate * m)`` of the m labels whose class can flip, chosen uniformly.

    Returns:
        ``corrupt(key, labels, inputs=None)``, see :class:`~jaxnoisy.noise.Corrupt`; ``inputs`` are not read.
        Time and memory O(n + c); ``exact`` adds a sort.

    Raises:
        TypeError: groups that are not integers.
        ValueError: fewer than two classes, a rate outside [0, 1], groups of another length than c, or every class alone
            in its superclass.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxnoisy.noise import superclass
        >>> corrupt = superclass(num_classes=5, groups=[0, 0, 1, 1, 2], rate=1.0)
        >>> corrupt(jax.random.key(0), jnp.arange(5)).labels.tolist()
        [1, 0, 3, 2, 4]
    """
    c = check.positive_int(num_classes, name="num_classes", minimum=2)
    r = check.fraction(rate, name="rate")
    group = _superclasses(c, groups)
    # Classes of a superclass lie side by side in `members`; a step of 1 to size - 1 around its stretch never ends at
    # its start, so one bounded integer per example draws from the others.
    members = np.argsort(group, kind="stable").astype(np.int32)
    sizes = np.bincount(group)
    size = sizes[group].astype(np.int32)
    first = (np.cumsum(sizes) - sizes)[group].astype(np.int32)
    place = (np.argsort(members) - first).astype(np.int32)

    def corrupt(key: Key, labels: ArrayLike, inputs: ArrayLike | None = None) -> NoisyLabels:
        given = _draw.arguments(key, labels, num_classes=c)
        flip_key, step_key = jax.random.split(key)
        count = jnp.asarray(size)[given]
        flip = _draw.flips(flip_key, given, size > 1, rate=r, exact=exact)
        step = jax.random.randint(step_key, given.shape, 1, jnp.maximum(count, 2))
        other = jnp.asarray(members)[jnp.asarray(first)[given] + (jnp.asarray(place)[given] + step) % count]
        return _draw.result(given, jnp.where(flip, other, given))

    return corrupt


def superclass_matrix(*, num_classes: int, groups: ArrayLike, rate: float) -> np.ndarray:
    """Transition matrix of :func:`superclass`.

    Args:
        num_classes: c >= 2.
        groups: integers of shape (c,), the superclass of each class.
        rate: flip probability in [0, 1] of the classes that can flip.

    Returns:
        Float64 of shape (c, c): in a superclass of s > 1 classes 1 - rate on the diagonal and rate / (s - 1) beside it;
        1 on the diagonal for a class alone in its superclass.

    Example:
        >>> superclass_matrix(num_classes=3, groups=[4, 0, 4], rate=0.25).tolist()
        [[0.75, 0.0, 0.25], [0.0, 1.0, 0.0], [0.25, 0.0, 0.75]]
    """
    c = check.positive_int(num_classes, name="num_classes", minimum=2)
    r = check.fraction(rate, name="rate")
    group = _superclasses(c, groups)
    others = (group[:, None] == group[None, :]) & ~np.eye(c, dtype=bool)
    count = others.sum(axis=1)
    matrix = r * others / np.maximum(count, 1)[:, None]
    np.fill_diagonal(matrix, np.where(count > 0, 1 - r, 1.0))
    return matrix


def _superclasses(c: int, groups: ArrayLike) -> np.ndarray:
    group = check.labels(groups, name="groups")
    if len(group) != c:
        raise ValueError(f"groups has {len(group)} entries for {c} classes: name the superclass of each class")
    _, dense = np.unique(group, return_inverse=True)
    if dense.max() == c - 1:
        raise ValueError(
            "groups puts every class alone in its superclass, so that no label can flip: let classes share one"
        )
    return dense
