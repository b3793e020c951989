"""Coordinates in which the Hessian of softmax cross entropy on a linear head is regular, and no larger than need be.

Adding one number to all logits changes no probability: of the c values per feature, only their c - 1 contrasts count.
With Q of (c, c - 1) orthonormal columns that sum to 0, the Hessian is zero on the common part, and on the contrasts it
is sum_i w_i K_i (x) h_i h_i^T with K_i = Q^T (diag p_i - p_i p_i^T) Q, symmetric of (c - 1, c - 1). Blocks s, t and
t, s agree, so c (c - 1) / 2 weighted Gram matrices of the features make up the whole.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxnoisy.types import Array


@functools.lru_cache(maxsize=16)
def contrasts(c: int) -> np.ndarray:
    """Q of (c, c - 1), float64: column s sets class s + 1 against the mean of those before it (Helmert)."""
    q = np.zeros((c, c - 1))
    for s in range(1, c):
        q[:s, s - 1] = 1 / s
        q[s, s - 1] = -1
        q[:, s - 1] /= np.linalg.norm(q[:, s - 1])
    return q


@functools.lru_cache(maxsize=16)
def pairs(m: int) -> tuple[np.ndarray, np.ndarray]:
    """All s <= t below m, by t and then by s: two arrays of m (m + 1) / 2."""
    second, first = np.tril_indices(m)
    return first.astype(np.int32), second.astype(np.int32)


@functools.lru_cache(maxsize=16)
def place(m: int) -> np.ndarray:
    """(m, m), where in :func:`pairs` the pair (s, t) or (t, s) stands."""
    found = np.zeros((m, m), np.int32)
    first, second = pairs(m)
    found[first, second] = found[second, first] = np.arange(len(first))
    return found


@functools.lru_cache(maxsize=16)
def _from_classes(c: int) -> np.ndarray:
    """(c (c - 1) / 2, c (c - 1) / 2): what p_a p_b, a < b, gives to each pair of contrasts."""
    a, b = np.triu_indices(c, 1)
    q = contrasts(c)
    step = q[a] - q[b]
    first, second = pairs(c - 1)
    return step[:, first] * step[:, second]


def of_probabilities(p: Array) -> Array:
    """The matrices K_i for probabilities of (n, c), as (n, c (c - 1) / 2) in the order of :func:`pairs`.

    As diag p - p p^T is the sum of p_a p_b (e_a - e_b)(e_a - e_b)^T over a < b, no 1 - p is formed, which would lose
    its digits where the model is sure of itself.
    """
    a, b = (i.astype(np.int32) for i in np.triu_indices(p.shape[1], 1))
    return jnp.matmul(p[:, a] * p[:, b], jnp.asarray(_from_classes(p.shape[1]), p.dtype), precision="highest")


def of_residuals(r: Array) -> Array:
    """What r^T Q S Q^T r has before each S_st, s <= t, for r of (n, c): (n, c (c - 1) / 2)."""
    z = to_contrasts(r)
    first, second = pairs(z.shape[1])
    return z[:, first] * z[:, second] * jnp.asarray(np.where(first == second, 1, 2), z.dtype)


def to_contrasts(r: Array) -> Array:
    """``r Q`` along the last axis: (..., c) to (..., c - 1)."""
    return jnp.matmul(r, _matrix(r.shape[-1], r.dtype), precision="highest")


def from_contrasts(z: Array) -> Array:
    """``z Q^T`` along the last axis: (..., c - 1) to (..., c)."""
    return jnp.matmul(z, _matrix(z.shape[-1] + 1, z.dtype).T, precision="highest")


def common(r: Array) -> Array:
    """The part of (..., c) that the contrasts leave out, its coordinate along the unit vector of ones: (...)."""
    return r.sum(-1) / np.sqrt(r.shape[-1]).astype(r.dtype)


def _matrix(c: int, dtype: DTypeLike) -> Array:
    return jnp.asarray(contrasts(c), dtype)
