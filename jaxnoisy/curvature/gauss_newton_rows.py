"""The Gauss-Newton matrix by its rows: the model is differentiated once, and a product is two matrix products.

With s_1, ..., s_o the columns of a root of the loss's Hessian by an example's o outputs, its part of the matrix is
sum_r (J^T s_r)(J^T s_r)^T. All n o vectors J^T s_r are held as one array R, and a product is R^T (R v). That takes
4 n o p operations, whatever the model does with its parameters, where a convolution over q positions takes about
8 n q p by differentiation: with few outputs it is many times faster, most of all on a CPU, where XLA is slow at
convolutions, and slower still at those inside the loop of a solver.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnoisy import check, tree
from jaxnoisy.curvature import examples, output_factors, passes
from jaxnoisy.curvature.cholesky import as_block, as_rows
from jaxnoisy.curvature.operator import Block, Operator
from jaxnoisy.curvature.products import Build, gauss_newton, whole
from jaxnoisy.curvature.stream import Stream
from jaxnoisy.types import Array, ArrayLike, PyTree


def gauss_newton_rows(
    model: Callable[[PyTree, PyTree], PyTree],
    output_loss: Callable[[PyTree, PyTree], Array],
    *,
    batch_size: int = 64,
) -> Build:
    """The matrix of :func:`gauss_newton`, where an array of n o p numbers fits in memory.

    Args:
        model: as in :func:`gauss_newton`.
        output_loss: as in :func:`gauss_newton`; where it is not convex in the outputs, its Hessian's negative
            eigenvalues are taken as 0, so that the matrix is positive semidefinite.
        batch_size: examples per microbatch while the rows are made.

    Returns:
        ``build(params, data, weights=None, frozen=None) -> Operator``, with data a pair (inputs, targets) of arrays.
        Cost: o gradients per example, once. Memory: n o p numbers, in float32 at least, and twice the gradients of a
        microbatch's outputs while they are made. Cost of a product: 4 n o p operations per vector.

    Raises:
        ValueError: a batch size below 1; from ``build``: as from that of :func:`gauss_newton`.
        TypeError: from ``build``: a :class:`Stream`, of which nothing is to be held; take :func:`gauss_newton`.

    Example:
        >>> import jax.numpy as jnp
        >>> half_square = lambda z, y: 0.5 * (z - y) ** 2
        >>> build = gauss_newton_rows(lambda w, x: jnp.tanh(x @ w), half_square)
        >>> build(jnp.zeros(2), (jnp.eye(2), jnp.ones(2)))(jnp.array([2.0, 4.0])).round(4).tolist()
        [1.0, 2.0]
    """
    check.positive_int(batch_size, name="batch_size")
    static = _Static(model, output_loss)

    def build(
        params: PyTree, data: PyTree | Stream, *, weights: ArrayLike | None = None, frozen: PyTree = None
    ) -> Operator:
        tree.real_parameters(params)
        if isinstance(data, Stream):
            raise TypeError("rows are held for arrays, but a Stream was given: take gauss_newton, which holds nothing")
        static.check(params, data, frozen)
        params = jax.tree.map(jnp.asarray, params)
        rows = _rows(static, params, data, passes.prepare(data, weights), frozen, batch_size)
        return Operator(jax.tree_util.Partial(_product, rows))

    return build


@dataclasses.dataclass(frozen=True)
class _Static:
    """What a microbatch's rows are compiled for."""

    model: Callable[[PyTree, PyTree], PyTree]
    output_loss: Callable[[PyTree, PyTree], Array]

    def check(self, params: PyTree, data: PyTree, frozen: PyTree) -> None:
        """Refuse what the differentiated matrix refuses, without computing anything."""
        abstract = lambda a: jax.ShapeDtypeStruct(jnp.shape(a), jnp.result_type(a))  # noqa: E731
        build = gauss_newton(self.model, self.output_loss)
        jax.eval_shape(lambda p, d, f: build(p, d, frozen=f), *jax.tree.map(abstract, (params, data, frozen)))

    def outputs(self, params: PyTree, data: PyTree, frozen: PyTree) -> int:
        """o, the model's outputs for one example."""
        x = examples.one(data)[0]
        return tree.size(jax.eval_shape(lambda p, f, x: self.model(whole(p, f), x), params, frozen, x))

    def __call__(self, params: PyTree, frozen: PyTree, batch: passes.Batch) -> Array:
        """(b o, p), each example's rows times the root of its weight."""

        def one(x: PyTree, y: PyTree, weight: Array) -> Array:
            outputs, pull = jax.vjp(lambda p: self.model(whole(p, frozen), x), params)
            columns = output_factors.exact(self.output_loss, outputs, y)
            return jnp.sqrt(weight) * as_rows(jax.vmap(lambda s: pull(s)[0])(columns))

        inputs, targets = batch.data
        with jax.default_matmul_precision("highest"):
            found = jax.vmap(one)(inputs, targets, jnp.asarray(batch.weights))
        return found.reshape(-1, found.shape[-1])


def _rows(static: _Static, params: PyTree, data: PyTree, weights: Any, frozen: PyTree, size: int) -> Array:
    """(m, p) with m >= n o; rows beyond are zero."""
    n, o = len(weights), static.outputs(params, data, frozen)
    size = -(-n // -(-n // size))
    dtype = jnp.result_type(jnp.float32, *jax.tree.leaves(params))
    room = jnp.zeros((-(-n // size) * size * o, tree.size(params)), dtype)
    start = room, jnp.zeros((), jnp.int32)
    if passes.traced(params, data, frozen, weights):
        step = functools.partial(_put, static, params, frozen)
        return passes.total(step, start, data, weights, size)[0]
    for batch in passes.on_host(data, weights, size):
        start = _put_compiled(static, params, frozen, start, batch)
    return start[0]


def _put(
    static: _Static, params: PyTree, frozen: PyTree, so_far: tuple[Array, Array], batch: passes.Batch
) -> tuple[Array, Array]:
    """Write a microbatch's rows after those that are there."""
    rows, filled = so_far
    found = static(params, frozen, batch).astype(rows.dtype)
    return jax.lax.dynamic_update_slice(rows, found, (filled, jnp.zeros_like(filled))), filled + len(found)


_put_compiled = jax.jit(_put, static_argnums=0, donate_argnums=3)


def _product(rows: Array, vectors: Block) -> Block:
    k = {len(a) for a in jax.tree.leaves(vectors)}.pop()
    like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), vectors)
    flat = as_rows(vectors)
    if flat.shape != (k, rows.shape[1]):
        raise ValueError(
            f"vectors must have {rows.shape[1]} numbers each, as the parameters have, but have {flat.shape[1]}"
        )
    through = jnp.matmul(rows, flat.T.astype(rows.dtype), precision="highest")
    return as_block(jnp.matmul(through.T, rows, precision="highest"), like)
