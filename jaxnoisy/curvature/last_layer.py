"""Softmax cross entropy on a linear head in closed form: exact inverse curvature for every example.

The gradient of an example with features h and residual r = softmax(logits) - onehot(label) is h r^T, of (D, c); the
Hessian of the weighted mean is sum_i w_i h_i h_i^T (x) (diag p_i - p_i p_i^T) / sum_i w_i. Features carry a last entry
of 1 where the head has a bias: D = d + 1. A head's vector is an array (D, c): the kernel (d, c) as Flax keeps it, and
the bias as its last row.

Nothing here is of n x p numbers. On the contrasts of the classes (:mod:`jaxnoisy.curvature.class_pairs`) the Hessian is
regular and has m = (c - 1) D rows; on the part common to all classes it is 0, and only the damping is inverted. A
quadratic form g_i^T (H + damping I)^-k g_i is the sum of r_s r_t h^T S_st h over c (c - 1) / 2 pairs of contrasts, with
S the inverse or its square: n c^2 D^2 / 1.8 operations in large matrix products, where solving for each gradient would
take 2 n c^2 D^2. In all, with n c^2 D^2 / 1.8 for the Hessian and about 8 m^3 / 3 for factor, inverse and square, the
cost is linear in n, and memory beside the features is 4 m^2 numbers whatever n is.

Numbers are in the features' precision, float32 at least. The error in float32 grows with the condition
||H|| / damping, as rounding ||H|| perturbs the smallest eigenvalues: for a condition of 1e5 and more, enable float64.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.curvature import examples, head_algebra, head_inputs, krylov, rowwise, symmetric_products
from jaxnoisy.curvature.solution import SolveInfo, Status
from jaxnoisy.types import Array, ArrayLike


class HeadFactor(NamedTuple):
    """The damped Hessian of a head.

    Attributes:
        matrix: (m, m) on the contrasts, damping included; index s D + j for contrast s and feature j.
        lower: (m, m) its Cholesky factor; NaN, inside ``jit``, where it is not positive definite in this precision.
        damping: scalar.
        like: (D, c), of which only the shape is of interest.
    """

    matrix: Array
    lower: Array
    damping: Array
    like: Array


class HeadInverse(NamedTuple):
    """The inverse of the damped Hessian.

    Attributes:
        matrix: (m, m) on the contrasts.
        damping: scalar.
        like: (D, c), of which only the shape is of interest.
    """

    matrix: Array
    damping: Array
    like: Array


def factorise(
    features: ArrayLike,
    logits: ArrayLike,
    *,
    damping: float,
    weights: ArrayLike | None = None,
    bias: bool = True,
    block_size: int = 1024,
) -> HeadFactor:
    """Form and factorise H + damping I.

    Args:
        features: (n, d), what the head is applied to. A NumPy array, memory-mapped ones too, is read by blocks.
        logits: (n, c), what it returned; a NumPy array where the features are one.
        damping: > 0, added to the diagonal (without it the matrix is singular: all logits may move together).
        weights: (n,) nonnegative, or None for equal ones; they are divided by their sum.
        bias: whether the head has a bias.
        block_size: rows per block.

    Returns:
        A :class:`HeadFactor`. Time: n c^2 D^2 / 1.8 + m^3 / 3 operations. Memory: 3 m^2 numbers.

    Raises:
        ValueError: damping not above 0; shapes that do not fit together; values that are not finite; a matrix that is
            not positive definite in this precision, which more damping or float64 mends. Inside ``jit``, where values
            cannot be looked at, the factor is NaN then, and :func:`solve` says so.
        TypeError: features or logits that are not floating point.

    Example:
        >>> import numpy as np
        >>> features, logits = np.eye(3, dtype=np.float32), np.zeros((3, 2), np.float32)
        >>> factor = factorise(features, logits, damping=0.1, bias=False)
        >>> [round(x, 4) for x in factor.matrix[0].tolist()]  # the contrast of two classes has curvature 2 p (1 - p)
        [0.2667, 0.0, 0.0]
    """
    if not 0 < damping < float("inf"):
        raise ValueError(
            f"damping must be finite and above 0, but is {damping!r}: a softmax head is the same for all logits moved "
            "together, so that its Hessian alone is singular"
        )
    check.positive_int(block_size, name="block_size")
    n, d = head_inputs.rows(features, logits, second="logits")
    c, size, dtype = logits.shape[1], d + bool(bias), head_inputs.dtype_of(features)
    w = examples.weights(weights, n)
    start = symmetric_products.zeros(c * (c - 1) // 2, size, dtype)
    rows = (features, logits, np.asarray(w) if isinstance(features, np.ndarray) else w)
    panels = rowwise.total(
        jax.tree_util.Partial(head_algebra.add_grams), start, rows, block_size=block_size, names=_NAMES
    )
    matrix, lower = head_algebra.factor(panels, jnp.asarray(damping, dtype))
    if check.is_concrete(lower) and not bool(jnp.isfinite(lower).all()):
        raise ValueError(
            f"the Hessian plus damping {damping} is not positive definite in {dtype.name}: "
            "take more damping, or float64 (jax.config.update('jax_enable_x64', True))"
        )
    return HeadFactor(matrix, lower, jnp.asarray(damping, dtype), jnp.zeros((size, c), dtype))


def residuals(logits: Array, labels: ArrayLike) -> Array:
    """softmax(logits) - onehot(labels): the gradient of cross entropy by the logits, (n, c).

    Example:
        >>> import jax.numpy as jnp
        >>> residuals(jnp.zeros((1, 2)), jnp.array([1])).tolist()
        [[0.5, -0.5]]
    """
    y = check.label_array(labels, num_classes=logits.shape[1])
    wide = jnp.asarray(logits).astype(head_inputs.dtype_of(logits))
    given = y[:, None] == jnp.arange(logits.shape[1])
    others = jnp.where(given, 0, jax.nn.softmax(wide, axis=1))
    # Where the model is sure of the label, p - 1 would have no correct digit left.
    return others - jnp.where(given, others.sum(axis=1, keepdims=True), 0)


def gradients(features: Array, residuals: Array, *, bias: bool = True) -> Array:
    """The gradients h r^T, (k, D, c), of a few examples: queries, not the training set."""
    head_inputs.rows(features, residuals, second="residuals")
    return (
        head_algebra.extended(jnp.asarray(features), features.shape[1] + bool(bias))[:, :, None]
        * jnp.asarray(residuals)[:, None, :]
    )


def solve(factor: HeadFactor, rhs: Array, *, tolerance: float = 1e-5) -> tuple[Array, SolveInfo]:
    """(H + damping I)^-1 applied to k vectors, with one step of iterative refinement.

    Args:
        factor: from :func:`factorise`.
        rhs: (k, D, c).
        tolerance: relative residual up to which a solution counts as converged.

    Returns:
        (k, D, c), and a :class:`~jaxnoisy.curvature.SolveInfo` of 0 steps. Time: 6 k m^2 operations.

    Raises:
        ValueError: right-hand sides of another shape.

    Example:
        >>> import numpy as np
        >>> factor = factorise(np.eye(2, dtype=np.float32), np.zeros((2, 2), np.float32), damping=0.25, bias=False)
        >>> x, info = solve(factor, np.array([[[1.0, -1.0], [0.0, 0.0]]], np.float32))
        >>> x[0, 0].round(3).tolist(), info.converged.tolist()
        ([2.0, -2.0], [True])
    """
    size, c = factor.like.shape
    if rhs.ndim != 3 or rhs.shape[1:] != (size, c):
        raise ValueError(f"rhs must have shape (k, {size}, {c}), k vectors of the head, but has shape {rhs.shape}")
    krylov.limits(0.0, tolerance, 1)
    b = jnp.asarray(rhs).astype(factor.matrix.dtype)
    x, left = head_algebra.solve(factor.matrix, factor.lower, factor.damping, b)
    length = jnp.linalg.norm(b.reshape(len(b), -1), axis=1)
    relative = left / jnp.where(length == 0, 1, length)
    status = jnp.select(
        [~jnp.isfinite(length), ~jnp.isfinite(factor.lower).all(), relative <= tolerance],
        [Status.NOT_FINITE, Status.NEGATIVE_CURVATURE, Status.CONVERGED],
        Status.STAGNATED,
    )
    return x, SolveInfo(jnp.zeros((), jnp.int32), relative, status.astype(jnp.int32))


def invert(factor: HeadFactor) -> HeadInverse:
    """The inverse itself, which the forms of all examples are made of. Time: 4 m^3 / 3 operations; memory: 3 m^2."""
    matrix = head_algebra.inverse(factor.lower)
    return HeadInverse(matrix, factor.damping, factor.like)


def quadratic_forms(
    inverse: HeadInverse, features: ArrayLike, residuals: ArrayLike, *, block_size: int = 1024
) -> ArrayLike:
    """g_i^T (H + damping I)^-1 g_i for every example: its self-influence.

    Args:
        inverse: from :func:`invert`.
        features: (n, d), on a device or the host, read by blocks.
        residuals: (n, c), from :func:`residuals`; a NumPy array where the features are one.
        block_size: rows per block.

    Returns:
        (n,), on the host where the features are. Time: n c^2 D^2 / 1.8 operations.

    Raises:
        ValueError: shapes that do not fit together, or values that are not finite.
    """
    panels = head_algebra.pairs(inverse.matrix, size=inverse.like.shape[0])
    return _forms(inverse.like, panels, 1 / inverse.damping, features, residuals, block_size)


def inverse_norms(
    inverse: HeadInverse, features: ArrayLike, residuals: ArrayLike, *, block_size: int = 1024
) -> ArrayLike:
    """||(H + damping I)^-1 g_i|| for every example, with arguments and result as for :func:`quadratic_forms`.

    Time: n c^2 D^2 / 1.8 + m^3 operations.
    """
    panels = head_algebra.square_pairs(inverse.matrix, size=inverse.like.shape[0])
    squares = _forms(inverse.like, panels, inverse.damping**-2, features, residuals, block_size)
    # Rounding can leave the square of an example without a gradient a little below 0.
    return np.sqrt(np.maximum(squares, 0)) if isinstance(squares, np.ndarray) else jnp.sqrt(jnp.maximum(squares, 0))


def inner_products(vectors: Array, features: ArrayLike, residuals: ArrayLike, *, block_size: int = 1024) -> ArrayLike:
    """<v_q, g_i> for every example and each of k vectors; for solved query gradients g_q^T (H + damping I)^-1 g_i.

    Args:
        vectors: (k, D, c).
        features: (n, d), on a device or the host, read by blocks.
        residuals: (n, c), a NumPy array where the features are one.
        block_size: rows per block.

    Returns:
        (n, k), on the host where the features are. Time: 2 n k c D operations.

    Raises:
        ValueError: shapes that do not fit together, or values that are not finite.

    Example:
        >>> import numpy as np
        >>> features, r = np.eye(2, dtype=np.float32), np.array([[0.5, -0.5], [-0.25, 0.25]], np.float32)
        >>> queries = gradients(features, r, bias=False)
        >>> inner_products(queries, features, r).tolist()
        [[0.5, 0.0], [0.0, 0.125]]
    """
    if vectors.ndim != 3:
        raise ValueError(f"vectors must have shape (k, D, c), k vectors of the head, but has shape {vectors.shape}")
    head_inputs.fits(vectors.shape[1:], features, residuals)
    check.positive_int(block_size, name="block_size")
    product = jax.tree_util.Partial(head_algebra.inner_products, jnp.asarray(vectors))
    return rowwise.each(product, (features, residuals), block_size=block_size, names=_NAMES)


_NAMES = "features, logits, residuals or weights"


def _forms(
    like: Array,
    panels: symmetric_products.Panels,
    common: Array,
    features: ArrayLike,
    residuals: ArrayLike,
    block_size: int,
) -> ArrayLike:
    head_inputs.fits(like.shape, features, residuals)
    check.positive_int(block_size, name="block_size")
    form = jax.tree_util.Partial(head_algebra.forms, panels, common)
    return rowwise.each(form, (features, residuals), block_size=block_size, names=_NAMES)
