"""Projection of a symmetric matrix to a Krylov space, and what it tells of the spectrum."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnoisy import check, tree
from jaxnoisy.curvature.operator import Block, Operator, as_operator
from jaxnoisy.types import Array, Key, PyTree


class Projection(NamedTuple):
    """A symmetric matrix A on a space of m dimensions.

    Attributes:
        basis: m orthonormal vectors Q, as a block, in float32 at least.
        matrix: (m, m) Q^T A Q.
        beyond: scalar, the length of the part of A q_m that lies outside the space. A value and vector (e, s) of
            ``matrix`` are an eigenpair (e, Q s) of A but for a residual of length ``beyond`` |s_m|.
    """

    basis: Block
    matrix: Array
    beyond: Array


class _State(NamedTuple):
    basis: Block  # zero beyond those found
    columns: Array  # (m, m) Q^T A q_j
    beyond: Array
    size: Array  # the longest A q so far, at most ||A||


def lanczos(key: Key, matrix: Operator | Callable[[PyTree], PyTree], like: PyTree, *, steps: int) -> Projection:
    """Project to the Krylov space of a random vector, by the Lanczos process with full reorthogonalisation.

    For a symmetric matrix the Arnoldi process is that of Lanczos (1950). Orthogonalising against the whole basis,
    twice, keeps it orthonormal to rounding, where the three-term recurrence would find the large eigenvalues again and
    again (Parlett 1998, "The symmetric eigenvalue problem", chapter 13). Where the space is exhausted before m, a
    random vector orthogonal to it goes on: so are eigenvalues of several dimensions found.

    Args:
        key: typed key.
        matrix: A, symmetric.
        like: a vector: parameters, or their shapes. The basis is laid out over devices as they are.
        steps: m; at most p are taken.

    Cost: m products with one vector, and 8 m^2 p operations. Memory: m vectors.
    """
    check.typed_key(key)
    m, operator = min(check.positive_int(steps, name="steps"), tree.size(like)), as_operator(matrix)
    state = _begin(key, like, m)

    def product(j: Array, s: _State) -> Block:
        return operator.block(jax.tree.map(lambda q, a: _row(q, j).astype(a.dtype), s.basis, like))

    if operator.streamed:
        for j in map(jnp.asarray, range(m)):
            state = _advance_compiled(key, j, state, product(j, state))
    else:
        state = jax.lax.fori_loop(0, m, lambda j, s: _advance(key, j, s, product(j, s)), state)
    upper = jnp.triu(state.columns)
    return Projection(state.basis, upper + jnp.triu(upper, 1).T, state.beyond)


def spectral_bound(key: Key, matrix: Operator | Callable[[PyTree], PyTree], like: PyTree, *, steps: int = 8) -> Array:
    """A bound on the largest eigenvalue of A from a few products, never below 0.

    The largest Ritz value lies below it; with the residual of the last step added it lies above, unless the random
    first vector has next to no part along the top eigenvector (Zhou and Li 2011, "Bounding the spectrum of large
    Hermitian matrices").

    Args:
        key: typed key.
        matrix: A, symmetric, as an operator or a function of one vector.
        like: a vector: parameters, or their shapes.
        steps: products; more make the bound tighter.

    Returns:
        A scalar.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> scale = jnp.linspace(0.0, 4.0, 50)
        >>> 4.0 <= float(spectral_bound(jax.random.key(0), lambda v: scale * v, scale)) < 6.0
        True
    """
    found = lanczos(key, matrix, like, steps=steps)
    sound = jnp.isfinite(found.matrix).all()
    top = jnp.linalg.eigvalsh(jnp.where(sound, found.matrix, 0))[-1]
    return jnp.where(sound, jnp.maximum(top + found.beyond, 0), jnp.nan)


def _begin(key: Key, like: PyTree, m: int) -> _State:
    wide = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, jnp.promote_types(a.dtype, jnp.float32)), like)
    first = jax.tree.map(_placed_as, tree.random_like(key, wide), like)
    first = tree.scale(1 / tree.norm(first), first)
    place = jnp.arange(m) == 0
    basis = jax.tree.map(lambda a: a[None] * place.reshape(-1, *[1] * a.ndim).astype(a.dtype), first)
    zero = jnp.zeros((), tree.gram(basis, basis).dtype)
    return _State(basis, jnp.zeros((m, m), zero.dtype), zero, zero)


def _placed_as(a: Array, like: PyTree) -> Array:
    # A single device is not a layout: with examples on several, what is drawn must be free to follow them.
    placed = isinstance(like, jax.Array) and check.is_concrete(like) and isinstance(like.sharding, jax.NamedSharding)
    return jax.device_put(a, like.sharding) if placed else a


def _row(a: Array, j: Array) -> Array:
    return jax.lax.dynamic_slice_in_dim(a, j, 1)


def _advance(key: Key, j: Array, s: _State, product: Block) -> _State:
    m = len(s.columns)
    product = jax.tree.map(lambda a, q: a.astype(q.dtype), product, s.basis)
    rest, column = _outside(s.basis, product)
    length, size = tree.norm(rest), jnp.maximum(s.size, tree.norm(product))
    exhausted = length <= 10 * m * jnp.finfo(length.dtype).eps * size
    beyond = jnp.where(exhausted, 0, length)

    def other() -> Block:
        drawn = _outside(s.basis, tree.random_like(jax.random.fold_in(key, j), product))[0]
        return tree.scale(1 / tree.norm(drawn), drawn)

    following = jax.lax.cond(exhausted, other, lambda: tree.scale(1 / length, rest))
    # Past the last place nothing is written.
    basis = jax.tree.map(lambda q, a: q.at[j + 1].set(a[0], mode="drop"), s.basis, following)
    return _State(basis, s.columns.at[:, j].set(column), beyond, size)


def _outside(basis: Block, block: Block) -> tuple[Block, Array]:
    """The part of one vector orthogonal to the basis, and the coefficients of the part in it."""
    first = tree.gram(basis, block)
    once = tree.axpy(-1.0, tree.combine(basis, first), block)
    second = tree.gram(basis, once)
    return tree.axpy(-1.0, tree.combine(basis, second), once), (first + second)[:, 0]


_advance_compiled = jax.jit(_advance)
