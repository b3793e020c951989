"""A symmetric matrix over parameters, given by its products with blocks of vectors."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import tree
from jaxnoisy.types import PyTree

Block: TypeAlias = PyTree
"""k vectors: a tree whose leaves have one leading axis of length k beyond the parameters' own."""


@functools.partial(jax.tree_util.register_dataclass, data_fields=("block",), meta_fields=("streamed",))
@dataclasses.dataclass(frozen=True)
class Operator:
    """A symmetric matrix A of (p, p), never formed: a pytree, so that it can be passed through ``jit``.

    Attributes:
        block: ``block(V) -> A V`` for a block of k vectors; every leaf has a leading axis of length k.
        streamed: whether a product reads a stream of batches on the host. Such an operator cannot be traced, and
            solvers then loop in Python instead of on the device.
    """

    block: Callable[[Block], Block]
    streamed: bool = False

    def __call__(self, vector: PyTree) -> PyTree:
        """A times one vector shaped as the parameters."""
        product = self.block(jax.tree.map(lambda a: a[None], vector))
        return jax.tree.map(lambda a: a[0], product)


def from_function(product: Callable[[PyTree], PyTree]) -> Operator:
    """The operator of a function ``product(v) -> A v`` of one vector that JAX can trace.

    The function must be linear and A symmetric. What it closes over becomes part of any program that uses it; to pass
    arrays through ``jit`` instead, give ``jax.tree_util.Partial(f, arrays)``.

    Example:
        >>> import jax.numpy as jnp
        >>> twice = from_function(lambda v: 2 * v)
        >>> twice(jnp.ones(3)).tolist(), twice.block(jnp.ones((4, 3))).shape
        ([2.0, 2.0, 2.0], (4, 3))
    """
    return Operator(jax.tree_util.Partial(_each, _as_partial(product)))


def as_operator(matrix: Operator | Callable[[PyTree], PyTree]) -> Operator:
    """``matrix`` itself if it is an operator, otherwise that of the function."""
    if isinstance(matrix, Operator):
        return matrix
    if not callable(matrix):
        raise TypeError(
            f"a matrix is given by its products, as an Operator or a function of one vector, not as {type(matrix)}: "
            "for an array M, give lambda v: M @ v"
        )
    return from_function(matrix)


class Like(NamedTuple):
    """Shapes of parameters, hashable, so that they can stand in the static part of an operator or an inverse."""

    structure: Any
    leaves: tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]

    def taken(self, vectors: Block, *, name: str) -> int:
        """The number of vectors in a block, after checking it."""
        shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in self.leaves]
        return tree.block_size(vectors, jax.tree.unflatten(self.structure, shapes), name=name)


def shapes_of(params: PyTree) -> Like:
    """The shapes and dtypes of parameters, or of what stands for them."""
    leaves, structure = jax.tree.flatten(params)
    return Like(structure, tuple((jnp.shape(a), np.dtype(jnp.result_type(a))) for a in leaves))


def _as_partial(function: Callable[[PyTree], PyTree]) -> jax.tree_util.Partial:
    return function if isinstance(function, jax.tree_util.Partial) else jax.tree_util.Partial(function)


def _each(product: Callable[[PyTree], PyTree], vectors: Block) -> Block:
    return jax.vmap(product)(vectors)
