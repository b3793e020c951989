"""Twice-contaminated labels: one generator on top of another, with both masks kept."""

from typing import Any

import jax

from jaxnoisy import check
from jaxnoisy.noise.result import Corrupt, NoisyLabels, TwiceNoisyLabels
from jaxnoisy.types import ArrayLike, Key


def twice(
    first: Corrupt[NoisyLabels | TwiceNoisyLabels], second: Corrupt[NoisyLabels | TwiceNoisyLabels]
) -> Corrupt[TwiceNoisyLabels]:
    """Contaminate labels with ``first`` and the result with ``second``.

    The first stands for the noise that a data set already has, the second for noise added to train or to test a
    detector ("Tolerance to Underlying Noise", LSTM on training dynamics, section 4.4). The second sees only the labels
    that the first has left; with class-conditional generators of matrices T1 and T2 the whole has the matrix T1 T2.

    Args:
        first: a generator of this package, or any function called in the same way; ``twice`` itself may be nested.
        second: likewise. Both get the same ``inputs``.

    Returns:
        ``corrupt(key, labels, inputs=None)``, see :class:`~jaxnoisy.noise.Corrupt`, that returns
        :class:`~jaxnoisy.noise.TwiceNoisyLabels`. Its ``mask`` says what is wrong in the end: a label that the second
        flip restores is not.

    Raises:
        TypeError: an argument is not a function.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxnoisy.noise import asymmetric, twice
        >>> flip = asymmetric(num_classes=2, rate=1.0)
        >>> noisy = twice(flip, flip)(jax.random.key(0), jnp.array([0, 1]))
        >>> noisy.labels.tolist(), noisy.mask.tolist(), noisy.second_mask.tolist()
        ([0, 1], [False, False], [True, True])
    """
    _callable(first, "first")
    _callable(second, "second")

    def corrupt(key: Key, labels: ArrayLike, inputs: ArrayLike | None = None) -> TwiceNoisyLabels:
        check.typed_key(key)
        given = check.label_array(labels)
        first_key, second_key = jax.random.split(key)
        underlying = first(first_key, given, inputs)
        final = second(second_key, underlying.labels, inputs)
        return TwiceNoisyLabels(final.labels, final.labels != given, underlying.mask, final.mask)

    return corrupt


def _callable(generator: Any, name: str) -> None:
    if not callable(generator):
        raise TypeError(f"{name} must be a generator such as symmetric(num_classes=10, rate=0.2), but is {generator!r}")
