"""Generators chosen by a word, for a command line or a configuration file."""

from jaxnoisy import check
from jaxnoisy.noise.asymmetric import asymmetric
from jaxnoisy.noise.instance import instance
from jaxnoisy.noise.result import Corrupt, NoisyLabels
from jaxnoisy.noise.superclass import superclass
from jaxnoisy.noise.symmetric import symmetric
from jaxnoisy.types import ArrayLike

KINDS = ("symmetric", "asymmetric", "instance", "superclass")
"""The words that :func:`by_kind` knows."""


def by_kind(
    kind: str,
    *,
    num_classes: int,
    rate: float,
    groups: ArrayLike | None = None,
    features: str = "raw",
    exact: bool = False,
) -> Corrupt[NoisyLabels]:
    """Return the generator that a word names.

    Args:
        kind: one of :data:`KINDS`; asymmetric is the pair flip y + 1 mod c.
        num_classes: c >= 2.
        rate: noise rate in [0, 1].
        groups: integers of shape (c,), the superclass of each class. Superclass noise needs them, the other kinds do
            not read them.
        features: scale of the inputs for instance-dependent noise, see :func:`~jaxnoisy.noise.instance`; the other
            kinds do not read it.
        exact: flip an exact share. Not offered for instance-dependent noise, where each example has a rate of its own.

    Returns:
        ``corrupt(key, labels, inputs=None)``, see :class:`~jaxnoisy.noise.Corrupt`.

    Raises:
        ValueError: an unknown kind, superclass noise without groups, exact instance-dependent noise, or what the
            generator itself refuses.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxnoisy.noise import by_kind
        >>> corrupt = by_kind("asymmetric", num_classes=3, rate=1.0)
        >>> corrupt(jax.random.key(0), jnp.array([0, 1, 2])).labels.tolist()
        [1, 2, 0]
    """
    check.one_of(kind, KINDS, name="kind")
    if kind == "symmetric":
        return symmetric(num_classes=num_classes, rate=rate, exact=exact)
    if kind == "asymmetric":
        return asymmetric(num_classes=num_classes, rate=rate, exact=exact)
    if kind == "instance":
        if exact:
            raise ValueError(
                "exact=True is not defined for instance noise, where each example draws a flip rate of its own: "
                "leave exact out, or choose symmetric, asymmetric or superclass noise"
            )
        return instance(num_classes=num_classes, rate=rate, features=features)
    if groups is None:
        raise ValueError("superclass noise needs groups, the superclass of each class, as integers of shape (c,)")
    return superclass(num_classes=num_classes, groups=groups, rate=rate, exact=exact)
