"""Solving by the dense matrix, for models small enough to have one."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check, tree
from jaxnoisy.curvature import krylov
from jaxnoisy.curvature.krylov import RUNNING
from jaxnoisy.curvature.operator import Block, Operator, as_operator
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


def cholesky(
    *, damping: float = 0.0, tolerance: float = 1e-5, block_size: int = 256
) -> Callable[[Operator | Callable[[PyTree], PyTree], Block], tuple[Block, SolveInfo]]:
    """Form A, factorise A + damping I, and solve, with one step of iterative refinement.

    Args:
        damping: >= 0, added to the diagonal.
        tolerance: the relative residual up to which a solution counts as converged; beyond it the status is STAGNATED.
        block_size: unit vectors per product while A is formed.

    Returns:
        ``solve(matrix, rhs) -> (x, SolveInfo)`` for a block of k right-hand sides, with ``steps`` the products taken,
        ceil(p / block_size). Where A + damping I is not positive definite, x is 0 and the status NEGATIVE_CURVATURE.
        Time: these products, and p^3 / 3 + 6 k p^2 operations. Memory: 4 p^2 numbers.

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
    check.positive_int(block_size, name="block_size")

    def solve(matrix: Operator | Callable[[PyTree], PyTree], rhs: Block) -> tuple[Block, SolveInfo]:
        prob = krylov.problem(rhs)
        like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), rhs)
        a = dense(matrix, like, block_size=block_size)
        p = len(a)
        a = a + limit.damping * jnp.eye(p, dtype=a.dtype)
        b = as_rows(krylov.pick(prob.status == RUNNING, rhs, tree.zeros_like(rhs)))
        factor = jnp.linalg.cholesky(a, symmetrize_input=False)
        positive, finite = jnp.isfinite(factor).all(), jnp.isfinite(a).all()
        factor = jnp.where(positive, factor, jnp.eye(p, dtype=a.dtype))

        def residual(x: Array) -> Array:
            return b - jnp.matmul(x, a, precision="highest")

        def correct(r: Array) -> Array:
            half = jax.scipy.linalg.solve_triangular(factor, r.T, lower=True)
            return jax.scipy.linalg.solve_triangular(factor, half, lower=True, trans=1).T

        x = correct(b)
        x = jnp.where(positive, x + correct(residual(x)), 0)
        relative = jnp.where(finite, jnp.linalg.norm(residual(x), axis=1), jnp.nan) / prob.length
        relative = jnp.where(prob.status == Status.NOT_FINITE, jnp.nan, relative)
        status = jnp.select(
            [prob.status != RUNNING, ~finite, ~positive, relative <= limit.tolerance],
            [prob.status, Status.NOT_FINITE, Status.NEGATIVE_CURVATURE, Status.CONVERGED],
            Status.STAGNATED,
        )
        steps = jnp.asarray(-(-p // block_size), jnp.int32)
        return as_block(x, like), SolveInfo(steps, relative.astype(prob.length.dtype), status.astype(jnp.int32))

    return solve
