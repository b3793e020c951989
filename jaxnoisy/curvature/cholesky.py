"""Solving by the dense matrix, for models small enough to have one."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check, tree
from jaxnoisy.curvature import krylov
from jaxnoisy.curvature.krylov import RUNNING
from jaxnoisy.curvature.operator import Block, Like, Operator, as_operator, shapes_of
from jaxnoisy.curvature.solution import SolveInfo, Status
from jaxnoisy.types import Array, PyTree


def dense(matrix: Operator | Callable[[PyTree], PyTree], like: PyTree, *, block_size: int = 256) -> Array:
    """The matrix itself, from its products with blocks of unit vectors.

    Args:
        matrix: an operator, or a function of one vector.
        like: a vector: parameters, or their shapes.
        block_size: unit vectors per product.

    Returns:
        (p, p) in float32 at least; rows and columns run through the leaves in the order of ``jax.tree.leaves``, each in
        row-major order (as in ``jax.flatten_util.ravel_pytree``). Symmetrised: rounding leaves products a little off.
        Cost: ceil(p / block_size) products. Memory: three matrices.

    Example:
        >>> import jax.numpy as jnp
        >>> dense(lambda v: {"a": v["a"][::-1]}, {"a": jnp.zeros(2)}).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    size = min(check.positive_int(block_size, name="block_size"), tree.size(like))
    operator, p = as_operator(matrix), tree.size(like)

    def rows(start: Array | int) -> Array:
        units = jnp.arange(p)[None, :] == start + jnp.arange(size)[:, None]
        return as_rows(operator.block(as_block(units.astype(jnp.float32), like)))

    starts = np.arange(0, p, size)
    if operator.streamed:
        blocks = jnp.concatenate([rows(int(start)) for start in starts])
    else:
        blocks = jax.lax.map(rows, jnp.asarray(starts)).reshape(-1, p)
    found = blocks[:p]
    return (found + found.T) / 2


def as_rows(block: Block) -> Array:
    """A block of k vectors as (k, p), in float32 at least."""
    leaves = [a.reshape(a.shape[0], -1) for a in jax.tree.leaves(block)]
    return jnp.concatenate(leaves, axis=1, dtype=jnp.result_type(jnp.float32, *leaves))


def as_block(rows: Array, like: PyTree) -> Block:
    """Rows of (k, p) as a block of vectors shaped ``like``, in its dtypes."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([a.size for a in leaves])[:-1]
    parts = jnp.split(rows, ends, axis=1)
    return jax.tree.unflatten(structure, [part.reshape(-1, *a.shape).astype(a.dtype) for part, a in zip(parts, leaves)])


@functools.partial(jax.tree_util.register_dataclass, data_fields=("matrix", "lower"), meta_fields=("like", "tolerance"))
@dataclasses.dataclass(frozen=True)
class Factorised:
    """The inverse of a damped matrix by its Cholesky factor, from :func:`factorised`: a pytree.

    Attributes:
        matrix: (p, p) A + damping I.
        lower: (p, p) its Cholesky factor; NaN where it is not positive definite.
        like: the parameters' shapes.
        tolerance: the relative residual up to which a solution counts as converged.
    """

    matrix: Array
    lower: Array
    like: Like
    tolerance: float

    def __call__(self, rhs: Block) -> tuple[Block, SolveInfo]:
        """Solve for a block of k right-hand sides; see :func:`factorised`."""
        prob = krylov.problem(rhs)
        self.like.taken(rhs, name="rhs")
        b = as_rows(krylov.pick(prob.status == RUNNING, rhs, tree.zeros_like(rhs)))
        finite, positive = jnp.isfinite(self.matrix).all(), jnp.isfinite(self.lower[-1, -1])

        def residual(x: Array) -> Array:
            return b - jnp.matmul(x, self.matrix, precision="highest")

        def correct(r: Array) -> Array:
            half = jax.scipy.linalg.solve_triangular(self.lower, r.T, lower=True)
            return jax.scipy.linalg.solve_triangular(self.lower, half, lower=True, trans=1).T

        x = correct(b)
        x = jnp.where(positive, x + correct(residual(x)), 0)
        relative = jnp.where(finite, jnp.linalg.norm(residual(x), axis=1), jnp.nan) / prob.length
        relative = jnp.where(prob.status == Status.NOT_FINITE, jnp.nan, relative)
        status = jnp.select(
            [prob.status != RUNNING, ~finite, ~positive, relative <= self.tolerance],
            [prob.status, Status.NOT_FINITE, Status.NEGATIVE_CURVATURE, Status.CONVERGED],
            Status.STAGNATED,
        )
        info = SolveInfo(jnp.zeros((), jnp.int32), relative.astype(prob.length.dtype), status.astype(jnp.int32))
        return as_block(x, jax.tree.map(lambda a: a[0], rhs)), info


def factorised(
    matrix: Operator | Callable[[PyTree], PyTree],
    like: PyTree,
    *,
    damping: float = 0.0,
    tolerance: float = 1e-5,
    block_size: int = 256,
) -> Factorised:
    """Form and factorise A + damping I once, to solve for many blocks.

    A matrix without a Cholesky factor is not positive definite. Neither is one, as far as its precision tells, of which
    a pivot has been left by rounding alone, at most 4 sqrt(p) eps of the diagonal entry that it comes from: there ends
    a singular A without damping.

    Args:
        matrix: A, as an operator or a function of one vector.
        like: a vector: parameters, or their shapes.
        damping: >= 0, added to the diagonal.
        tolerance: the relative residual up to which a solution counts as converged; beyond it the status is STAGNATED.
        block_size: unit vectors per product while A is formed.

    Returns:
        ``inverse(rhs) -> (x, SolveInfo)`` for blocks of right-hand sides shaped as ``like``, a pytree that passes
        through ``jit``. Solutions take one step of iterative refinement; ``steps`` is 0, as no product is taken. Where
        A + damping I is not positive definite, x is 0 and the status NEGATIVE_CURVATURE. Cost: ceil(p / block_size)
        products and p^3 / 3 operations; 6 k p^2 operations per block. Memory: 4 p^2 numbers, 2 p^2 that are kept.

    Raises:
        ValueError: damping, tolerance or block size out of range; from ``inverse``: right-hand sides that are no block,
            or differ from ``like`` in structure or shape.
        TypeError: from ``inverse``: right-hand sides that are not floating point.

    Example:
        >>> import jax.numpy as jnp
        >>> inverse = factorised(lambda v: 3 * v, jnp.zeros(2), damping=1.0)
        >>> [inverse(jnp.array([[4.0, scale]]))[0].tolist() for scale in (8.0, 0.0)]
        [[[1.0, 2.0]], [[1.0, 0.0]]]
    """
    limit = krylov.limits(damping, tolerance, 1)
    a = dense(matrix, like, block_size=block_size)
    a = a + limit.damping * jnp.eye(len(a), dtype=a.dtype)
    lower = jnp.linalg.cholesky(a, symmetrize_input=False)
    rounding = 4 * np.sqrt(len(a)) * float(jnp.finfo(a.dtype).eps)
    positive = (jnp.diagonal(lower) ** 2 > rounding * jnp.diagonal(a)).all()
    return Factorised(a, jnp.where(positive, lower, jnp.nan), shapes_of(like), limit.tolerance)


def cholesky(
    *, damping: float = 0.0, tolerance: float = 1e-5, block_size: int = 256
) -> Callable[[Operator | Callable[[PyTree], PyTree], Block], tuple[Block, SolveInfo]]:
    """Form A, factorise A + damping I, and solve: :func:`factorised` for a single block.

    Args:
        damping: >= 0, added to the diagonal.
        tolerance: as for :func:`factorised`.
        block_size: as for :func:`factorised`.

    Returns:
        ``solve(matrix, rhs) -> (x, SolveInfo)`` for a block of k right-hand sides, with ``steps`` the products taken,
        ceil(p / block_size), and the cost and statuses of :func:`factorised`.

    Raises:
        ValueError: damping, tolerance or block size out of range; from ``solve``: right-hand sides that are no block.
        TypeError: from ``solve``: right-hand sides that are not floating point.

    Example:
        >>> import jax.numpy as jnp
        >>> x, info = cholesky(damping=1.0)(lambda v: 3 * v, jnp.array([[4.0, 8.0]]))
        >>> x.tolist(), info.converged.tolist()
        ([[1.0, 2.0]], [True])
    """
    limit = krylov.limits(damping, tolerance, 1)
    size = check.positive_int(block_size, name="block_size")

    def solve(matrix: Operator | Callable[[PyTree], PyTree], rhs: Block) -> tuple[Block, SolveInfo]:
        krylov.problem(rhs)
        like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), rhs)
        inverse = factorised(matrix, like, damping=limit.damping, tolerance=limit.tolerance, block_size=size)
        x, info = inverse(rhs)
        return x, info._replace(steps=jnp.asarray(-(-tree.size(like) // size), jnp.int32))

    return solve
