"""An approximate inverse from the leading eigenpairs, which a Krylov space finds."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnoisy import check, tree
from jaxnoisy.curvature import krylov
from jaxnoisy.curvature.krylov import RUNNING, Preconditioner
from jaxnoisy.curvature.lanczos import lanczos
from jaxnoisy.curvature.operator import Block, Like, Operator, as_operator, shapes_of
from jaxnoisy.curvature.preconditioners import low_rank
from jaxnoisy.curvature.solution import SolveInfo, Status
from jaxnoisy.types import Array, Key, PyTree


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("basis", "values", "errors", "matrix"),
    meta_fields=("damping", "complement", "tolerance", "like"),
)
@dataclasses.dataclass(frozen=True)
class Eigenpairs:
    """Leading eigenpairs of A and the inverse that they make, from :func:`arnoldi`: a pytree.

    Attributes:
        basis: r orthonormal approximate eigenvectors, as a block.
        values: (r,) their eigenvalues, those of A without damping, in the order asked for.
        errors: (r,) ||A u - value u||: an eigenvalue of A lies within it of each value.
        matrix: A, for residuals; None where they were not asked for.
        damping: added to the eigenvalues.
        complement: whether what lies outside the span is divided by the damping.
        tolerance: the relative residual up to which a solution counts as converged.
        like: the parameters' shapes.
    """

    basis: Block
    values: Array
    errors: Array
    matrix: Operator | None
    damping: float
    complement: bool
    tolerance: float
    like: Like

    def __call__(self, rhs: Block) -> tuple[Block, SolveInfo]:
        """Apply the inverse to a block of k right-hand sides; see :func:`arnoldi`."""
        prob = krylov.problem(rhs)
        self.like.taken(rhs, name="rhs")
        sound = krylov.pick(prob.status == RUNNING, rhs, tree.zeros_like(rhs))
        share, eps = tree.gram(self.basis, sound), jnp.finfo(self.values.dtype).eps
        shifted = self.values + self.damping
        rounding = len(shifted) * eps * jnp.abs(shifted).max()
        regular = jnp.abs(shifted) > rounding
        factors = jnp.where(regular, 1 / jnp.where(regular, shifted, 1), 0)
        outside = 1 / self.damping if self.complement else 0.0
        inside = tree.combine(self.basis, (factors - outside)[:, None] * share)
        x = jax.tree.map(lambda b, a: (outside * b + a).astype(b.dtype), sound, inside)
        bent = jnp.linalg.norm(jnp.where(shifted <= rounding, 1, 0)[:, None] * share, axis=0)
        relative, finite = jnp.full_like(prob.length, jnp.nan), jnp.isfinite(krylov.lengths(x))
        if self.matrix is not None:
            product = self.matrix.block(x)
            left = jax.tree.map(lambda b, a, v: b - a - self.damping * v, sound, product, x)
            relative = krylov.lengths(left) / prob.length
            finite = jnp.isfinite(relative)
        status = jnp.select(
            [prob.status != RUNNING, ~finite, bent > 100 * eps * prob.length, relative <= self.tolerance],
            [prob.status, Status.NOT_FINITE, Status.NEGATIVE_CURVATURE, Status.CONVERGED],
            Status.UNCHECKED if self.matrix is None else Status.LIMIT,
        ).astype(jnp.int32)
        relative = jnp.where(prob.status == RUNNING, relative, krylov.relative_at_start(prob))
        steps = jnp.asarray(self.matrix is not None, jnp.int32)
        return x, SolveInfo(steps, relative, status)

    def preconditioner(self) -> Preconditioner:
        """A positive definite approximate inverse for the conjugate gradient methods, as a function of one vector.

        Eigenvalues count by their magnitude, and what lies outside the span as if it had the lowest one found: the
        condition that is left is that of A + damping I without the leading eigenvalues.
        """
        sizes = jnp.abs(self.values) + self.damping
        lowest = jnp.maximum(sizes.min(), 32 * jnp.finfo(sizes.dtype).eps * sizes.max())
        return jax.tree_util.Partial(low_rank, self.basis, lowest / jnp.maximum(sizes, lowest) - 1)


def arnoldi(
    key: Key,
    matrix: Operator | Callable[[PyTree], PyTree],
    like: PyTree,
    *,
    rank: int,
    damping: float = 0.0,
    steps: int | None = None,
    order: str = "magnitude",
    complement: bool = False,
    residuals: bool = True,
    tolerance: float = 1e-5,
) -> Eigenpairs:
    """Project A + damping I to its leading eigenvectors, and invert it there.

    The method of Schioppa et al. (2022), "Scaling up influence functions". The Arnoldi process of a symmetric matrix is
    that of Lanczos; it is run here with full reorthogonalisation from a random vector, for more steps than eigenpairs
    are kept, and the leading Ritz pairs of its space are taken.

    The inverse is U diag(1 / (e + damping)) U^T for the eigenpairs (e, U), as in that paper: what a right-hand side has
    outside their span is dropped. With ``complement`` it is divided by the damping instead, as if A were 0 there, which
    is exact for an A of rank at most r.

    Args:
        key: typed key.
        matrix: A, symmetric and without damping, as an operator or a function of one vector.
        like: a vector: parameters, or their shapes. The basis is laid out over devices as they are.
        rank: r, eigenpairs to keep; at most p.
        damping: >= 0, added to the diagonal; > 0 with ``complement``.
        steps: products to find them with, at least r; twice r by default.
        order: which eigenpairs lead: "magnitude", those of largest absolute value, or "value", the largest.
        complement: whether what lies outside the span is divided by the damping.
        residuals: whether each use takes one more product, with its block, for the residual. Without it a use costs no
            pass over the data and is UNCHECKED: this is what makes the method fast, and what to switch off once the
            residuals of a few blocks have been seen.
        tolerance: relative residual up to which a solution counts as converged; beyond it the status is LIMIT.

    Returns:
        ``inverse(rhs) -> (x, SolveInfo)`` for blocks of right-hand sides shaped as ``like``, a pytree that passes
        through ``jit``, with ``inverse.preconditioner()`` for the conjugate gradient methods. Where a right-hand side
        has a share along an eigenvector of e + damping <= 0, its status is NEGATIVE_CURVATURE, and x is made with the
        negative eigenvalue (an eigenvalue of 0 up to rounding is left out). Cost: ``steps`` products with one vector
        and 8 steps^2 p operations; 4 r k p per use. Memory: ``steps`` vectors, r of which are kept.

    Raises:
        ValueError: numbers out of range, steps below the rank, or a complement without damping; from ``inverse``:
            right-hand sides that are no block, or differ from ``like`` in structure or shape.
        TypeError: a key that is not typed; from ``inverse``: right-hand sides that are not floating point.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> scale = jnp.array([7.0, -3.0, 0.0, 0.0])
        >>> inverse = arnoldi(jax.random.key(0), lambda v: scale * v, scale, rank=2, damping=1.0, complement=True)
        >>> x, info = inverse(jnp.array([[16.0, 0.0, 5.0, 6.0]]))
        >>> x.round(3).astype(int).tolist(), info.converged.tolist()
        ([[2, 0, 5, 6]], [True])
    """
    p = tree.size(like)
    r = min(check.positive_int(rank, name="rank"), p)
    taken = 2 * r if steps is None else check.positive_int(steps, name="steps", minimum=r)
    limit = krylov.limits(damping, tolerance, 1)
    if complement and limit.damping == 0:
        raise ValueError("complement=True divides by the damping, which is 0: give a damping above 0")
    by_value = check.one_of(order, ("magnitude", "value"), name="order") == "value"
    operator = as_operator(matrix)
    found = lanczos(key, operator, like, steps=taken)
    # Eigenvalues that are not finite would not be sorted, and an infinite one must not pass for the largest.
    sound = jnp.isfinite(found.matrix).all()
    values, vectors = jnp.linalg.eigh(jnp.where(sound, found.matrix, 0))
    chosen = jnp.argsort(-values if by_value else -jnp.abs(values))[:r]
    values = jnp.where(sound, values[chosen], jnp.nan)
    return Eigenpairs(
        basis=tree.combine(found.basis, vectors[:, chosen]),
        values=values,
        errors=found.beyond * jnp.abs(vectors[-1, chosen]),
        matrix=operator if residuals else None,
        damping=limit.damping,
        complement=bool(complement),
        tolerance=limit.tolerance,
        like=shapes_of(like),
    )
