"""Approximate inverses of A + damping I for the conjugate gradient methods: by the diagonal, and by low rank."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnoisy import check, tree
from jaxnoisy.curvature.block_cg import orthonormal
from jaxnoisy.curvature.krylov import Preconditioner, nonnegative
from jaxnoisy.curvature.operator import Block, Operator, as_operator
from jaxnoisy.types import Array, Key, PyTree


def jacobi(diagonal: PyTree, *, damping: float = 0.0) -> Preconditioner:
    """Divide by a diagonal plus the damping.

    It mends scales that differ between parameters, as between the layers of a network, and nothing else.

    Args:
        diagonal: a tree shaped as the parameters, from :func:`fisher_diagonal` or :func:`diagonal_estimate`. Negative
            entries, which estimates can have, count as 0.
        damping: that of the system, >= 0. Where an entry and the damping are both 0, nothing is divided.

    Returns:
        A function of one vector, a pytree that can be passed through ``jit``.

    Raises:
        ValueError: damping out of range.

    Example:
        >>> import jax.numpy as jnp
        >>> jacobi(jnp.array([3.0, 0.0]), damping=1.0)(jnp.array([8.0, 8.0])).tolist()
        [2.0, 8.0]
    """
    added = nonnegative(damping, name="damping")
    shifted = jax.tree.map(lambda d: jnp.maximum(d, 0) + added, diagonal)
    return jax.tree_util.Partial(_divide, jax.tree.map(lambda d: jnp.where(d > 0, d, 1), shifted))


def nystrom(
    key: Key,
    matrix: Operator | Callable[[PyTree], PyTree],
    like: PyTree,
    *,
    rank: int,
    damping: float = 0.0,
) -> Preconditioner:
    """Invert the top of the spectrum, as found by a random sketch.

    Frangella, Tropp and Udell (2023), "Randomized Nystrom preconditioning", algorithm 2.1 and equation 1.3. With a rank
    of about twice the effective dimension, sum_i e_i / (e_i + damping) over the eigenvalues e_i of A, the
    preconditioned condition number is below 28 in expectation (theorem 1.1), however large that of A is.

    Args:
        key: typed key.
        matrix: A, positive semidefinite and without damping, as an operator or a function of one vector.
        like: a vector: parameters, or their shapes.
        rank: r, vectors in the sketch; at most p are of use.
        damping: that of the system, >= 0.

    Returns:
        A function of one vector, a pytree that can be passed through ``jit``. Cost: one product with a block of r, and
        12 r^2 p operations; each use takes 4 r p. Memory: four blocks of r vectors, and one that is kept.

    Raises:
        ValueError: a rank below 1, or damping out of range.
        TypeError: a key that is not typed.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxnoisy.curvature import cg, nystrom
        >>> scale = jnp.array([1e4, 1e3, 1.0, 1.0])
        >>> top = nystrom(jax.random.key(0), lambda v: scale * v, scale, rank=3, damping=0.1)
        >>> x, info = cg(damping=0.1)(lambda v: scale * v, jnp.ones((1, 4)), preconditioner=top)
        >>> bool(info.converged.all()), int(info.steps) < 5
        (True, True)
    """
    check.typed_key(key)
    r = min(check.positive_int(rank, name="rank"), tree.size(like))
    added = nonnegative(damping, name="damping")
    wide = jax.tree.map(lambda a: jax.ShapeDtypeStruct((r, *a.shape), jnp.promote_types(a.dtype, jnp.float32)), like)
    operator = as_operator(matrix)
    basis_of, finish = (_basis_compiled, _invert_compiled) if operator.streamed else (orthonormal, _invert_sketch)
    probes, live = basis_of(tree.random_like(key, wide), jnp.ones(r, bool))
    sketch = operator.block(jax.tree.map(lambda z, a: z.astype(a.dtype), probes, like))
    return jax.tree_util.Partial(low_rank, *finish(probes, live, sketch, added))


def _invert_sketch(probes: Block, live: Array, sketch: Block, added: float) -> tuple[Block, Array]:
    """The arguments of :func:`low_rank` from A times orthonormal probes."""
    r, p = len(live), tree.size(probes) // len(live)
    sketch = jax.tree.map(lambda y, z: y.astype(z.dtype), sketch, probes)
    # A shift of the size of rounding keeps the core positive definite where A has lower rank than the sketch.
    eps = jnp.finfo(jnp.result_type(*jax.tree.leaves(sketch))).eps
    shift = jnp.sqrt(p) * eps * jnp.sqrt(jnp.trace(tree.gram(sketch, sketch)))
    sketch = tree.axpy(shift, probes, sketch)
    core = tree.gram(probes, sketch)
    lower = jnp.linalg.cholesky((core + core.T) / 2 + jnp.diag((~live).astype(core.dtype)))
    inverse = jax.scipy.linalg.solve_triangular(lower, jnp.eye(r, dtype=core.dtype), lower=True)
    root = tree.combine(sketch, inverse.T)
    basis, _ = orthonormal(root, jnp.ones(r, bool))
    left, singular, _ = jnp.linalg.svd(tree.gram(basis, root))
    values = jnp.maximum(singular**2 - shift, 0)
    # The part outside the sketch is taken to have the lowest eigenvalue found.
    rest = jnp.maximum(values[-1] + added, eps * values[0])
    # A factor near rounding could come out negative in I + U (factors - 1) U^T, which must stay positive definite.
    factors = jnp.maximum(rest / jnp.maximum(values + added, rest), 32 * eps) - 1
    return tree.combine(basis, left), factors


_basis_compiled, _invert_compiled = jax.jit(orthonormal), jax.jit(_invert_sketch)


def _divide(diagonal: PyTree, vector: PyTree) -> PyTree:
    return jax.tree.map(lambda d, v: (v / d).astype(v.dtype), diagonal, vector)


def low_rank(basis: Block, factors: Array, vector: PyTree) -> PyTree:
    """(I + U diag(factors) U^T) v for orthonormal U."""
    one = jax.tree.map(lambda a: a[None], vector)
    part = tree.combine(basis, factors[:, None] * tree.gram(basis, one))
    return jax.tree.map(lambda v, a: (v + a[0]).astype(v.dtype), vector, part)
