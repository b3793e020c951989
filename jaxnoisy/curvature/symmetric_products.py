"""Many symmetric matrices over one set of features: their Gram sums, and their quadratic forms, in large products.

Both come in panels of columns, and a panel's product stops at its diagonal block: 5/8 of the operations for four
panels, 9/16 for eight (features of about 512), near 1/2 for many. All matrices share each product, side by side.
"""

import itertools
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np

from jaxnoisy.types import Array

Panels: TypeAlias = tuple[Array, ...]
"""Upper parts of q symmetric (D, D) matrices: for columns [start, end), an array (end, q, end - start)."""

_WIDTH = 64
_COLUMNS = 2048  # of one product: what it gives should fit a processor's cache until it is used


def edges(size: int) -> list[tuple[int, int]]:
    """The panels' columns, even in width."""
    ends = np.linspace(0, size, max(1, round(size / _WIDTH)) + 1).astype(int)
    return [(int(a), int(b)) for a, b in itertools.pairwise(ends)]


def zeros(count: int, size: int, dtype: np.dtype) -> Panels:
    """Panels of ``count`` matrices of zeros."""
    return tuple(jnp.zeros((end, count, end - start), dtype) for start, end in edges(size))


def grams(features: Array, coefficients: Array) -> Panels:
    """sum_i coefficients[i, q] h_i h_i^T for every q.

    Args:
        features: h, (n, D).
        coefficients: (n, q), of any sign.

    Returns:
        Panels. Cost: about 9/8 n q D^2 operations.
    """
    n = len(features)
    found = []
    for start, end in edges(features.shape[1]):
        parts = []
        for some in _chunks(coefficients.shape[1], end - start):
            scaled = coefficients[:, some, None] * features[:, None, start:end]
            product = jnp.matmul(features[:, :end].T, scaled.reshape(n, -1), precision="highest")
            parts.append(product.reshape(end, -1, end - start))
        found.append(jnp.concatenate(parts, axis=1))
    return tuple(found)


def whole(panels: Panels) -> Array:
    """The symmetric matrices, (q, D, D)."""
    size = panels[-1].shape[0]
    columns = [jnp.pad(panel, ((0, size - panel.shape[0]), (0, 0), (0, 0))) for panel in panels]
    upper = jnp.concatenate(columns, axis=2).transpose(1, 0, 2)
    block = np.concatenate([np.full(end - start, i) for i, (start, end) in enumerate(edges(size))])
    mirrored = jnp.where(block[:, None] < block[None, :], upper, 0)
    return upper + mirrored.transpose(0, 2, 1)


def for_forms(matrices: Array) -> Panels:
    """Panels of (q, D, D) symmetric matrices for :func:`forms`: what lies above the diagonal blocks counts twice."""
    found = []
    for start, end in edges(matrices.shape[1]):
        twice = np.where(np.arange(end) < start, 2, 1)
        found.append(
            matrices[:, :end, start:end].transpose(1, 0, 2) * jnp.asarray(twice, matrices.dtype)[:, None, None]
        )
    return tuple(found)


def forms(panels: Panels, features: Array, coefficients: Array) -> Array:
    """sum_q coefficients[i, q] h_i^T S_q h_i for every i.

    Args:
        panels: the S_q, from :func:`for_forms`.
        features: h, (n, D).
        coefficients: (n, q).

    Returns:
        (n,). Cost: about 9/8 n q D^2 operations.
    """
    n = len(features)
    total = jnp.zeros(n, features.dtype)
    for (start, end), panel in zip(edges(features.shape[1]), panels):
        for some in _chunks(coefficients.shape[1], end - start):
            part = panel[:, some].reshape(end, -1)
            product = jnp.matmul(features[:, :end], part, precision="highest").reshape(n, -1, end - start)
            inner = jnp.sum(product * features[:, None, start:end], axis=2)
            total = total + jnp.sum(inner * coefficients[:, some], axis=1)
    return total


def _chunks(count: int, width: int) -> list[slice]:
    size = max(1, _COLUMNS // width)
    return [slice(i, min(i + size, count)) for i in range(0, count, size)]
