"""What the iterations share: arguments, the loop on the device or over a stream, the judgement, the last residual.

A method is three functions on a state: which block to multiply next, what to make of the product, and whether any
right-hand side still runs. One product is taken per step. A residual that the recurrence believes to be small is
computed anew from the solution before it counts: rounding lets the two drift apart, in float32 by orders of magnitude.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from jaxnoisy import check, tree
from jaxnoisy.curvature.operator import Block, Operator, as_operator
from jaxnoisy.curvature.solution import SolveInfo, Status
from jaxnoisy.types import Array, PyTree

RUNNING = -1


class Problem(NamedTuple):
    """The right-hand sides and what is known of them.

    Attributes:
        rhs: the block b.
        length: (k,) ||b||, with 1 in the place of 0.
        status: (k,) int32, RUNNING, or settled before the first step: b is 0 (and so is x), or not finite.
    """

    rhs: Block
    length: Array
    status: Array


class State(Protocol):
    """What the loop reads of a method's state."""

    @property
    def x(self) -> Block:
        """The solutions so far."""

    @property
    def relative(self) -> Array:
        """(k,) residuals as the method knows them."""

    @property
    def status(self) -> Array:
        """(k,) RUNNING, or how the right-hand side was left."""

    @property
    def steps(self) -> Array:
        """Products taken."""


class Recurrence(State, Protocol):
    """What the judgement reads of the state of a conjugate gradient method."""

    @property
    def renew(self) -> Array:
        """Whether the product to come is with x, for the true residual; a bool, or (k,) of them."""

    @property
    def last(self) -> Array:
        """(k,) the true residuals when they were last known; infinite before."""


class Method(NamedTuple):
    """An iteration as functions of its state, and the same compiled for a loop on the host."""

    direction: Callable[[Any], Block]
    advance: Callable[[Problem, Any, Any, Block], Any]
    direction_compiled: Callable[[Any], Block]
    advance_compiled: Callable[[Problem, Any, Any, Block], Any]


def method(direction: Callable[[Any], Block], advance: Callable[[Problem, Any, Any, Block], Any]) -> Method:
    """A method from ``direction(state) -> block`` and ``advance(problem, preconditioner, state, product) -> state``."""
    return Method(direction, advance, jax.jit(direction), jax.jit(advance))


class Limits(NamedTuple):
    """When to stop: see :func:`jaxnoisy.curvature.cg`."""

    damping: float
    tolerance: float
    max_steps: int


def limits(damping: float, tolerance: float, max_steps: int) -> Limits:
    """Check what stops a solver."""
    check.positive_int(max_steps, name="max_steps")
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance is a relative residual, in (0, 1), but is {tolerance!r}")
    return Limits(nonnegative(damping, name="damping"), float(tolerance), int(max_steps))


def nonnegative(value: float, *, name: str) -> float:
    """Return ``value`` if it is finite and at least 0."""
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be finite and >= 0, but is {value!r}")
    return float(value)


def problem(rhs: Block) -> Problem:
    """Look at the right-hand sides."""
    tree.real_parameters(rhs, name="rhs")
    tree.block_size(rhs, jax.tree.map(lambda a: a[0] if a.ndim else a, rhs), name="rhs")
    length = lengths(rhs)
    status = jnp.where(length == 0, Status.CONVERGED, jnp.where(jnp.isfinite(length), RUNNING, Status.NOT_FINITE))
    return Problem(rhs, jnp.where(length == 0, 1, length), status.astype(jnp.int32))


def lengths(block: Block) -> Array:
    """(k,) the length of each vector."""
    return jax.vmap(tree.norm)(block)


def pick(choose: Array, yes: Block, no: Block) -> Block:
    """``where`` over the vectors of two blocks, by (k,) bool."""
    return jax.tree.map(lambda a, b: jnp.where(choose.reshape((-1,) + (1,) * (a.ndim - 1)), a, b), yes, no)


def move(x: Block, factor: Array, along: Block) -> Block:
    """``x + factor * along`` with a factor of (k,), one per vector."""
    return jax.vmap(tree.axpy)(factor, along, x)


Preconditioner = Callable[[PyTree], PyTree]
"""An approximate inverse of A + damping I as a function of one vector: symmetric and positive definite."""


def as_partial(preconditioner: Preconditioner | None) -> Preconditioner | None:
    """The preconditioner as a pytree, which can be passed to a compiled step."""
    if preconditioner is None or isinstance(preconditioner, jax.tree_util.Partial):
        return preconditioner
    if not callable(preconditioner):
        raise TypeError(f"a preconditioner is a function of one vector, but was given as {type(preconditioner)}")
    return jax.tree_util.Partial(preconditioner)


def preconditioned(preconditioner: Preconditioner | None, block: Block) -> Block:
    """Apply a function of one vector to each of a block; None is the identity."""
    if preconditioner is None:
        return block
    found = jax.vmap(preconditioner)(block)
    tree.same_shapes(found, block, name="what the preconditioner returns", expected="the right-hand sides")
    return jax.tree.map(lambda a, b: a.astype(b.dtype), found, block)


def solver(
    method: Method, limit: Limits, begin: Callable[[Problem, Block | None, Preconditioner | None], Any]
) -> Callable[..., tuple[Block, SolveInfo]]:
    """``solve(matrix, rhs, *, start=None, preconditioner=None)``, with ``begin(problem, start, preconditioner)``."""
    begin_compiled = jax.jit(begin)

    def solve(
        matrix: Operator | Callable[[PyTree], PyTree],
        rhs: Block,
        *,
        start: Block | None = None,
        preconditioner: Preconditioner | None = None,
    ) -> tuple[Block, SolveInfo]:
        operator, prob, approximate = as_operator(matrix), problem(rhs), as_partial(preconditioner)
        state = (begin_compiled if operator.streamed else begin)(prob, start, approximate)
        return run(method, operator, limit, prob, approximate, state)

    return solve


def judged(s: Recurrence, relative: Array, *, tolerance: float, finite: Array, positive: Array) -> Array:
    """How a step of conjugate gradient leaves the right-hand sides.

    Args:
        s: the state before the step.
        relative: (k,) residuals after it, the true ones where ``s.renew``.
        tolerance: what they are to reach.
        finite: whether the curvature along the directions is finite; a bool, or (k,) of them.
        positive: whether it is above 0, likewise.

    Returns:
        (k,) int32.
    """
    return jnp.select(
        [
            s.status != RUNNING,
            ~jnp.isfinite(relative) | (~s.renew & ~finite),
            s.renew & (relative <= tolerance),
            s.renew & (relative > 0.9 * s.last),
            ~s.renew & ~positive,
        ],
        [s.status, Status.NOT_FINITE, Status.CONVERGED, Status.STAGNATED, Status.NEGATIVE_CURVATURE],
        RUNNING,
    ).astype(jnp.int32)


def run(
    method: Method,
    matrix: Operator | Callable[[PyTree], PyTree],
    limit: Limits,
    prob: Problem,
    preconditioner: Preconditioner | None,
    state: Any,
) -> tuple[Block, SolveInfo]:
    """Step until every right-hand side is settled or the limit is reached, then report true residuals."""
    operator = as_operator(matrix)

    def damped(block: Block) -> Block:
        product = operator.block(block)
        tree.same_shapes(product, block, name="a product of the matrix", expected="the right-hand sides")
        return tree.axpy(limit.damping, block, jax.tree.map(lambda a, b: a.astype(b.dtype), product, block))

    def going(s: State) -> Array:
        return jnp.any(s.status == RUNNING) & (s.steps < limit.max_steps)

    def residuals(s: State) -> Array:
        return lengths(tree.axpy(-1.0, damped(s.x), prob.rhs)) / prob.length

    if operator.streamed:
        while bool(going(state)):
            product = damped(method.direction_compiled(state))
            state = method.advance_compiled(prob, preconditioner, state, product)
        settled = _known(state).all()
        relative = state.relative if bool(settled) else residuals(state)
    else:
        state = jax.lax.while_loop(
            going, lambda s: method.advance(prob, preconditioner, s, damped(method.direction(s))), state
        )
        settled = _known(state).all()
        relative = jax.lax.cond(settled, lambda s: s.relative, residuals, state)
    relative = jnp.where(_known(state), state.relative, relative)
    last_word = jnp.where(relative <= limit.tolerance, Status.CONVERGED, Status.LIMIT)
    status = jnp.where(state.status == RUNNING, last_word, state.status).astype(jnp.int32)
    return state.x, SolveInfo((state.steps + ~settled).astype(jnp.int32), relative, status)


def _known(state: State) -> Array:
    """(k,) whether the residual in the state is the true one, or none can be had."""
    known = (state.status == Status.CONVERGED) | (state.status == Status.STAGNATED)
    return known | (state.status == Status.NOT_FINITE)


def beginning(prob: Problem, start: Block | None) -> Block:
    """Where to start: 0, or what is given, except for right-hand sides that are settled already."""
    zeros = tree.zeros_like(prob.rhs)
    if start is None:
        return zeros
    tree.same_shapes(start, prob.rhs, name="start", expected="the right-hand sides")
    start = jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), start, prob.rhs)
    return pick(prob.status == RUNNING, start, zeros)


def relative_at_start(prob: Problem) -> Array:
    """(k,) residuals before the first step: 0 where b is 0, NaN where it is not finite, otherwise 1."""
    settled = jnp.where(prob.status == Status.CONVERGED, 0, jnp.nan)
    return jnp.where(prob.status == RUNNING, 1, settled).astype(prob.length.dtype)
