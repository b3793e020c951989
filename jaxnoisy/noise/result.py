"""What a label noise generator returns, and how every one of them is called."""

from typing import NamedTuple, Protocol, TypeVar

from jaxnoisy.types import Array, ArrayLike, Key

ResultT = TypeVar("ResultT", covariant=True)


class NoisyLabels(NamedTuple):
    """Labels after one contamination.

    Attributes:
        labels: integers of shape (n,), of the dtype given (64-bit ones become 32-bit ones unless JAX's x64 mode is on).
        mask: bool of shape (n,), true where the label differs from the one given.
    """

    labels: Array
    mask: Array


class TwiceNoisyLabels(NamedTuple):
    """Labels after one contamination on top of another.

    Attributes:
        labels: integers of shape (n,), of the dtype given.
        mask: bool of shape (n,), true where the final label differs from the one given. An example whose second flip
            restores its first label is therefore false here and true in both other masks.
        first_mask: bool of shape (n,), true where the first contamination changed the label (the underlying noise).
        second_mask: bool of shape (n,), true where the second one changed what the first had left (the added noise).
    """

    labels: Array
    mask: Array
    first_mask: Array
    second_mask: Array


class Corrupt(Protocol[ResultT]):
    """A generator: ``corrupt(key, labels, inputs=None)``.

    Every constructor of this package returns such a function, so that a caller may pass ``inputs`` without asking
    which kind it holds: only instance-dependent noise reads them, and it refuses to run without them.

    The function is pure, may be jitted and vmapped, and returns the same result for the same key.

    Args of ``corrupt``: ``key``, one typed key; ``labels``, integers of shape (n,) in [0, c); ``inputs``, of shape
    (n, ...). Values are checked outside ``jit`` only, where they can be seen. A raw or batched key and labels that are
    not integers raise TypeError; labels of another shape, empty, out of range, or of a dtype that cannot hold class
    c - 1 raise ValueError.
    """

    def __call__(self, key: Key, labels: ArrayLike, inputs: ArrayLike | None = None) -> ResultT:
        """Draw noisy labels."""
        ...
