"""LiSSA as it was meant: each step of the recursion with the matrix of one microbatch, drawn at random."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnoisy import check, tree
from jaxnoisy.curvature import krylov
from jaxnoisy.curvature.krylov import RUNNING
from jaxnoisy.curvature.lanczos import spectral_bound
from jaxnoisy.curvature.lissa import BOUND_STEPS, positive_scale, sound_scale
from jaxnoisy.curvature.operator import Block
from jaxnoisy.curvature.parts import Parts
from jaxnoisy.curvature.solution import SolveInfo, Status
from jaxnoisy.types import Array, Key


class _Static(NamedTuple):
    damping: float
    steps: int
    repeats: int
    counted: int  # the last steps of each repeat, whose mean is taken


class _State(NamedTuple):
    x: Block
    mean: Block
    sane: Array  # (k,) bool


def stochastic_lissa(
    *,
    damping: float = 0.0,
    steps: int = 5_000,
    repeats: int = 1,
    tail: float = 0.5,
    scale: float | None = None,
    tolerance: float = 0.1,
) -> Callable[[Key, Parts, Block], tuple[Block, SolveInfo]]:
    """Solve (A + damping I) x = b where A is a mean of parts A_j, by steps with one part each.

    x <- x + (b - (A_j + damping I) x) / scale, from 0, with j drawn anew in each step with probability weights[j] /
    sum(weights) (Agarwal et al. 2017, section 3, algorithm 1; Koh and Liang 2017, section 3). As j is independent of x,
    the expected iterate obeys the recursion of :func:`lissa`, and tends to the solution of just this system.

    The iterates themselves do not: they keep moving about it, at a distance in proportion to the root of 1 / scale that
    no number of steps lessens (Robbins and Monro 1951). Their mean over the last steps comes nearer with the root of
    the number of steps (Polyak and Juditsky 1992); it is taken here, over the tail of each repeat and over the repeats.
    A residual of a few percent is what to hope for: each further digit takes a hundred times the steps.

    Args:
        damping: >= 0, added to the diagonal.
        steps: of each repeat. The start is forgotten after some multiples of scale / (lowest eigenvalue + damping).
        repeats: runs with other draws, which are averaged.
        tail: the share of the steps, the last ones, whose iterates are averaged; in (0, 1].
        scale: > 0, no less than the damping plus the top eigenvalue of any part; None takes the largest of the bounds
            by :func:`spectral_bound`, at the price of 8 passes.
        tolerance: relative residual up to which a solution counts as converged, in (0, 1).

    Returns:
        ``solve(key, parts, rhs) -> (x, SolveInfo)`` for a :class:`Parts`, as from :func:`parts`, and a block of k
        right-hand sides. ``steps`` are whole passes, rounded up: those of the bound, repeats * steps / m for m parts,
        and one for the true residual. Beyond the tolerance the status is LIMIT. Where <x, (A + damping I) x> <= 0 it is
        NEGATIVE_CURVATURE; where x outgrew ten times what it can reach with parts of eigenvalues in
        [-damping, 2 scale - damping], so that the run of it was broken off, DIVERGED. Memory: five blocks. It can be
        jitted unless the parts are streamed.

    Raises:
        ValueError: numbers out of range; from ``solve``: right-hand sides that are no block, or differ from the
            parameters in structure or shape.
        TypeError: from ``solve``: a key that is not typed, a matrix that is no Parts, or right-hand sides that are not
            floating point.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxnoisy.curvature import fisher, parts
        >>> split = parts(fisher(lambda w, x: x @ w), jnp.zeros(2), jnp.array([[1.0, 1.0], [2.0, 0.0]]), batch_size=1)
        >>> solve = stochastic_lissa(damping=0.5, steps=20_000)
        >>> x, info = solve(jax.random.key(0), split, jnp.array([[3.5, 1.5]]))  # of the matrix [[3, 0.5], [0.5, 1]]
        >>> x.round(1).tolist(), info.converged.tolist()
        ([[1.0, 1.0]], [True])
    """
    limit = krylov.limits(damping, tolerance, 1)
    length = check.positive_int(steps, name="steps")
    number = check.positive_int(repeats, name="repeats")
    share = check.fraction(tail, name="tail", open_low=True)
    given = None if scale is None else positive_scale(scale)
    static = _Static(limit.damping, length, number, max(1, round(share * length)))
    advance = functools.partial(_advance, static)
    compiled = jax.jit(advance)

    def solve(key: Key, parts: Parts, rhs: Block) -> tuple[Block, SolveInfo]:
        check.typed_key(key)
        if not isinstance(parts, Parts):
            raise TypeError(f"a matrix is given by its Parts, made by curvature.parts, not as {type(parts)}")
        prob = krylov.problem(rhs)
        for_draws, for_bound = jax.random.split(key)
        chosen = _scale(for_bound, parts, rhs, limit.damping) if given is None else jnp.asarray(given)
        draws = jax.random.choice(for_draws, parts.number, (number * length,), p=parts.shares)
        prob = prob._replace(rhs=krylov.pick(prob.status == RUNNING, prob.rhs, tree.zeros_like(prob.rhs)))
        zeros = tree.zeros_like(prob.rhs)
        wide = jax.tree.map(lambda a: a.astype(jnp.promote_types(a.dtype, jnp.float32)), zeros)
        state = _State(zeros, wide, jnp.full(prob.length.shape, True))
        if parts.streamed:
            for i, j in enumerate(draws):
                state = compiled(prob, chosen, jnp.asarray(i), state, _like(parts.at(j).block(state.x), state.x))
        else:
            state = jax.lax.fori_loop(
                0,
                len(draws),
                lambda i, s: advance(prob, chosen, i, s, _like(parts.at(draws[i]).block(s.x), s.x)),
                state,
            )
        passes = 1 - (-len(draws) // parts.number) + (BOUND_STEPS if given is None else 0)
        x = jax.tree.map(lambda a, b: a.astype(b.dtype), state.mean, rhs)
        return x, _judged(limit, parts, prob, x, state.sane, passes)

    return solve


def _scale(key: Key, parts: Parts, rhs: Block, damping: float) -> Array:
    like = jax.tree.map(lambda a: a[0], rhs)

    def bound(j: Array) -> Array:
        return spectral_bound(key, parts.at(j), like, steps=BOUND_STEPS)

    number = jnp.arange(parts.number)
    bounds = jnp.stack([bound(j) for j in number]) if parts.streamed else jax.lax.map(bound, number)
    return sound_scale(damping + jnp.where(parts.weights > 0, bounds, 0).max())


def _advance(static: _Static, prob: krylov.Problem, scale: Array, i: Array, s: _State, product: Block) -> _State:
    t = i % static.steps
    left = tree.axpy(-1.0, product, tree.axpy(-static.damping, s.x, prob.rhs))
    x = tree.axpy(1 / scale, left, s.x)
    # Steps that lengthen nothing but by b / scale reach no further than this; the factor allows for rounding and for
    # parts that are a little indefinite while A is not.
    sane = s.sane & (krylov.lengths(x) <= 10 * (t + 1) / scale * prob.length)
    x = krylov.pick(sane, x, s.x)
    counts = t >= static.steps - static.counted
    mean = tree.axpy(jnp.where(counts, 1 / (static.counted * static.repeats), 0), x, s.mean)
    return _State(tree.scale(jnp.where(t == static.steps - 1, 0, 1), x), mean, sane)


def _judged(limit: krylov.Limits, parts: Parts, prob: krylov.Problem, x: Block, sane: Array, passes: int) -> SolveInfo:
    product = tree.axpy(limit.damping, x, _like(parts.whole().block(x), x))
    relative = krylov.lengths(tree.axpy(-1.0, product, prob.rhs)) / prob.length
    bent = (jax.vmap(tree.dot)(x, product) <= 0) & (krylov.lengths(x) > 0)
    status = jnp.select(
        [prob.status != RUNNING, ~jnp.isfinite(relative), relative <= limit.tolerance, bent, ~sane],
        [prob.status, Status.NOT_FINITE, Status.CONVERGED, Status.NEGATIVE_CURVATURE, Status.DIVERGED],
        Status.LIMIT,
    ).astype(jnp.int32)
    relative = jnp.where(prob.status == RUNNING, relative, krylov.relative_at_start(prob))
    return SolveInfo(jnp.asarray(passes, jnp.int32), relative, status)


def _like(product: Block, x: Block) -> Block:
    tree.same_shapes(product, x, name="a product of the matrix", expected="the right-hand sides")
    return jax.tree.map(lambda a, b: a.astype(b.dtype), product, x)
