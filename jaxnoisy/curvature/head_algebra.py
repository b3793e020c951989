"""The dense algebra behind a linear head, compiled; see :mod:`jaxnoisy.curvature.last_layer`.

Matrices are of (m, m), m = (c - 1) D, in c - 1 blocks of D: index s D + j for contrast s and feature j.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

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
    place = jnp.asarray(class_pairs.place(k))

    def put(i: Array, matrix: Array) -> Array:
        s, t = i // k, i % k
        return jax.lax.dynamic_update_slice(matrix, blocks[place[s, t]], (s * size, t * size))

    matrix = jax.lax.fori_loop(0, k * k, put, jnp.zeros((k * size, k * size), blocks.dtype))
    matrix = matrix + damping * jnp.eye(k * size, dtype=matrix.dtype)
    return matrix, jnp.linalg.cholesky(matrix, symmetrize_input=False)


@jax.jit
def inverse(lower: Array) -> Array:
    """(L L^T)^-1, nearly all of it in matrix products: about 4 m^3 / 3 operations, in the memory of two matrices."""
    m = len(lower)
    found = _squared_triangle(_inverse_triangle(lower, 0, m), 0, m)
    return jnp.tril(found) + jnp.tril(found, -1).T


_WHOLE = 512  # rows of a triangle that is not split: products are faster than LAPACK's triangles, but not on few rows


def _inverse_triangle(matrix: Array, start: int, end: int) -> Array:
    """The matrix with the lower triangle L of rows and columns [start, end) replaced by L^-1, by halves."""
    if end - start <= _WHOLE:
        part = matrix[start:end, start:end]
        unit = jnp.eye(end - start, dtype=matrix.dtype)
        return matrix.at[start:end, start:end].set(jax.scipy.linalg.solve_triangular(part, unit, lower=True))
    h = (start + end) // 2
    matrix = _inverse_triangle(_inverse_triangle(matrix, start, h), h, end)
    below = jnp.matmul(matrix[h:end, start:h], matrix[start:h, start:h], precision="highest")
    return matrix.at[h:end, start:h].set(-jnp.matmul(matrix[h:end, h:end], below, precision="highest"))


def _squared_triangle(matrix: Array, start: int, end: int) -> Array:
    """The matrix with the lower triangle X of rows and columns [start, end) replaced by that of X^T X, by halves."""
    if end - start <= _WHOLE:
        part = matrix[start:end, start:end]
        return matrix.at[start:end, start:end].set(jnp.matmul(part.T, part, precision="highest"))
    h = (start + end) // 2
    matrix = _squared_triangle(matrix, start, h)
    below = matrix[h:end, start:h]
    matrix = matrix.at[start:h, start:h].add(jnp.matmul(below.T, below, precision="highest"))
    matrix = matrix.at[h:end, start:h].set(jnp.matmul(matrix[h:end, h:end].T, below, precision="highest"))
    return _squared_triangle(matrix, h, end)


@functools.partial(jax.jit, static_argnames="size")
def pairs(matrix: Array, *, size: int) -> Panels:
    """The symmetric parts of the blocks s <= t, in panels for quadratic forms."""

    def block(s: Array, t: Array) -> Array:
        return jax.lax.dynamic_slice(matrix, (s * size, t * size), (size, size))

    return _panels(block, len(matrix) // size)


@functools.partial(jax.jit, static_argnames="size")
def square_pairs(matrix: Array, *, size: int) -> Panels:
    """Those of the symmetric matrix's square, of which only the blocks s <= t are formed: m^3 operations."""

    def block(s: Array, t: Array) -> Array:
        left, right = (jax.lax.dynamic_slice_in_dim(matrix, i * size, size) for i in (s, t))
        return jnp.matmul(left, right.T, precision="highest")

    return _panels(block, len(matrix) // size)


def _panels(block: Callable[[Array, Array], Array], k: int) -> Panels:
    """Panels for forms of the symmetric parts of ``block(s, t)``, one after another, which bounds the memory."""

    def symmetric(at: tuple[Array, Array]) -> Array:
        found = block(*at)
        return (found + found.T) / 2

    first, second = class_pairs.pairs(k)
    return symmetric_products.for_forms(jax.lax.map(symmetric, (jnp.asarray(first), jnp.asarray(second))))


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
