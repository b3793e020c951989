"""Examples as a stream of batches that is read once per product, and proof that every pass read the same."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.curvature import examples
from jaxnoisy.types import Array, ArrayLike, PyTree


class Checksum(NamedTuple):
    """What a pass is known by: the examples, their weight, two sums, and the relative rounding error of these.

    Each example is reduced to one number, a fixed projection of its entries; ``first`` and ``second`` are that number's
    weighted sum and sum of squares. Batches may come in another order or another size; entries that moved within an
    example, labels that changed partners, and examples that were drawn anew all show.
    """

    n: int
    weight: float
    first: float
    second: float
    tolerance: float

    def agrees(self, other: "Checksum") -> bool:
        """Whether two passes read the same, to the rounding of sums."""
        share = max(self.tolerance, other.tolerance)
        size = math.sqrt(self.second * self.weight)  # by Cauchy and Schwarz no less than the sum of absolute values
        return (
            self.n == other.n
            and math.isclose(self.weight, other.weight, rel_tol=share)
            and math.isclose(self.first, other.first, rel_tol=0, abs_tol=share * size)
            and math.isclose(self.second, other.second, rel_tol=share)
        )


class Stream:
    """A data set that is read batch by batch, as often as needed.

    Args:
        batches: a re-iterable of batches, or a function without arguments that starts a new iterator. A batch is a tree
            of arrays with one leading axis; batches may differ in length.
        weights: nonnegative numbers of (n,) in the order of the stream, or None for equal ones.

    Raises:
        TypeError: an iterator, such as a generator: a second pass would find it empty.
        ValueError: from a pass: no examples, arrays of different lengths, values that are not finite, another number of
            weights than of examples, or other data than the first pass read.

    Cost: one projection of the data per pass beside what is done with it; one batch in memory.

    Example:
        >>> import numpy as np
        >>> stream = Stream([np.ones((4, 2)), np.ones((3, 2))])
        >>> [len(batch) for batch, weights in stream]
        [4, 3]
    """

    def __init__(
        self, batches: Iterable[PyTree] | Callable[[], Iterator[PyTree]], *, weights: ArrayLike | None = None
    ) -> None:
        if not callable(batches) and isinstance(batches, Iterator):
            raise TypeError(
                f"batches is {type(batches).__name__!r}, which can be read only once: give a list, an object whose "
                "__iter__ starts anew, or the function that makes the iterator"
            )
        if not callable(batches) and not isinstance(batches, Iterable):
            raise TypeError(f"batches must be a re-iterable of batches, but is {type(batches).__name__!r}")
        self._batches = batches
        self._weights = None
        if weights is not None:
            given = np.asarray(weights)
            examples.weights(given, given.size)
            self._weights = given
        self._first: Checksum | None = None

    def __iter__(self) -> Iterator[tuple[PyTree, np.ndarray]]:
        """Yield each batch and its weights, (b,) float32, not normalised; at the end compare with the first pass."""
        n, weight, first, second, tolerance = 0, 0.0, 0.0, 0.0, 1e-9
        for number, batch in enumerate(self._batches() if callable(self._batches) else self._batches):
            b = examples.count(batch)
            w = self._weights_of(n, b)
            values = _projection(batch)
            if not np.isfinite(values).all():
                examples.finite(batch, name=f"batch {number} of the stream, ")
            if not all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(batch)):
                tolerance = 1e-5  # projected on the device, in single precision
            n, weight = n + b, weight + float(w.sum())
            first, second = first + float(w @ values), second + float(w @ values**2)
            yield batch, w.astype(np.float32 if self._weights is None else np.result_type(self._weights, np.float32))
        self._finish(Checksum(n, weight, first, second, tolerance))

    def _weights_of(self, start: int, b: int) -> np.ndarray:
        if self._weights is None:
            return np.ones(b)
        if start + b > self._weights.size:
            raise ValueError(f"weights has {self._weights.size} entries, but the stream has more examples")
        return self._weights[start : start + b].astype(np.float64)

    def _finish(self, found: Checksum) -> None:
        if found.n == 0:
            raise ValueError("the stream has no batches: give one that starts anew on every pass")
        if self._weights is not None and found.n != self._weights.size:
            raise ValueError(f"weights has {self._weights.size} entries, but the stream has {found.n} examples")
        if self._first is None:
            self._first = found
        elif not self._first.agrees(found):
            raise ValueError(
                f"the stream yields other data on a later pass: {self._first} at first, now {found}. A matrix must not "
                "change between products: fix the random seed per pass, or switch augmentation and dropping off"
            )


def _projection(batch: PyTree) -> np.ndarray:
    """One number per example, (b,) float64."""
    total = np.zeros(examples.count(batch))
    for number, leaf in enumerate(jax.tree.leaves(batch)):
        rows = leaf.reshape(len(leaf), -1)
        # Irregular coefficients: no exchange of entries or of arrays leaves the sum as it is.
        along = np.cos(1.0 + number + 2.39996 * np.arange(rows.shape[1]) ** 1.1)
        if isinstance(leaf, np.ndarray):
            total += np.einsum("ij,j->i", rows, along)
        elif check.is_concrete(leaf):
            total += check.values(_on_device(rows, along)).astype(np.float64)
        else:
            raise TypeError("a stream is read on the host: its batches must be arrays with values, not traced ones")
    return total


def _on_device(rows: Array, along: np.ndarray) -> Array:
    wide = rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
    return jnp.matmul(wide, jnp.asarray(along, wide.dtype), precision="highest")
