"""Symmetric noise: a flipped label goes to each of the other classes with the same probability."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.noise import _draw
from jaxnoisy.noise.result import Corrupt, NoisyLabels
from jaxnoisy.types import ArrayLike, Key


def symmetric(*, num_classes: int, rate: float, exact: bool = False) -> Corrupt[NoisyLabels]:
    """Flip labels to the other c - 1 classes uniformly, never to themselves.

    The rate is therefore the share of wrong labels. Papers that draw from all c classes, the own one included, with
    probability s have s (c - 1) / c wrong ones.

    Args:
        num_classes: c >= 2.
        rate: probability in [0, 1] that a label flips.
        exact: flip exactly ``round(rate * n)`` labels, chosen uniformly, instead of each one by its own coin.

    Returns:
        ``corrupt(key, labels, inputs=None)``, see :class:`~jaxnoisy.noise.Corrupt`; ``inputs`` are not read.
        Time and memory O(n); ``exact`` adds a sort.

    Raises:
        ValueError: fewer than two classes, or a rate outside [0, 1].

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxnoisy.noise import symmetric
        >>> corrupt = symmetric(num_classes=10, rate=0.4, exact=True)
        >>> noisy = corrupt(jax.random.key(0), jnp.arange(50) % 10)
        >>> int(noisy.mask.sum())
        20
    """
    c = check.positive_int(num_classes, name="num_classes", minimum=2)
    r = check.fraction(rate, name="rate")

    def corrupt(key: Key, labels: ArrayLike, inputs: ArrayLike | None = None) -> NoisyLabels:
        given = _draw.arguments(key, labels, num_classes=c)
        flip_key, step_key = jax.random.split(key)
        flip = _draw.flips(flip_key, given, np.ones(c, bool), rate=r, exact=exact)
        step = jax.random.randint(step_key, given.shape, 1, c)
        y = given.astype(jnp.int32)
        return _draw.result(given, jnp.where(flip, (y + step) % c, y))

    return corrupt


def symmetric_matrix(*, num_classes: int, rate: float) -> np.ndarray:
    """Transition matrix of :func:`symmetric`.

    Args:
        num_classes: c >= 2.
        rate: flip probability in [0, 1].

    Returns:
        Float64 of shape (c, c): 1 - rate on the diagonal, rate / (c - 1) elsewhere.

    Example:
        >>> symmetric_matrix(num_classes=3, rate=0.5).tolist()
        [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
    """
    c = check.positive_int(num_classes, name="num_classes", minimum=2)
    r = check.fraction(rate, name="rate")
    matrix = np.full((c, c), r / (c - 1))
    np.fill_diagonal(matrix, 1 - r)
    return matrix
