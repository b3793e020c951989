"""Conjugate gradient on a block of right-hand sides that share one Krylov space."""

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
    along: Block  # orthonormal; zero where not live
    live: Array  # (k,) bool
    renew: Array  # () bool: the next product is with x, for the true residuals
    last: Array  # (k,) the true residuals when they were last known
    relative: Array
    status: Array
    steps: Array


def block_cg(
    *, damping: float = 0.0, tolerance: float = 1e-5, max_steps: int = 1000
) -> Callable[..., tuple[Block, SolveInfo]]:
    """Preconditioned block conjugate gradient for (A + damping I) X = B.

    Every product enlarges one search space by up to k directions, and each solution is the best in all of it: the more
    right-hand sides, the fewer passes, as the outlying eigenvalues of A are found together (O'Leary 1980, "The block
    conjugate gradient algorithm"). The directions are orthonormalised in each step and dependent ones dropped, as in
    the breakdown-free method of Ji and Li (2017), so that equal right-hand sides, ones that converge early, and more of
    them than there are parameters do no harm.

    Convergence is judged as by :func:`cg`, for each right-hand side. Negative curvature is met by the space, and is
    reported for every right-hand side that had not converged by then.

    Args:
        damping: >= 0, added to the diagonal.
        tolerance: relative residual, in (0, 1).
        max_steps: the most products to take.

    Returns:
        ``solve(matrix, rhs, *, start=None, preconditioner=None) -> (x, SolveInfo)``, as from :func:`cg`. Cost: per step
        one product with the block, one preconditioning, 16 k^2 p operations for the inner products and combinations,
        and three factorisations of (k, k). Memory: eight blocks.

    Raises:
        ValueError: damping, tolerance or steps out of range; from ``solve``: right-hand sides that are no block, or
            differ from the parameters in structure or shape.
        TypeError: from ``solve``: right-hand sides that are not floating point.

    Example:
        >>> import jax.numpy as jnp
        >>> scale = jnp.array([1.0, 2.0, 4.0])
        >>> x, info = block_cg(damping=1.0)(lambda v: scale * v, jnp.array([[2.0, 3.0, 5.0], [2.0, 0.0, 0.0]]))
        >>> x.round(3).tolist(), info.converged.tolist()
        ([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]], [True, True])
    """
    limit = krylov.limits(damping, tolerance, max_steps)
    method = krylov.method(_direction, functools.partial(_advance, limit.tolerance))
    return krylov.solver(method, limit, _start)


def orthonormal(block: Block, wanted: Array) -> tuple[Block, Array]:
    """An orthonormal basis of what the wanted vectors span.

    Args:
        block: k vectors, of any lengths.
        wanted: (k,) bool.

    Returns:
        A block of k vectors, those beyond the rank zero, and (k,) bool telling which are not. Vectors that depend on
        the others to the precision of their inner products (the root of the arithmetic's) count as dependent.
    """
    k = wanted.shape[0]
    length = krylov.lengths(block)
    wanted &= length > 0
    # Residuals shrink at different rates; without a common scale the smaller ones would look dependent.
    unit = jax.vmap(tree.scale)(jnp.where(wanted, 1 / jnp.where(wanted, length, 1), 0), block)
    values, axes = jnp.linalg.eigh(tree.gram(unit, unit))
    live = values > 10 * k * jnp.finfo(values.dtype).eps * values[-1]
    basis = tree.combine(unit, axes * jnp.where(live, jax.lax.rsqrt(jnp.where(live, values, 1)), 0))
    # Inner products have squared the condition: a second round makes the basis orthogonal to rounding.
    lower = jnp.linalg.cholesky(tree.gram(basis, basis) + jnp.diag((~live).astype(values.dtype)))
    inverse = jax.scipy.linalg.solve_triangular(lower, jnp.eye(k, dtype=values.dtype), lower=True)
    return tree.combine(basis, inverse.T), live


def _start(prob: krylov.Problem, start: Block | None, preconditioner: Preconditioner | None) -> _State:
    running = prob.status == RUNNING
    sound = krylov.pick(running, prob.rhs, tree.zeros_like(prob.rhs))
    along, live = orthonormal(krylov.preconditioned(preconditioner, sound), running)
    return _State(
        x=krylov.beginning(prob, start),
        residual=sound,
        along=along,
        live=live,
        renew=jnp.asarray(start is not None),
        last=jnp.full_like(prob.length, jnp.inf),
        relative=krylov.relative_at_start(prob),
        status=prob.status,
        steps=jnp.zeros((), jnp.int32),
    )


def _direction(s: _State) -> Block:
    return jax.tree.map(lambda a, b: jnp.where(s.renew, a, b), s.x, s.along)


def _advance(
    tolerance: float, prob: krylov.Problem, preconditioner: Preconditioner | None, s: _State, product: Block
) -> _State:
    running = s.status == RUNNING
    bent = tree.gram(s.along, product)
    dead = jnp.diag((~s.live).astype(bent.dtype))
    finite = jnp.isfinite(bent).all()
    values, axes = jnp.linalg.eigh(jnp.where(finite & ~s.renew, (bent + bent.T) / 2 + dead, jnp.eye(len(bent))))
    positive = (values[0] > 0) & s.live.any()
    inverse = jnp.where(positive, axes / jnp.where(values > 0, values, 1) @ axes.T, 0)
    moving = running & ~s.renew & positive & finite
    stride = inverse @ tree.gram(s.along, s.residual) * moving
    x = tree.axpy(1.0, tree.combine(s.along, stride), s.x)
    moved = tree.axpy(-1.0, tree.combine(product, stride), s.residual)
    residual = jax.tree.map(lambda a, b: jnp.where(s.renew, a, b), tree.axpy(-1.0, product, prob.rhs), moved)
    relative = krylov.lengths(residual) / prob.length
    small = relative <= tolerance
    status = krylov.judged(s, relative, tolerance=tolerance, finite=finite, positive=positive)
    going = status == RUNNING
    residual = krylov.pick(going, residual, tree.zeros_like(residual))
    z = krylov.preconditioned(preconditioner, residual)
    slope = jnp.where(s.renew, 0, -inverse @ tree.gram(product, z))
    along, live = orthonormal(tree.axpy(1.0, tree.combine(s.along, slope), z), going & (s.renew | ~small))
    return _State(
        x=krylov.pick(running & (status != Status.NOT_FINITE), x, s.x),
        residual=residual,
        along=along,
        live=live,
        renew=~s.renew & (small | ~going).all(),
        last=jnp.where(running & s.renew, relative, s.last),
        relative=jnp.where(running, relative, s.relative),
        status=status,
        steps=s.steps + 1,
    )
