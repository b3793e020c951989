"""Self-influence of every example under EK-FAC: no solve, and no example's gradient beyond one layer's at a time."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check, tree
from jaxnoisy.curvature import kronecker, krylov, passes
from jaxnoisy.curvature.ekfac import checked
from jaxnoisy.curvature.kronecker import Ekfac
from jaxnoisy.curvature.layers import captured, sums
from jaxnoisy.curvature.layers.captured import Vectors
from jaxnoisy.curvature.stream import Stream
from jaxnoisy.types import Array, ArrayLike, PyTree


class Forms(Protocol):
    """What the constructors here return."""

    def __call__(self, matrix: Ekfac, params: PyTree, data: PyTree | Stream, *, frozen: PyTree = None) -> ArrayLike:
        """One number per example, (n,).

        Args:
            matrix: from :func:`ekfac`, with any kind of gradients and of any data.
            params: the parameters by which examples' gradients are taken.
            data: a pair (inputs, targets) of arrays with one leading axis, or a stream of such pairs.
            frozen: as in :func:`ekfac`.

        Returns:
            (n,), on the host where the data is there or is a stream.

        Raises:
            ValueError: parameters of another structure or shape than the matrix was made for; data that is no pair,
                or with values that are not finite.
            TypeError: a loss that is not a real scalar.
        """


def ekfac_quadratic_forms(
    model: Callable[[PyTree, PyTree], PyTree],
    output_loss: Callable[[PyTree, PyTree], Array],
    *,
    damping: float,
    batch_size: int = 64,
) -> Forms:
    """g_i^T (E + damping I)^-1 g_i for every example: its self-influence under the approximate matrix E.

    Args:
        model: ``model(params, inputs) -> outputs`` for one example, as given to :func:`ekfac`.
        output_loss: ``output_loss(outputs, targets) -> scalar``, whose gradient by the parameters is g_i.
        damping: >= 0. Without damping, directions whose eigenvalue is below rounding count nothing.
        batch_size: examples per microbatch.

    Returns:
        ``forms(matrix, params, data, *, frozen=None) -> (n,)``. Cost: one forward pass, one backward pass by the
        activations, and per layer as much as a pass of :func:`ekfac` with r = 1. Memory: a gradient of one layer for
        each example of a microbatch.

    Raises:
        ValueError: damping or batch size out of range.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnoisy.curvature import ekfac
        >>> half_square = lambda z, y: 0.5 * (z - y) ** 2
        >>> model, data = lambda w, x: x @ w, (jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([2.0, 4.0]))
        >>> matrix = ekfac(model, half_square)(jnp.zeros(2), data)
        >>> forms = ekfac_quadratic_forms(model, half_square, damping=0.5)
        >>> forms(matrix, jnp.zeros(2), data).round(4).tolist()
        [4.0, 16.0]
    """
    return _constructor(model, output_loss, damping, batch_size, _forms)


def ekfac_inverse_norms(
    model: Callable[[PyTree, PyTree], PyTree],
    output_loss: Callable[[PyTree, PyTree], Array],
    *,
    damping: float,
    batch_size: int = 64,
) -> Forms:
    """||(E + damping I)^-1 g_i|| for every example, with arguments, result and cost as of ekfac_quadratic_forms."""
    return _constructor(model, output_loss, damping, batch_size, _norms)


@dataclasses.dataclass(frozen=True)
class _Static:
    """What a pass is compiled for."""

    model: Callable[[PyTree, PyTree], PyTree]
    vectors: Vectors
    finish: Callable[["_Static", "_Arrays", passes.Batch], Array]


_Arrays = tuple[Ekfac, Array, PyTree, PyTree]
"""The matrix, the damping, the parameters, and the frozen ones."""


def _constructor(
    model: Callable[[PyTree, PyTree], PyTree],
    output_loss: Callable[[PyTree, PyTree], Array],
    damping: float,
    batch_size: int,
    finish: Callable[["_Static", "_Arrays", passes.Batch], Array],
) -> Forms:
    added = krylov.nonnegative(damping, name="damping")
    size = check.positive_int(batch_size, name="batch_size")
    static = _Static(model, Vectors(output_loss, "given"), finish)

    def forms(matrix: Ekfac, params: PyTree, data: PyTree | Stream, *, frozen: PyTree = None) -> ArrayLike:
        tree.same_shapes(params, matrix.form.like(), name="params", expected="the matrix")
        weights = passes.prepare(data, None)
        checked(model, output_loss, params, data, frozen)
        arrays = (matrix, jnp.asarray(added), params, frozen)
        if weights is not None and passes.traced(arrays, data):
            return passes.each(lambda batch: _compiled(static, arrays, batch), data, weights, size)
        parts = [
            (check.values(batch.places), check.values(_compiled(static, arrays, batch)))
            for batch in passes.on_host(data, weights, size)
        ]
        index, values = (np.concatenate(a) for a in zip(*parts))
        found = np.empty(index.max() + 1, values.dtype)
        found[index] = values
        host = weights is None or all(isinstance(a, np.ndarray) for a in jax.tree.leaves(data))
        return found if host else jnp.asarray(found)

    return forms


@functools.partial(jax.jit, static_argnums=0)
def _compiled(static: _Static, arrays: _Arrays, batch: passes.Batch) -> Array:
    return passes.unsplit(functools.partial(static.finish, static), batch)(arrays, batch)


def _forms(static: _Static, arrays: _Arrays, batch: passes.Batch) -> Array:
    return _sums(static, arrays, batch, power=1)


def _norms(static: _Static, arrays: _Arrays, batch: passes.Batch) -> Array:
    return jnp.sqrt(_sums(static, arrays, batch, power=2))


def _sums(static: _Static, arrays: _Arrays, batch: passes.Batch, *, power: int) -> Array:
    """sum_j (g_ij / (e_j + damping)^power g_ij) over the coordinates of each example's gradient, (b,)."""
    matrix, damping, params, frozen = arrays
    program = captured.trace(static.model, params, frozen, batch.data[0])
    seen = captured.capture(program, static.vectors, params, frozen, batch.data)
    shifted, regular = kronecker.shifted(matrix, damping)
    along = [jnp.where(r, 1 / jnp.where(r, e, 1), 0) ** power for e, r in zip(shifted, regular)]
    number = len(matrix.layers)
    with jax.default_matmul_precision("highest"):
        total = jnp.zeros(len(batch.weights), jnp.float32)
        for sides, f, a in zip(seen.layers, matrix.layers, along[:number]):
            total = total + sums.forms(sides, f.rows, f.columns, a)
        for g, a in zip(seen.others, along[number:]):
            total = total + jnp.sum((a * g[:, 0] ** 2).reshape(len(g), -1), axis=1)
    return total
