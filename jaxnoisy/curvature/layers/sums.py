"""Sums over a batch of what a layer's factors are made of, from its inputs and the cotangents of its outputs."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnoisy.curvature.layers.captured import Side
from jaxnoisy.types import Array


class Moments(NamedTuple):
    """Second moments of one side of a layer: sums over examples, vectors and positions.

    Attributes:
        inputs: (D, D) sum of w a a^T.
        cotangents: (c, c) sum of w g g^T.
    """

    inputs: Array
    cotangents: Array


def moments(side: Side, weights: Array) -> Moments:
    """The second moments of a batch, weighted by (b,)."""
    return Moments(_gram(side.inputs, weights), _gram(side.cotangents, weights))


def factors(sides: Sequence[tuple[Moments, bool]]) -> tuple[Array, Array]:
    """The Kronecker factors (D, D) of a layer's rows and (c, c) of its columns.

    Where a kernel is used as it is and turned, with the moments R_s of rows and C_s of columns for s = 1, 2, they are
    the partial traces of the sum of R_s (x) C_s: the scales of the two then do not matter.

    Args:
        sides: for each side of the layer its moments, and whether it is turned.
    """
    pairs = [(m.cotangents, m.inputs) if turned else (m.inputs, m.cotangents) for m, turned in sides]
    if len(pairs) == 1:
        return pairs[0]
    rows = [r * jnp.trace(c) for r, c in pairs]
    columns = [c * jnp.trace(r) for r, c in pairs]
    return sum(rows[1:], rows[0]), sum(columns[1:], columns[0])


def squares(sides: tuple[Side, ...], rows: Array, columns: Array, weights: Array) -> Array:
    """sum_i w_i sum_r M_ir^2, entry by entry, (D, c).

    Args:
        sides: of a layer, for b examples and r vectors.
        rows: (D, D) a basis, as columns.
        columns: (c, c) another.
        weights: (b,).

    M_ir is the gradient of example i along vector r in these bases, a sum over positions that is taken before the
    square. Memory beside the arguments: one gradient per example.
    """
    if _single(sides):
        inputs, cotangents = _pair(sides[0], rows, columns)
        found = jnp.matmul((weights[:, None] * inputs**2).T, jnp.sum(cotangents**2, axis=1))
        return found.T if sides[0].turned else found
    sides, rest = _early(sides, rows, columns)

    def add(total: Array, cotangents: list[Array]) -> tuple[Array, None]:
        m = _gradients(sides, cotangents, rest)
        return total + jnp.tensordot(weights.astype(m.dtype), m**2, 1), None

    start = jnp.zeros((len(rows), len(columns)), rows.dtype)
    return jax.lax.scan(add, start, [jnp.moveaxis(s.cotangents, 1, 0) for s in sides])[0]


def forms(sides: tuple[Side, ...], rows: Array, columns: Array, coefficients: Array) -> Array:
    """sum_jk coefficients[j, k] M_i[j, k]^2 for every example, (b,), with M_i as in :func:`squares` for one vector."""
    if _single(sides):
        inputs, cotangents = _pair(sides[0], rows, columns)
        along = coefficients.T if sides[0].turned else coefficients
        return jnp.sum(jnp.matmul(inputs**2, along) * cotangents[:, 0] ** 2, axis=1)
    sides, rest = _early(sides, rows, columns)
    m = _gradients(sides, [s.cotangents[:, 0] for s in sides], rest)
    return jnp.sum(coefficients * m**2, axis=(1, 2))


def _gram(a: Array, weights: Array) -> Array:
    scaled = a * weights.reshape(-1, *[1] * (a.ndim - 1)).astype(a.dtype)
    size = a.shape[-1]
    return jnp.matmul(scaled.reshape(-1, size).T, a.reshape(-1, size))


def _single(sides: tuple[Side, ...]) -> bool:
    """Whether gradients are products of one input and one cotangent, so that squares can be taken before."""
    return len(sides) == 1 and sides[0].inputs.shape[1] == 1


def _pair(side: Side, rows: Array, columns: Array) -> tuple[Array, Array]:
    """(b, D) and (b, r, c) in the bases."""
    first, second = (columns, rows) if side.turned else (rows, columns)
    return side.inputs[:, 0] @ first, side.cotangents[:, :, 0] @ second


def _early(sides: tuple[Side, ...], rows: Array, columns: Array) -> tuple[tuple[Side, ...], tuple[Array, ...]]:
    """Change the bases of inputs and cotangents now, or leave that to the gradients, whichever costs less."""
    d, c, r = len(rows), len(columns), sides[0].cotangents.shape[1]
    before = sum(s.inputs.shape[1] * (s.inputs.shape[2] ** 2 + r * s.cotangents.shape[3] ** 2) for s in sides)
    if before > r * d * c * (d + c):
        return sides, (rows, columns)
    moved = []
    for s in sides:
        first, second = (columns, rows) if s.turned else (rows, columns)
        moved.append(s._replace(inputs=s.inputs @ first, cotangents=s.cotangents @ second))
    return tuple(moved), ()


def _gradients(sides: tuple[Side, ...], cotangents: Sequence[Array], bases: tuple[Array, ...]) -> Array:
    """(b, D, c), for cotangents of (b, q, c) per side."""
    parts = [jnp.einsum("bqk,bqd->bdk" if s.turned else "bqd,bqk->bdk", s.inputs, g) for s, g in zip(sides, cotangents)]
    m = sum(parts[1:], parts[0])
    if not bases:
        return m
    rows, columns = bases
    return jnp.einsum("de,bdk->bek", rows, m @ columns)
