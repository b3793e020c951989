"""Class-conditional noise of any kind: each label is drawn from its class's row of a transition matrix."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.noise import _draw
from jaxnoisy.noise.result import Corrupt, NoisyLabels
from jaxnoisy.types import Array, ArrayLike, Key


def transition(*, matrix: ArrayLike) -> Corrupt[NoisyLabels]:
    """Draw each label y from row y of a row-stochastic matrix.

    Args:
        matrix: floats of shape (c, c) with c >= 2; entry (i, j) is the probability that class i is labeled j. Rows are
            nonnegative and sum to 1 within 1e-5 (what is left is removed by dividing).

    Returns:
        ``corrupt(key, labels, inputs=None)``, see :class:`~jaxnoisy.noise.Corrupt`; ``inputs`` are not read.
        An entry of 0 is never drawn; the others are met within float32's 1.2e-7. Memory O(n + c^2), time O(n log c).

    Raises:
        TypeError: the matrix is not floating point.
        ValueError: it is not square, holds NaN, or a row is not a distribution.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxnoisy.noise import transition
        >>> corrupt = transition(matrix=[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
        >>> noisy = corrupt(jax.random.key(0), jnp.array([0, 1, 2]))
        >>> noisy.labels.tolist(), noisy.mask.tolist()
        ([1, 2, 2], [True, True, False])
    """
    rows = row_stochastic(matrix)
    num_classes = rows.shape[0]
    # Summed in float64 and then rounded to float32, a row reaches exactly 1 at its last positive entry: uniform numbers
    # lie below 1, so that no zero entry after it is drawn.
    table = np.cumsum(rows, axis=1).astype(np.float32)

    def corrupt(key: Key, labels: ArrayLike, inputs: ArrayLike | None = None) -> NoisyLabels:
        given = _draw.arguments(key, labels, num_classes=num_classes)
        uniform = jax.random.uniform(key, given.shape, jnp.float32)
        return _draw.result(given, _invert(jnp.asarray(table), given.astype(jnp.int32), uniform))

    return corrupt


def row_stochastic(matrix: ArrayLike, *, name: str = "matrix") -> np.ndarray:
    """Return a transition matrix as float64 of shape (c, c) with rows that sum to 1, or say what is wrong with it."""
    a = np.asarray(matrix)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or a.shape[0] < 2:
        raise ValueError(f"{name} must be square, (c, c) with c >= 2 classes, but has shape {a.shape}")
    if not jnp.issubdtype(a.dtype, jnp.floating):
        raise TypeError(f"{name} must hold probabilities as floats, but has dtype {a.dtype}")
    a = a.astype(np.float64)
    check.finite(a, name=name)
    sums = a.sum(axis=1)
    wrong = (a < 0).any(axis=1) | (np.abs(sums - 1) > 1e-5)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(
            f"{name}[{i}] is not a distribution (sum {sums[i]:.6g}, smallest entry {a[i].min():.4g}): "
            "row i holds the probabilities of the labels given to class i; divide counts by their row sum"
        )
    return a / sums[:, None]


def _invert(table: Array, rows: Array, uniform: Array) -> Array:
    """Per example the first column of its row of cumulative sums above ``uniform``, by bisection.

    ``jnp.searchsorted`` under ``vmap`` would gather a row of the table for each example, an (n, c) array.
    """
    last = table.shape[1] - 1
    low, high = jnp.zeros_like(rows), jnp.full_like(rows, last)
    for _ in range(last.bit_length()):
        middle = (low + high) // 2
        above = table[rows, middle] > uniform
        low, high = jnp.where(above, low, middle + 1), jnp.where(above, middle, high)
    return low
