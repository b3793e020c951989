"""The examples with the largest and the smallest influence on each query, without the matrix of all."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.curvature import blocks, examples, rowwise
from jaxnoisy.influence.rows import Rows
from jaxnoisy.types import Array, ArrayLike


class Top(NamedTuple):
    """For each of k queries, examples in order, the most extreme first; among equals the earlier example comes first.

    Where the column is a query's loss, the largest influences are the most harmful examples (more weight on them raises
    the loss), and the smallest the most helpful ones.

    Attributes:
        largest: (k, count) influences, falling.
        largest_at: (k, count) int32, the examples they belong to.
        smallest: (k, count) influences, rising.
        smallest_at: (k, count) int32.
        undefined: (k,) int32, examples left out because their influence is NaN (a gradient that overflows).
    """

    largest: ArrayLike
    largest_at: ArrayLike
    smallest: ArrayLike
    smallest_at: ArrayLike
    undefined: ArrayLike


def top(*, count: int) -> Callable[[Rows], Top]:
    """The ``count`` largest and the ``count`` smallest influences on each query.

    Args:
        count: examples per query and end, at most n.

    Returns:
        ``find(rows) -> Top``, on the host where the data are. Where fewer than ``count`` influences are defined, the
        places left have the value NaN and the example -1. Cost: beside the rows, selecting among them. Memory: one
        block of rows.

    Raises:
        ValueError: a count below 1; from ``find``: more than there are examples.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.influence import from_matrix
        >>> found = top(count=1)(from_matrix(np.array([[0.5], [-2.0], [3.0]], np.float32)))
        >>> found.largest_at.tolist(), found.smallest_at.tolist(), found.smallest.tolist()
        ([[2]], [[1]], [[-2.0]])
    """
    check.positive_int(count, name="count")

    def find(rows: Rows) -> Top:
        stream = blocks.stream_of(rows.data)
        n = examples.count(rows.data) if stream is None else None
        if n is not None:
            _enough(count, n)
        none = jnp.full((rows.columns, count), -jnp.inf, rows.dtype)
        nowhere = jnp.zeros((rows.columns, count), jnp.int32)
        zero = jnp.zeros((), jnp.int32)
        start = _State(none, nowhere, none.copy(), nowhere.copy(), jnp.zeros(rows.columns, jnp.int32), zero)
        add = jax.tree_util.Partial(_Add(count), rows.of)
        state = rowwise.total(add, start, rows.data, block_size=rows.block_size, names=rows.names, numbered=True)
        if n is None:
            _enough(count, int(state.seen))
        found = Top(*_named(state.high, state.high_at), *_named(state.low, state.low_at, sign=-1), state.undefined)
        return jax.tree.map(np.asarray, found) if blocks.on_host(rows.data) and check.is_concrete(state.seen) else found

    return find


def _enough(count: int, n: int) -> None:
    if count > n:
        raise ValueError(f"count is {count}, but there are only {n} examples to choose from")


class _State(NamedTuple):
    high: Array  # (k, count), falling
    high_at: Array  # numbers from 1 on; 0 where there is none yet
    low: Array  # the same of the negated influences
    low_at: Array
    undefined: Array
    seen: Array


@dataclasses.dataclass(frozen=True)
class _Add:
    count: int

    def __call__(self, of: Callable[..., Array], state: _State, numbers: Array, *block: Array) -> _State:
        values = of(*block).T
        undefined = jnp.isnan(values) & (numbers > 0)
        usable = (numbers > 0) & ~undefined
        high, high_at = self._merged(state.high, state.high_at, values, usable, numbers)
        low, low_at = self._merged(state.low, state.low_at, -values, usable, numbers)
        lost = state.undefined + undefined.sum(axis=1, dtype=jnp.int32)
        seen = state.seen + (numbers > 0).sum(dtype=jnp.int32)
        return _State(high, high_at, low, low_at, lost, seen)

    def _merged(self, best: Array, at: Array, values: Array, usable: Array, numbers: Array) -> tuple[Array, Array]:
        """The best of those known and those that come, (k, b)."""
        # Padding and NaN have the number 0 and come after an influence of -inf.
        values = jnp.where(usable, values, -jnp.inf)
        given = jnp.where(usable, numbers, 0)
        place = jax.lax.top_k(values, min(self.count, values.shape[1]))[1]
        come, come_at = (jnp.take_along_axis(a, place, axis=1) for a in (values, given))
        # Blocks may interleave, so that ties are broken by number and not by who came first.
        last = lambda a: jnp.where(a == 0, jnp.iinfo(jnp.int32).max, a)  # noqa: E731
        both = (-jnp.concatenate([best, come], axis=1), last(jnp.concatenate([at, come_at], axis=1)))
        values, numbers = jax.lax.sort(both, num_keys=2)
        values, numbers = values[:, : self.count], numbers[:, : self.count]
        return -values, jnp.where(numbers == jnp.iinfo(jnp.int32).max, 0, numbers)


def _named(values: Array, numbers: Array, *, sign: int = 1) -> tuple[Array, Array]:
    return jnp.where(numbers > 0, sign * values, jnp.nan), numbers - 1
