"""Exact nearest neighbours by matrix products, a block of rows at a time."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxnoisy import check
from jaxnoisy.types import Array, ArrayLike

_VALUES = 1 << 24
"""Similarities held at a time: 64 MiB."""

_MOST_ROWS = 1024


class Neighbours(NamedTuple):
    """The neighbours of each of n examples, the nearest first; of equally near ones the first comes first.

    Attributes:
        rows: (n, k) int32, which examples they are; never the example itself.
        similarity: (n, k) float32, the cosines with them.
    """

    rows: Array
    similarity: Array


NearestNeighbours: TypeAlias = Callable[[ArrayLike], Neighbours]


def nearest_neighbours(*, k: int, block: int | None = None) -> NearestNeighbours:
    """The k examples of largest cosine with each example, itself left out.

    Args:
        k: neighbours of each.
        block: examples compared with all others at a time; by default as many as keep that to 64 MiB, at most 1,024.

    Returns:
        ``find(features) -> Neighbours`` for (n, d) floats, which may be jitted. A row of zeros has cosine 0 with all.
        Cost: n^2 d multiplications, in products of (block, d) and (d, n), and n selections of k among n; memory of
        n (d + k) and block x n numbers.

    Raises:
        ValueError: from the constructor on ``k`` or ``block`` below 1; from ``find`` on features that are not (n, d)
            with n > k, or not finite.
        TypeError: from ``find`` on features that are not floats.

    Example:
        >>> import jax.numpy as jnp
        >>> nearest_neighbours(k=1)(jnp.array([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0]])).rows.tolist()
        [[1], [0], [1]]
    """
    check.positive_int(k, name="k")
    if block is not None:
        check.positive_int(block, name="block")

    def find(features: ArrayLike) -> Neighbours:
        if features.ndim != 2:
            raise ValueError(f"features must have shape (n, d), but have shape {features.shape}")
        if not jnp.issubdtype(features.dtype, jnp.floating):
            raise TypeError(f"features must be floats, but are {features.dtype}")
        n = len(features)
        if n <= k:
            raise ValueError(f"{k} neighbours of each example need at least {k + 1} examples, but there are {n}")
        if check.is_concrete(features):
            check.finite(features, name="features")
        x = jnp.asarray(features, jnp.float32)
        # By the largest entry first, so that squares neither overflow nor vanish.
        x = x / jnp.maximum(jnp.abs(x).max(axis=1, keepdims=True), jnp.finfo(jnp.float32).tiny)
        x = x / jnp.maximum(jnp.sqrt(jnp.sum(x * x, axis=1, keepdims=True)), 0.5)
        size = min(n, block or max(1, min(_MOST_ROWS, _VALUES // n)))
        steps = -(-n // size)
        rows = jnp.minimum(jnp.arange(steps * size), n - 1).reshape(steps, size)

        def of_block(rows: Array) -> tuple[Array, Array]:
            similarity = jnp.matmul(x[rows], x.T, precision="highest")
            itself = rows[:, None] == jnp.arange(n)
            return jax.lax.top_k(jnp.where(itself, -jnp.inf, similarity), k)

        similarity, found = jax.lax.map(of_block, rows)
        return Neighbours(found.reshape(-1, k)[:n], similarity.reshape(-1, k)[:n])

    return find
