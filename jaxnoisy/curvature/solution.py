"""What every solver of (A + damping I) x = b returns beside x, in numbers and in words."""

import enum
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import numpy as np

from jaxnoisy.curvature.operator import Block, Operator
from jaxnoisy.types import Array, PyTree


class Status(enum.IntEnum):
    """How a solver left a right-hand side."""

    CONVERGED = 0
    """The residual, computed anew from the solution, is within the tolerance."""
    LIMIT = 1
    """Stopped at the limit of steps."""
    NEGATIVE_CURVATURE = 2
    """Met a direction along which the damped matrix, or the preconditioner, is not positive."""
    STAGNATED = 3
    """The precision of the arithmetic allows no smaller residual."""
    NOT_FINITE = 4
    """A product or a right-hand side holds NaN or infinity."""
    DIVERGED = 5
    """The iteration moves away from the solution."""
    UNCHECKED = 6
    """An approximation of which no residual was asked for."""


class SolveInfo(NamedTuple):
    """How solving went.

    Attributes:
        steps: int32, products of the matrix with the block that were taken; each is a pass over the data.
        residual: (k,) ||b - (A + damping I) x|| / ||b||, computed from the x returned; 0 where b is 0, NaN where it is
            not computed.
        status: (k,) int32, a :class:`Status` per right-hand side.
    """

    steps: Array
    residual: Array
    status: Array

    @property
    def converged(self) -> Array:
        """(k,) bool."""
        return self.status == Status.CONVERGED


Inverse: TypeAlias = Callable[[Block], tuple[Block, SolveInfo]]
"""``inverse(rhs) -> (x, info)``: a solver bound to a matrix, or what was prepared once to be applied often."""

Solver: TypeAlias = Callable[[Operator, Block], tuple[Block, SolveInfo]]
"""``solve(matrix, rhs) -> (x, info)`` for a block of k right-hand sides: every leaf with a leading axis of length k."""

_REMEDY = {
    Status.LIMIT: "stopped at the limit of steps: allow more, add damping, or take a preconditioner",
    Status.NEGATIVE_CURVATURE: "met negative curvature, as the matrix is not positive definite: take Gauss-Newton "
    "products in place of the Hessian's, or add damping beyond its lowest eigenvalue",
    Status.STAGNATED: "reached the limit of this precision: add damping, ask for less, or enable float64",
    Status.NOT_FINITE: "met values that are not finite: look for NaN in the parameters and right-hand sides, and for "
    "losses whose derivatives overflow",
    Status.DIVERGED: "moved away from the solution: give a larger scale, or add damping",
    Status.UNCHECKED: "come from an approximate inverse whose residual was not asked for",
}


def describe(info: SolveInfo) -> str:
    """A sentence for each way in which right-hand sides were left, with its remedy; values must be concrete.

    Example:
        >>> import jax.numpy as jnp
        >>> describe(SolveInfo(jnp.int32(3), jnp.zeros(2), jnp.zeros(2, jnp.int32)))
        '2 of 2 right-hand sides converged in 3 passes'
    """
    status, residual = np.asarray(info.status), np.asarray(info.residual)
    said = [f"{(status == Status.CONVERGED).sum()} of {status.size} right-hand sides converged in {info.steps} passes"]
    for kind, remedy in _REMEDY.items():
        left = status == kind
        if left.any():
            said.append(f"{left.sum()} (residual up to {residual[left].max():.2g}) {remedy}")
    return "; ".join(said)


def one(solver: Solver) -> Callable[[Operator, PyTree], tuple[PyTree, SolveInfo]]:
    """The same solver for a single right-hand side, shaped as the parameters; residual and status are scalars.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnoisy.curvature import cg, from_function, one
        >>> x, info = one(cg(damping=1.0))(from_function(lambda v: 3 * v), jnp.array([4.0, 8.0]))
        >>> x.tolist(), int(info.status)
        ([1.0, 2.0], 0)
    """

    def solve(matrix: Operator, rhs: PyTree) -> tuple[PyTree, SolveInfo]:
        x, info = solver(matrix, jax.tree.map(lambda a: a[None], rhs))
        return jax.tree.map(lambda a: a[0], x), SolveInfo(info.steps, info.residual[0], info.status[0])

    return solve
