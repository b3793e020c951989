"""What an example does to the parameters, and through them to its own loss, for every example."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxnoisy import tree
from jaxnoisy.curvature.operator import Block
from jaxnoisy.curvature.products import Loss
from jaxnoisy.curvature.solution import Inverse, SolveInfo
from jaxnoisy.curvature.stream import Stream
from jaxnoisy.influence.solving import solving
from jaxnoisy.types import Array, ArrayLike, PyTree


class SelfInfluence(NamedTuple):
    """Scores of every example; the higher, the more the model had to bend for it.

    Attributes:
        values: (n,) g_i^T (A + damping I)^-1 g_i, how much more weight on the example lowers its own loss. Not negative
            where the inverse is positive semidefinite.
        norms: (n,) ||(A + damping I)^-1 g_i||, how far the parameters move with the example's weight.
    """

    values: ArrayLike
    norms: ArrayLike


def self_influence(
    loss: Loss, *, batch_size: int = 64, memory: int = 1 << 30
) -> Callable[..., tuple[SelfInfluence, SolveInfo]]:
    """Self-influence of every training example, and the norm of its influence on the parameters.

    Args:
        loss: ``loss(params, example) -> scalar``, that was trained with.
        batch_size: the most right-hand sides that are solved for at once.
        memory: bytes that these right-hand sides may take; a solver holds several such blocks.

    Returns:
        ``scores(params, train, inverse, frozen=None) -> (SelfInfluence, SolveInfo)``, with ``train`` and ``frozen`` as
        for :func:`~jaxnoisy.influence.pairwise`. ``inverse`` is a solver with its matrix, such as
        ``functools.partial(curvature.block_cg(damping=0.01), matrix)``, or one of curvature's prepared inverses. One
        that is a tree of arrays is compiled with the gradients; another function is called as it is, block by block.
        The info has a residual and a status for every example, (n,), and the most steps that any block took. Cost: a
        gradient and a solution for every example.

    Raises:
        ValueError: a batch size below 1, negative memory; from ``scores``: no examples, or values that are not finite.
        TypeError: from ``scores``: parameters that are not floating point, a loss that is not a real scalar, an inverse
            that is no function.

    Example:
        >>> import functools
        >>> import jax.numpy as jnp
        >>> from jaxnoisy import curvature
        >>> square = lambda w, x: 0.5 * (x @ w) ** 2
        >>> w, train = jnp.array([1.0, 2.0]), jnp.eye(2)
        >>> inverse = functools.partial(curvature.cg(damping=0.5), curvature.hessian(square)(w, train))
        >>> found, info = self_influence(square)(w, train, inverse)
        >>> found.values.tolist(), found.norms.tolist(), info.converged.tolist()
        ([1.0, 4.0], [1.0, 2.0], [True, True])
    """
    solve = solving(loss, _scores, batch_size=batch_size, memory=memory)

    def scores(
        params: PyTree, train: PyTree | Stream, inverse: Inverse, *, frozen: PyTree = None
    ) -> tuple[SelfInfluence, SolveInfo]:
        found, info = solve(params, train, inverse, frozen)
        return SelfInfluence(*found), info

    return scores


def parameter_influence(
    loss: Loss, *, batch_size: int = 64, memory: int = 1 << 30
) -> Callable[..., tuple[Block, SolveInfo]]:
    """The influence of examples on the parameters, -(A + damping I)^-1 g_i (Koh and Liang 2017, eq. 1).

    The derivative of the parameters by the weight of the example in the mean loss. For all examples of a training set
    this is n x p numbers, where its norm, or its product with a few vectors, is usually what is wanted:
    :func:`self_influence` and :func:`~jaxnoisy.influence.pairwise` have these without it.

    Args:
        loss: as for :func:`self_influence`.
        batch_size: as for :func:`self_influence`.
        memory: as for :func:`self_influence`.

    Returns:
        ``change(params, examples, inverse, frozen=None) -> (block, SolveInfo)``: a tree shaped as the parameters with a
        leading axis of n on every leaf, on the host where the examples are. Everything else as for
        :func:`self_influence`.

    Raises:
        ValueError: as for :func:`self_influence`.
        TypeError: as for :func:`self_influence`.

    Example:
        >>> import functools
        >>> import jax.numpy as jnp
        >>> from jaxnoisy import curvature
        >>> square = lambda w, x: 0.5 * (x @ w) ** 2
        >>> w, train = jnp.array([1.0, 2.0]), jnp.eye(2)
        >>> inverse = functools.partial(curvature.cg(damping=0.5), curvature.hessian(square)(w, train))
        >>> parameter_influence(square)(w, train, inverse)[0].tolist()
        [[-1.0, -0.0], [-0.0, -2.0]]
    """
    solve = solving(loss, _change, batch_size=batch_size, memory=memory)

    def change(
        params: PyTree, train: PyTree | Stream, inverse: Inverse, *, frozen: PyTree = None
    ) -> tuple[Block, SolveInfo]:
        return solve(params, train, inverse, frozen)

    return change


def _scores(gradients: Block, solved: Block) -> tuple[Array, Array]:
    return jax.vmap(tree.dot)(gradients, solved), jax.vmap(tree.norm)(solved)


def _change(gradients: Block, solved: Block) -> Block:
    return tree.scale(-1.0, solved)
