"""The dense algebra behind a linear head, compiled; see :mod:`jaxnoisy.curvature.last_layer`.

Matrices are of (m, m), m = (c - 1) D, in c - 1 blocks of D: index s D + j for contrast s and feature j.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy.curvature import class_pairs, symmetric_products
from jaxnoisy.curvature.symmetric_products import Panels
from jaxnoisy.types import Array


def extended(features: Array, size: int) -> Array:
    """The features with a last column of ones where the head of (size, c) has a bias, in float32 at least."""
    wide = features.astype(jnp.promote_types(features.dtype, jnp.float32))
    if features.shape[1] == size:
        return wide
    return jnp.concatenate([wide, jnp.ones((len(wide), 1), wide.dtype)], axis=1)


@functools.partial(jax.jit, donate_argnums=0)
def add_grams(panels: Panels, features: Array, logits: Array, weights: Array) -> Panels:
    """Add a block's share of the Hessian's blocks S_st, s <= t."""
    h = extended(features, panels[-1].shape[0])
    p = jax.nn.softmax(logits.astype(h.dtype), axis=1)
    coefficients = weights.astype(h.dtype)[:, None] * class_pairs.of_probabilities(p)
    return jax.tree.map(jnp.add, panels, symmetric_products.grams(h, coefficients))


@jax.jit
def factor(panels: Panels, damping: Array) -> tuple[Array, Array]:
    """The damped matrix and its Cholesky factor."""
    blocks = symmetric_products.whole(panels)
    q, size, _ = blocks.shape
    k = round((2 * q + 0.25) ** 0.5 - 0.5)
    grid = blocks[class_pairs.place(k)]
    matrix = grid.transpose(0, 2, 1, 3).reshape(k * size, k * size)
    matrix = matrix + damping * jnp.eye(k * size, dtype=matrix.dtype)
    return matrix, jnp.linalg.cholesky(matrix, symmetrize_input=False)


@jax.jit
def inverse(lower: Array) -> Array:
    """(L L^T)^-1, nearly all of it in matrix products: about m^3 operations."""
    m = len(lower)
    root = _inverse_root(lower)
    edges = np.linspace(0, m, min(_PARTS, m) + 1).astype(int)
    upper = []
    for start, end in itertools.pairwise(edges):
        product = jnp.matmul(root[start:, :end].T, root[start:, start:end], precision="highest")
        upper.append(jnp.pad(product, ((0, m - end), (0, 0))))
    found = jnp.concatenate(upper, axis=1)
    part = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    return jnp.where(part[:, None] <= part[None, :], found, found.T)


_PARTS = 8  # columns of a product of triangular matrices, each of which leaves out what is zero
_SOLVED = 512  # rows of a triangle that LAPACK inverts: it is slower than products are


def _inverse_root(lower: Array) -> Array:
    """L^-1, by halves."""
    m = len(lower)
    if m <= _SOLVED:
        return jax.scipy.linalg.solve_triangular(lower, jnp.eye(m, dtype=lower.dtype), lower=True)
    h = m // 2
    first, last = _inverse_root(lower[:h, :h]), _inverse_root(lower[h:, h:])
    below = jnp.matmul(last, jnp.matmul(lower[h:, :h], first, precision="highest"), precision="highest")
    return jnp.concatenate([jnp.pad(first, ((0, 0), (0, m - h))), jnp.concatenate([-below, last], axis=1)])


@functools.partial(jax.jit, static_argnames="size")
def pairs(matrix: Array, *, size: int) -> Panels:
    """The symmetric parts of the blocks s <= t, in panels for quadratic forms."""
    k = len(matrix) // size
    first, second = class_pairs.pairs(k)
    blocks = matrix.reshape(k, size, k, size).transpose(0, 2, 1, 3)[first, second]
    return symmetric_products.for_forms((blocks + blocks.transpose(0, 2, 1)) / 2)


@functools.partial(jax.jit, static_argnames="size")
def square_pairs(matrix: Array, *, size: int) -> Panels:
    """Those of the matrix's square, of which only the upper blocks are formed: m^3 operations."""
    m = len(matrix)
    columns = []
    for start in range(0, m, size):
        product = jnp.matmul(matrix[: start + size], matrix[:, start : start + size], precision="highest")
        columns.append(jnp.pad(product, ((0, m - start - size), (0, 0))))
    return pairs(jnp.concatenate(columns, axis=1), size=size)


@jax.jit
def forms(panels: Panels, common: Array, features: Array, residuals: Array) -> Array:
    """(n,) forms of gradients h r^T: those of the pairs on the contrasts, and ``common`` times the rest's square."""
    h = extended(features, panels[-1].shape[0])
    r = residuals.astype(h.dtype)
    rest = class_pairs.common(r) ** 2 * jnp.sum(h * h, axis=1)
    return symmetric_products.forms(panels, h, class_pairs.of_residuals(r)) + common * rest


@jax.jit
def inner_products(vectors: Array, features: Array, residuals: Array) -> Array:
    """(n, k) inner products of k vectors of (D, c) with gradients h r^T."""
    k, size, c = vectors.shape
    h = extended(features, size)
    along = jnp.matmul(h, vectors.transpose(1, 0, 2).reshape(size, k * c), precision="highest")
    return jnp.sum(along.reshape(-1, k, c) * residuals.astype(h.dtype)[:, None, :], axis=2)


@jax.jit
def solve(matrix: Array, lower: Array, damping: Array, rhs: Array) -> tuple[Array, Array]:
    """Solutions of (k, D, c), and what is left of the right-hand sides."""
    k, size, c = rhs.shape
    # On the part that all classes share the Hessian is 0.
    mean = jnp.mean(rhs, axis=2, keepdims=True)
    b = class_pairs.to_contrasts(rhs).transpose(0, 2, 1).reshape(k, -1)

    def correct(r: Array) -> Array:
        half = jax.scipy.linalg.solve_triangular(lower, r.T, lower=True)
        return jax.scipy.linalg.solve_triangular(lower, half, lower=True, trans=1).T

    def left(x: Array) -> Array:
        return b - jnp.matmul(x, matrix, precision="highest")

    x = correct(b)
    x = x + correct(left(x))
    back = class_pairs.from_contrasts(x.reshape(k, c - 1, size).transpose(0, 2, 1))
    return back + mean / damping, jnp.linalg.norm(left(x), axis=1)
