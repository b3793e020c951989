"""Conjugate gradient, with an own recurrence for each right-hand side and one pass over the data for all."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnoisy import tree
from jaxnoisy.curvature import krylov
from jaxnoisy.curvature.krylov import RUNNING, Preconditioner
from jaxnoisy.curvature.operator import Block
from jaxnoisy.curvature.solution import SolveInfo, Status
from jaxnoisy.types import Array


class _State(NamedTuple):
    x: Block
    residual: Block
    along: Block
    height: Array  # (k,) <r, M r>
    renew: Array  # (k,) bool: the next product is with x, for the true residual
    last: Array  # (k,) the true residual when it was last known
    relative: Array
    status: Array
    steps: Array


def cg(
    *, damping: float = 0.0, tolerance: float = 1e-5, max_steps: int = 1000
) -> Callable[..., tuple[Block, SolveInfo]]:
    """Preconditioned conjugate gradient (Hestenes and Stiefel 1952) for (A + damping I) x = b.

    Every right-hand side of a block has its own recurrence and stops on its own; products are taken for all at once.
    :func:`block_cg` shares the search space too.

    A right-hand side has converged once ||b - (A + damping I) x|| <= tolerance ||b|| for the x returned: where the
    recurrence says so, the next product computes the residual anew, and the iteration starts again from x if it was
    wrong. Where that brings the residual down by less than a tenth, the status is STAGNATED. Where a direction of
    curvature <= 0 comes up, x stays as it was before and the status is NEGATIVE_CURVATURE.

    Args:
        damping: >= 0, added to the diagonal.
        tolerance: relative residual, in (0, 1).
        max_steps: the most products to take.

    Returns:
        ``solve(matrix, rhs, *, start=None, preconditioner=None) -> (x, SolveInfo)``. ``matrix`` is an
        :class:`~jaxnoisy.curvature.Operator` or a traceable function of one vector; ``rhs`` and ``start`` are blocks,
        every leaf with a leading axis of k (:func:`one` takes a single vector); the preconditioner is a function of one
        vector. Cost: per step one product with the block and one preconditioning, and one more product at the end for
        right-hand sides that did not converge. Memory: six blocks. It can be jitted unless the matrix is streamed.

    Raises:
        ValueError: damping, tolerance or steps out of range; from ``solve``: right-hand sides that are no block, or
            differ from the parameters in structure or shape.
        TypeError: from ``solve``: right-hand sides that are not floating point.

    Example:
        >>> import jax.numpy as jnp
        >>> scale = jnp.array([1.0, 2.0, 4.0])
        >>> x, info = cg(damping=1.0)(lambda v: scale * v, jnp.array([[2.0, 3.0, 5.0], [0.0, 0.0, 0.0]]))
        >>> x.round(3).tolist(), info.converged.tolist()
        ([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], [True, True])
    """
    limit = krylov.limits(damping, tolerance, max_steps)
    method = krylov.method(_direction, functools.partial(_advance, limit.tolerance))
    return krylov.solver(method, limit, _start)


def _start(prob: krylov.Problem, start: Block | None, preconditioner: Preconditioner | None) -> _State:
    along = krylov.preconditioned(preconditioner, prob.rhs)
    return _State(
        x=krylov.beginning(prob, start),
        residual=prob.rhs,
        along=along,
        height=jax.vmap(tree.dot)(prob.rhs, along),
        renew=jnp.full(prob.length.shape, start is not None),
        last=jnp.full_like(prob.length, jnp.inf),
        relative=krylov.relative_at_start(prob),
        status=prob.status,
        steps=jnp.zeros((), jnp.int32),
    )


def _direction(s: _State) -> Block:
    return krylov.pick(s.renew, s.x, s.along)


def _advance(
    tolerance: float, prob: krylov.Problem, preconditioner: Preconditioner | None, s: _State, product: Block
) -> _State:
    running = s.status == RUNNING
    curvature = jax.vmap(tree.dot)(s.along, product)
    positive = (curvature > 0) & (s.height > 0)
    moving = running & ~s.renew & positive
    stride = jnp.where(moving, s.height / jnp.where(moving, curvature, 1), 0)
    x = krylov.move(s.x, stride, s.along)
    residual = krylov.pick(s.renew, tree.axpy(-1.0, product, prob.rhs), krylov.move(s.residual, -stride, product))
    relative = krylov.lengths(residual) / prob.length
    z = krylov.preconditioned(preconditioner, residual)
    height = jax.vmap(tree.dot)(residual, z)
    finite = jnp.isfinite(curvature)
    status = krylov.judged(s, relative, tolerance=tolerance, finite=finite, positive=positive)
    # From a renewed residual the recurrence starts afresh: its old directions are not conjugate to it.
    slope = jnp.where(moving, height / jnp.where(moving, s.height, 1), 0)
    along = krylov.move(z, slope, s.along)
    return _State(
        x=krylov.pick(running & (status != Status.NOT_FINITE), x, s.x),
        residual=residual,
        along=krylov.pick(status == RUNNING, along, tree.zeros_like(along)),
        height=height,
        renew=~s.renew & (relative <= tolerance),
        last=jnp.where(running & s.renew, relative, s.last),
        relative=jnp.where(running, relative, s.relative),
        status=status,
        steps=s.steps + 1,
    )
