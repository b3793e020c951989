"""What the ways to influence share in reading their arguments."""

import jax
import jax.numpy as jnp

from jaxnoisy import tree
from jaxnoisy.curvature import examples
from jaxnoisy.curvature.products import Loss, scalar_loss
from jaxnoisy.curvature.stream import Stream
from jaxnoisy.types import PyTree


def checked(loss: Loss, params: PyTree, train: PyTree | Stream, frozen: PyTree) -> PyTree:
    """Refuse what cannot be differentiated; returns examples to take shapes from: all, or a stream's first batch."""
    tree.real_parameters(params)
    if isinstance(train, Stream):
        train = next(iter(train))[0]
    examples.count(train)
    scalar_loss(loss, params, train, frozen)
    return train


def vectors_within(memory: int, params: PyTree, *, most: int) -> int:
    """How many vectors shaped as the parameters fit in ``memory`` bytes: at least one, and at most ``most``."""
    each = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(jax.eval_shape(lambda p: p, params)))
    return max(1, min(most, memory // each))


def wide(vectors: PyTree) -> jnp.dtype:
    """The dtype of inner products with these vectors: theirs, float32 at least."""
    return jnp.dtype(jnp.result_type(jnp.float32, *jax.tree.leaves(vectors)))
