"""Solving for the gradient of every example, block after block."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.curvature import blocks, rowwise
from jaxnoisy.curvature.operator import Block
from jaxnoisy.curvature.products import Loss
from jaxnoisy.curvature.solution import Inverse, SolveInfo
from jaxnoisy.curvature.stream import Stream
from jaxnoisy.influence import inputs
from jaxnoisy.influence.gradients import PerExample
from jaxnoisy.types import PyTree

Take: TypeAlias = Callable[[Block, Block], PyTree]
"""``take(gradients, solved)``: what is wanted of a block of b examples, a tree of arrays of (b, ...)."""


def solving(
    loss: Loss, take: Take, *, batch_size: int, memory: int
) -> Callable[[PyTree, PyTree | Stream, Inverse, PyTree], tuple[PyTree, SolveInfo]]:
    """Make ``solve(params, train, inverse, frozen) -> (taken, info)``.

    ``taken`` is what ``take`` makes of each block, put together over all n examples. The info has a residual and a
    status for every example, and the most steps that any block took.

    Args:
        loss: ``loss(params, example) -> scalar``.
        take: one of a module's functions: programs are cached by it.
        batch_size: the most right-hand sides at once.
        memory: bytes that they may take.
    """
    most = check.positive_int(batch_size, name="batch_size")
    check.positive_int(memory, name="memory", minimum=0)
    gradients = PerExample(loss)

    def solve(params: PyTree, train: PyTree | Stream, inverse: Inverse, frozen: PyTree) -> tuple[PyTree, SolveInfo]:
        if not callable(inverse):
            raise TypeError(
                f"inverse must be a function of a block of vectors, but is {type(inverse).__name__}: bind a solver to "
                "its matrix, as in functools.partial(curvature.block_cg(damping=0.01), matrix)"
            )
        inputs.checked(loss, params, train, frozen)
        bound = as_tree(inverse)
        if bound is not None:
            function: Callable[..., Any] = jax.tree_util.Partial(_Solve(gradients, take), params, frozen, bound)
        else:
            function = _called_as_it_is(gradients, take, params, frozen, inverse)
        size = inputs.vectors_within(memory, params, most=most)
        taken, info = rowwise.each(function, (train,), block_size=size, names="train", by_compiler=False)
        return taken, info._replace(steps=info.steps.max())

    return solve


def as_tree(inverse: Inverse) -> Inverse | None:
    """The inverse as a tree of arrays, which can be passed to a compiled function; None if it is no such tree.

    An inverse that reads a stream is none, nor is a function that is not known to be traceable.
    """
    if isinstance(inverse, functools.partial) and not isinstance(inverse, jax.tree_util.Partial):
        inverse = jax.tree_util.Partial(inverse.func, *inverse.args, **inverse.keywords)
    leaves = jax.tree.leaves(inverse)
    return inverse if all(isinstance(a, (jax.Array, np.ndarray, int, float)) for a in leaves) else None


@dataclasses.dataclass(frozen=True)
class _Solve:
    gradients: PerExample
    take: Take

    def __call__(self, params: PyTree, frozen: PyTree, inverse: Inverse, batch: PyTree) -> tuple[PyTree, SolveInfo]:
        g = _on_all_devices(self.gradients(params, frozen, batch))
        return _taken(self.take, g, *inverse(g))


def _called_as_it_is(
    gradients: PerExample, take: Take, params: PyTree, frozen: PyTree, inverse: Inverse
) -> Callable[[PyTree], tuple[PyTree, SolveInfo]]:
    def solve(batch: PyTree) -> tuple[PyTree, SolveInfo]:
        g = _compiled_gradients(gradients, params, frozen, batch)
        return _compiled_taken(take, g, *inverse(g))

    return solve


def _on_all_devices(block: Block) -> Block:
    """Right-hand sides are not split: it is the matrix whose data are."""
    if blocks.explicit_axes(block) is None:
        return block
    return jax.tree.map(lambda a: jax.sharding.reshard(a, jax.P()), block)


def _taken(take: Take, gradients: Block, solved: Block, info: SolveInfo) -> tuple[PyTree, SolveInfo]:
    each = jnp.broadcast_to(info.steps, info.status.shape)  # every part of the result has one row per example
    return take(gradients, solved), SolveInfo(each, info.residual, info.status)


@functools.partial(jax.jit, static_argnums=0)
def _compiled_gradients(gradients: PerExample, params: PyTree, frozen: PyTree, batch: PyTree) -> Block:
    return _on_all_devices(gradients(params, frozen, batch))


_compiled_taken = jax.jit(_taken, static_argnums=0)
