"""LiSSA: the inverse as a Neumann series, summed by its recursion."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnoisy import tree
from jaxnoisy.curvature import krylov
from jaxnoisy.curvature.krylov import RUNNING, Preconditioner
from jaxnoisy.curvature.lanczos import spectral_bound
from jaxnoisy.curvature.operator import Block, Operator, as_operator
from jaxnoisy.curvature.solution import SolveInfo, Status
from jaxnoisy.types import Array, PyTree

BOUND_STEPS = 8
"""Products that the bound on the top eigenvalue takes."""

_PATIENCE = 50
"""Steps without a smaller residual after which rounding is what is left."""


class _State(NamedTuple):
    x: Block
    residual: Block  # of the x before; 0 where there was none
    scale: Array
    lowest: Array  # (k,) the smallest residual so far, and for how many steps there was no smaller one
    since: Array
    relative: Array
    status: Array
    steps: Array


def lissa(
    *, damping: float = 0.0, scale: float | None = None, tolerance: float = 1e-3, max_steps: int = 10_000
) -> Callable[..., tuple[Block, SolveInfo]]:
    """The recursion of LiSSA with the whole matrix in every step, for (A + damping I) x = b.

    x <- x + (b - (A + damping I) x) / scale, from x = b / scale: the Neumann series of the inverse, and gradient
    descent on the quadratic (Agarwal et al. 2017, "Second-order stochastic optimization for machine learning in linear
    time", section 3; Koh and Liang 2017, section 3). It stands still where (A + damping I) x = b and nowhere else: the
    damping is in the same place as in :func:`cg`, the result is divided by nothing, and ``scale`` decides only whether
    and how fast x comes there. It comes there where all eigenvalues of A + damping I are in (0, 2 scale); the part of
    the error along one of them, e, falls by 1 - e / scale per step. That takes about the condition number times
    log(1 / tolerance) steps, where :func:`cg` takes its root: this is here to compare with, and for
    :func:`stochastic_lissa`, whose steps see a microbatch only.

    Each step knows its true residual. Where it grows, two of them prove why: <r, (A + damping I) r> < 0 is negative
    curvature, and ||(A + damping I) r|| > 2 scale ||r|| is a scale too small (DIVERGED). Where rounding alone moves it,
    or A + damping I is singular, there is no smaller one for 50 steps (STAGNATED).

    Args:
        damping: >= 0, added to the diagonal.
        scale: > 0; None takes the damping plus a bound on the top eigenvalue (:func:`spectral_bound`), at the price of
            8 products with one vector.
        tolerance: relative residual, in (0, 1).
        max_steps: the most products to take, those of the bound included.

    Returns:
        ``solve(matrix, rhs, *, start=None) -> (x, SolveInfo)`` with arguments as for :func:`cg`. Cost: one product with
        the block per step. Memory: five blocks. It can be jitted unless the matrix is streamed.

    Raises:
        ValueError: damping, scale, tolerance or steps out of range; from ``solve``: right-hand sides that are no block,
            or differ from the parameters in structure or shape.
        TypeError: from ``solve``: right-hand sides that are not floating point.

    Example:
        >>> import jax.numpy as jnp
        >>> scale = jnp.array([1.0, 2.0, 3.0])
        >>> x, info = lissa(damping=1.0, tolerance=1e-4)(lambda v: scale * v, jnp.array([[2.0, 3.0, 4.0]]))
        >>> x.round(2).tolist(), info.converged.tolist()
        ([[1.0, 1.0, 1.0]], [True])
    """
    limit = krylov.limits(damping, tolerance, max_steps)
    given = None if scale is None else positive_scale(scale)
    method = krylov.method(_direction, functools.partial(_advance, limit.tolerance))

    def solve(
        matrix: Operator | Callable[[PyTree], PyTree], rhs: Block, *, start: Block | None = None
    ) -> tuple[Block, SolveInfo]:
        prob, operator = krylov.problem(rhs), as_operator(matrix)
        if given is None:
            like = jax.tree.map(lambda a: a[0], rhs)
            bound = spectral_bound(jax.random.key(0), operator, like, steps=BOUND_STEPS)
            state = _begin(prob, start, sound_scale(limit.damping + bound), min(BOUND_STEPS, tree.size(like)))
        else:
            state = _begin(prob, start, jnp.asarray(given), 0)
        return krylov.run(method, operator, limit, prob, None, state)

    return solve


def positive_scale(scale: float) -> float:
    """Return ``scale`` if it is finite and above 0."""
    if not 0 < scale < float("inf"):
        raise ValueError(f"scale must be finite and above 0, but is {scale!r}: None finds one")
    return float(scale)


def sound_scale(scale: Array) -> Array:
    """A scale to go on with where the matrix is 0 or not finite, which the residual will tell."""
    return jnp.where(jnp.isfinite(scale) & (scale > 0), scale, 1)


def _begin(prob: krylov.Problem, start: Block | None, scale: Array, steps: int) -> _State:
    x, residual = krylov.beginning(prob, start), tree.zeros_like(prob.rhs)
    if start is None:
        residual = krylov.pick(prob.status == RUNNING, prob.rhs, residual)
        x = tree.scale(1 / scale, residual)
    return _State(
        x=x,
        residual=residual,
        scale=scale.astype(prob.length.dtype),
        lowest=jnp.full_like(prob.length, jnp.inf),
        since=jnp.zeros(prob.length.shape, jnp.int32),
        relative=krylov.relative_at_start(prob),
        status=prob.status,
        steps=jnp.asarray(steps, jnp.int32),
    )


def _direction(s: _State) -> Block:
    return s.x


def _advance(
    tolerance: float, prob: krylov.Problem, preconditioner: Preconditioner | None, s: _State, product: Block
) -> _State:
    residual = tree.axpy(-1.0, product, prob.rhs)
    relative = krylov.lengths(residual) / prob.length
    # The step before was r / scale, so that the difference of two residuals is (A + damping I) r / scale.
    fallen = tree.axpy(-1.0, residual, s.residual)
    before, step = krylov.lengths(s.residual), krylov.lengths(fallen)
    noise = 8 * jnp.finfo(relative.dtype).eps * (prob.length + s.scale * krylov.lengths(s.x))
    since = jnp.where(relative < s.lowest, 0, s.since + 1)
    status = jnp.select(
        [
            s.status != RUNNING,
            ~jnp.isfinite(relative),
            relative <= tolerance,
            (before > 0) & (jax.vmap(tree.dot)(s.residual, fallen) < -noise * before),
            (before > 0) & (step > 2 * before + noise),
            (since >= _PATIENCE) & ((relative - s.lowest) * prob.length <= noise),
        ],
        [
            s.status,
            Status.NOT_FINITE,
            Status.CONVERGED,
            Status.NEGATIVE_CURVATURE,
            Status.DIVERGED,
            Status.STAGNATED,
        ],
        RUNNING,
    ).astype(jnp.int32)
    return _State(
        x=krylov.pick(status == RUNNING, tree.axpy(1 / s.scale, residual, s.x), s.x),
        residual=residual,
        scale=s.scale,
        lowest=jnp.minimum(relative, s.lowest),
        since=since,
        relative=jnp.where(s.status == RUNNING, relative, s.relative),
        status=status,
        steps=s.steps + 1,
    )
