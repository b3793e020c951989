"""Influence of every training example on every query, for any loss: one forward-mode pass, or streamed gradients."""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from jaxnoisy import check, tree
from jaxnoisy.curvature import examples
from jaxnoisy.curvature.operator import Block
from jaxnoisy.curvature.products import Loss, whole
from jaxnoisy.curvature.stream import Stream
from jaxnoisy.influence import cost, inputs
from jaxnoisy.influence.gradients import PerExample
from jaxnoisy.influence.rows import Rows
from jaxnoisy.types import Array, PyTree

MODES = ("auto", "forward", "reverse")


class Pairwise(Protocol):
    """What :func:`pairwise` returns."""

    def __call__(self, params: PyTree, train: PyTree | Stream, vectors: Block, *, frozen: PyTree = None) -> Rows:
        """The (n, k) matrix -<v_q, g_i>, as a recipe.

        Args:
            params: where the losses are differentiated.
            train: n examples: a tree of arrays with one leading axis, on devices (whole, or split over a mesh) or on
                the host (memory-mapped arrays too), or a :class:`~jaxnoisy.curvature.Stream`, whose weights play no
                part.
            vectors: k vectors shaped as the parameters: (A + damping I)^-1 applied to the gradients of the queries.
            frozen: parameters that are not differentiated.
        """


def pairwise(loss: Loss, *, mode: str = "auto", batch_size: int = 256, memory: int = 1 << 30) -> Pairwise:
    """Influence of training examples on queries: -grad f_q . (A + damping I)^-1 g_i (Koh and Liang 2017, eq. 2).

    That is the derivative of query function f_q by the weight of example i in the mean loss, at the parameters that
    minimise it. Negative on a query's loss means that more weight on the example lowers that loss: it helps. Leaving
    the example out changes f_q by about -1/n of it.

    Inner products with the gradients g_i are had in two ways. The derivative of all losses along a vector is one
    forward-mode pass over the examples, without any gradient ("forward"); or the gradients of a block of examples are
    formed and multiplied with all vectors in one matrix product ("reverse"). The first costs a pass per vector, the
    second about two passes and one product whatever k is. "auto" counts the operations of both programs for a block
    (:mod:`jaxnoisy.influence.cost`) and takes the fewer.

    Args:
        loss: ``loss(params, example) -> scalar``, that was trained with.
        mode: "auto", "forward" or "reverse".
        batch_size: the most examples in a block.
        memory: bytes that a block's gradients (reverse), or its linearised losses for all vectors that run at once
            (forward), may take.

    Returns:
        ``rows(params, train, vectors, frozen=None) -> Rows``, of which :func:`~jaxnoisy.influence.matrix`,
        :func:`~jaxnoisy.influence.top`, :func:`~jaxnoisy.influence.per_class` and :func:`~jaxnoisy.influence.to_npy`
        take what is wanted. Nothing is computed before.

    Raises:
        ValueError: another mode, a batch size below 1, negative memory; from ``rows``: vectors that are no block or
            differ from the parameters, no examples.
        TypeError: from ``rows``: parameters that are not floating point, a loss that is not a real scalar.

    Example:
        >>> import functools
        >>> import jax.numpy as jnp
        >>> from jaxnoisy import curvature, influence
        >>> loss = lambda w, example: 0.5 * (example[0] @ w - example[1]) ** 2
        >>> w, train = jnp.array([0.5, 0.0]), (jnp.eye(2), jnp.ones(2))
        >>> inverse = functools.partial(curvature.cg(), curvature.hessian(loss)(w, train))
        >>> solved, info = inverse(influence.gradients(loss)(w, (jnp.eye(2), jnp.zeros(2))))
        >>> influence.matrix(influence.pairwise(loss)(w, train, solved)).tolist()
        [[0.5, -0.0], [-0.0, -0.0]]
    """
    check.one_of(mode, MODES, name="mode")
    check.positive_int(batch_size, name="batch_size")
    check.positive_int(memory, name="memory", minimum=0)

    def rows(params: PyTree, train: PyTree | Stream, vectors: Block, *, frozen: PyTree = None) -> Rows:
        some = inputs.checked(loss, params, train, frozen)
        k = tree.block_size(vectors, params, name="vectors")
        tree.real_parameters(vectors, name="vectors")
        vectors = jax.tree.map(lambda v, p: jnp.asarray(v).astype(jnp.promote_types(v.dtype, p.dtype)), vectors, params)
        ways = {"forward": Forward(loss, memory), "reverse": Reverse(loss)}
        chosen = cheaper(ways, params, frozen, vectors, some) if mode == "auto" else mode
        of = jax.tree_util.Partial(ways[chosen], params, frozen, vectors)
        size = batch_size if chosen == "forward" else inputs.vectors_within(memory, params, most=batch_size)
        return Rows(of, (train,), k, inputs.wide(vectors), size, "train")

    return rows


def cheaper(ways: dict[str, Any], params: PyTree, frozen: PyTree, vectors: Block, data: PyTree) -> str:
    """Which of several functions ``(params, frozen, vectors, batch)`` takes the fewest operations for 16 examples."""
    shapes = jax.eval_shape(lambda *a: a, params, frozen, vectors)
    batch = jax.tree.map(lambda a: jax.ShapeDtypeStruct((16, *a.shape), a.dtype), examples.one(data))
    counts = {name: cost.operations(way, *shapes, batch) for name, way in ways.items()}
    return min(counts, key=lambda name: counts[name])


@dataclasses.dataclass(frozen=True)
class Reverse:
    """Gradients of a block, and their products with all vectors."""

    loss: Loss

    def __call__(self, params: PyTree, frozen: PyTree, vectors: Block, batch: PyTree) -> Array:
        """(b, k)."""
        gradients = PerExample(self.loss)(params, frozen, batch)
        return -tree.gram(jax.tree.map(lambda g, v: g.astype(v.dtype), gradients, vectors), vectors)


@dataclasses.dataclass(frozen=True)
class Forward:
    """Derivatives of a block's losses along each vector."""

    loss: Loss
    memory: int

    def __call__(self, params: PyTree, frozen: PyTree, vectors: Block, batch: PyTree) -> Array:
        """(b, k)."""

        def losses(p: PyTree) -> Array:
            return jax.vmap(lambda e: self.loss(whole(p, frozen), e))(batch)

        with jax.default_matmul_precision("highest"):
            _, push = jax.linearize(losses, params)
            kept = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(push))
            together = max(1, self.memory // max(kept, 1))
            cast = jax.tree.map(lambda v, p: v.astype(p.dtype), vectors, params)
            if together >= jax.tree.leaves(vectors)[0].shape[0]:
                along = jax.vmap(push)(cast)
            else:
                along = jax.lax.map(push, cast, batch_size=together)
        return -along.T.astype(inputs.wide(vectors))
