"""From the linear map of one batch to the operator of a data set: linearised whole, in microbatches, or streamed."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy.curvature import examples
from jaxnoisy.curvature.operator import Block, Like, Operator, shapes_of
from jaxnoisy.curvature.stream import Stream
from jaxnoisy.types import Array, ArrayLike, PyTree

Partial = jax.tree_util.Partial

Linear: TypeAlias = Callable[[PyTree], PyTree]
"""``v -> A v``, a pytree of what linearising has kept (as ``jax.linearize`` returns it)."""


class Local(Protocol):
    """The matrix of one batch, sum_i w_i A_i. Equal ones must compare equal: programs are cached by them."""

    def check(self, params: PyTree, data: PyTree, frozen: PyTree) -> None:
        """Refuse functions that do not fit the parameters and the data."""

    def __call__(self, params: PyTree, data: PyTree, weights: Array, frozen: PyTree) -> Linear:
        """Linearise at the parameters."""


@dataclasses.dataclass(frozen=True)
class Static:
    """What a product is compiled for."""

    local: Local
    batch_size: int
    memory: int


def operator(
    static: Static, params: PyTree, data: PyTree | Stream, weights: ArrayLike | None, frozen: PyTree
) -> Operator:
    """The operator of a data set; see :mod:`jaxnoisy.curvature.products`."""
    if isinstance(data, Stream):
        if weights is not None:
            raise ValueError("the weights of a stream are given to it: Stream(batches, weights=...)")
        return Operator(_Streamed(static, params, data, frozen), streamed=True)
    n = examples.count(data)
    examples.finite(data)
    w = examples.weights(weights, n)
    static.local.check(params, data, frozen)
    kept = _bytes(static.local, params, data, w, frozen)
    if kept <= static.memory:
        with jax.default_matmul_precision("highest"):
            linear = static.local(params, data, w, frozen)
        return Operator(Partial(_Linear(shapes_of(params), static.memory // max(kept, 1)), linear))
    batches = examples.microbatches(data, w, static.batch_size)
    together = static.memory // max(kept // batches.number, 1)
    return Operator(Partial(_Scan(static.local, shapes_of(params), together), params, batches, frozen))


def _bytes(local: Local, params: PyTree, data: PyTree, weights: Array, frozen: PyTree) -> int:
    """What linearising over ``data`` keeps, counted without computing it."""
    linear = jax.eval_shape(local, params, data, weights, frozen)
    return sum(int(a.size) * a.dtype.itemsize for a in jax.tree.leaves(linear))


def _each(product: Linear, vectors: Block, k: int, together: int) -> Block:
    with jax.default_matmul_precision("highest"):
        if k <= max(together, 1):
            return jax.vmap(product)(vectors)
        return jax.lax.map(product, vectors, batch_size=max(together, 1))


@dataclasses.dataclass(frozen=True)
class _Linear:
    like: Like
    together: int

    def __call__(self, linear: Linear, vectors: Block) -> Block:
        return _each(linear, vectors, self.like.taken(vectors, name="vector"), self.together)


@dataclasses.dataclass(frozen=True)
class _Scan:
    local: Local
    like: Like
    together: int

    def __call__(self, params: PyTree, batches: examples.Microbatches, frozen: PyTree, vectors: Block) -> Block:
        total = self.total(params, batches, frozen, vectors)
        return jax.tree.map(lambda a, v: a.astype(v.dtype), total, vectors)

    def total(self, params: PyTree, batches: examples.Microbatches, frozen: PyTree, vectors: Block) -> Block:
        """The product in single precision at least."""
        k = self.like.taken(vectors, name="vector")

        def add(sum_so_far: Block, j: Array) -> tuple[Block, None]:
            with jax.default_matmul_precision("highest"):
                linear = self.local(params, *batches.at(j), frozen)
            return jax.tree.map(jnp.add, sum_so_far, _each(linear, vectors, k, self.together)), None

        if batches.number == 1:
            return add(_wide_zeros(vectors), jnp.zeros((), jnp.int32))[0]
        return jax.lax.scan(add, _wide_zeros(vectors), jnp.arange(batches.number))[0]


class _Streamed:
    """Sums over a stream, divided by the sum of its weights; one program per shape of batch."""

    def __init__(self, static: Static, params: PyTree, stream: Stream, frozen: PyTree) -> None:
        self.static, self.params, self.stream, self.frozen = static, params, stream, frozen
        self.like = shapes_of(params)

    def __call__(self, vectors: Block) -> Block:
        self.like.taken(vectors, name="vector")
        total, weight = _wide_zeros(vectors), 0.0
        for batch, w in self.stream:
            self.static.local.check(self.params, batch, self.frozen)
            total = _add_batch(self.static, self.params, batch, w, self.frozen, vectors, total)
            weight += float(w.sum(dtype=np.float64))
        return jax.tree.map(lambda a, v: (a / weight).astype(v.dtype), total, vectors)


def _wide_zeros(vectors: Block) -> Block:
    return jax.tree.map(lambda v: jnp.zeros_like(v, dtype=jnp.promote_types(v.dtype, jnp.float32)), vectors)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=6)
def _add_batch(
    static: Static, params: PyTree, data: PyTree, weights: Array, frozen: PyTree, vectors: Block, total: Block
) -> Block:
    kept = _bytes(static.local, params, data, weights, frozen)
    # A batch too large to linearise whole runs through microbatches of its own.
    size = static.batch_size if kept > static.memory else len(weights)
    batches = examples.microbatches(data, weights, size)
    scan = _Scan(static.local, shapes_of(params), static.memory // max(kept // batches.number, 1))
    return jax.tree.map(jnp.add, total, scan.total(params, batches, frozen, vectors))
