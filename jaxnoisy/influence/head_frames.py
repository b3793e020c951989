"""Influence at a linear head of examples that are several rows under one label, such as the frames of a clip.

The loss of an example is the mean over its m frames (Park et al., "Influential Rank", appendix D), so its gradient at
the head is the mean of m products h r^T, of rank m, and not h r^T as for :mod:`jaxnoisy.influence.head`. The Hessian of
the mean loss is that of all n m frames, in closed form. Every example is solved for, block after block: there is no
array of n x p numbers, and the matrix of influences is a recipe.
"""

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.curvature import head_algebra, head_inputs, last_layer, rowwise
from jaxnoisy.curvature.last_layer import HeadFactor
from jaxnoisy.curvature.solution import SolveInfo
from jaxnoisy.influence.rows import Rows
from jaxnoisy.influence.self_influence import SelfInfluence
from jaxnoisy.types import Array, ArrayLike

FrameData: TypeAlias = tuple[ArrayLike, ArrayLike, ArrayLike]
"""Features (n, m, d), logits (n, m, c) and labels (n,)."""

_NAMES = "features or logits"


def factorise(
    features: ArrayLike, logits: ArrayLike, *, damping: float, bias: bool = True, block_size: int = 1024
) -> HeadFactor:
    """The damped Hessian of the mean over examples of their frames' mean loss.

    Args:
        features: (n, m, d), what the head is applied to.
        logits: (n, m, c), what it returned.
        damping: > 0, added to the diagonal.
        bias: whether the head has a bias.
        block_size: frames per block.

    Returns:
        See :func:`jaxnoisy.curvature.last_layer.factorise`, also for cost and errors, with n m in the place of n.
    """
    n, m = _shape(features, logits)
    flat = (a.reshape(n * m, a.shape[-1]) for a in (features, logits))
    return last_layer.factorise(*flat, damping=damping, bias=bias, block_size=block_size)


def gradients(features: ArrayLike, logits: ArrayLike, labels: ArrayLike, *, bias: bool = True) -> Array:
    """Gradients by the head, (k, D, c), of a few examples: queries, not the training set.

    Args:
        features: (k, m, d).
        logits: (k, m, c).
        labels: (k,) integers in 0..c-1.
        bias: whether the head has a bias.

    Raises:
        ValueError: shapes that do not fit together, labels out of range, values that are not finite.
        TypeError: features or logits that are not floating point, labels that are not integers.

    Example:
        >>> import numpy as np
        >>> features = np.array([[[2.0], [4.0]]])
        >>> gradients(features, np.zeros((1, 2, 2)), np.array([1]), bias=False).tolist()
        [[[1.5, -1.5]]]
    """
    _checked(features, logits, labels)
    for name, a in (("features", features), ("logits", logits)):
        if check.is_concrete(a):
            check.finite(a, name=name)
    return _gradients(features.shape[2] + bool(bias), *(jnp.asarray(a) for a in (features, logits, labels)))


def pairwise(
    vectors: Array, features: ArrayLike, logits: ArrayLike, labels: ArrayLike, *, block_size: int = 256
) -> Rows:
    """Influence of n examples on k queries, -<v_q, g_i>, as a recipe; see :func:`jaxnoisy.influence.pairwise`.

    Args:
        vectors: (k, D, c) solved query gradients, or other vectors of the head.
        features: (n, m, d).
        logits: (n, m, c).
        labels: (n,) integers in 0..c-1.
        block_size: examples per block, whose gradients are held at once.

    Returns:
        Rows of (n, k). Cost of a pass: 2 n (m + k) c D operations.

    Raises:
        ValueError: shapes that do not fit together, labels out of range; once rows are computed: values that are not
            finite.
        TypeError: features or logits that are not floating point, labels that are not integers.
    """
    if vectors.ndim != 3 or len(vectors) == 0:
        raise ValueError(f"vectors must have shape (k, D, c), k >= 1 vectors of the head, but has {vectors.shape}")
    _checked(features, logits, labels)
    _belong(vectors.shape[1:], features, logits)
    size = check.positive_int(block_size, name="block_size")
    of = jax.tree_util.Partial(_products, jnp.asarray(vectors))
    dtype = np.dtype(jnp.result_type(head_inputs.dtype_of(features), of.args[0]))
    return Rows(of, (features, logits, labels), len(vectors), dtype, size, _NAMES)


def self_influence(
    factor: HeadFactor, features: ArrayLike, logits: ArrayLike, labels: ArrayLike, *, block_size: int = 256
) -> tuple[SelfInfluence, SolveInfo]:
    """Self-influence of every example, and the norm of its influence on the head.

    Args:
        factor: the damped Hessian, from :func:`factorise`.
        features: (n, m, d).
        logits: (n, m, c).
        labels: (n,) integers in 0..c-1.
        block_size: examples that are solved for at once.

    Returns:
        Two arrays of (n,), on the host where the features are, and how the systems were solved. Time: 6 n (c - 1)^2 D^2
        operations for n solutions, of which the number of frames is no factor. Memory: some blocks of gradients.

    Raises:
        ValueError: shapes that do not fit together, labels out of range, values that are not finite.
        TypeError: features or logits that are not floating point, labels that are not integers.

    Example:
        >>> import numpy as np
        >>> data = np.array([[[2.0], [2.0]]], np.float32), np.zeros((1, 2, 2), np.float32), np.array([1])
        >>> factor = factorise(*data[:2], damping=0.5, bias=False)
        >>> found, info = self_influence(factor, *data)
        >>> [round(float(a[0]), 3) for a in found]  # two frames alike: as for one
        [0.8, 0.566]
    """
    _checked(features, logits, labels)
    _belong(factor.like.shape, features, logits)
    size = check.positive_int(block_size, name="block_size")
    solve = jax.tree_util.Partial(_solved, factor)
    values, norms, info = rowwise.each(solve, (features, logits, labels), block_size=size, names=_NAMES)
    return SelfInfluence(values, norms), info._replace(steps=info.steps.max())


def _shape(features: ArrayLike, logits: ArrayLike) -> tuple[int, int]:
    for name, a in (("features", features), ("logits", logits)):
        if not isinstance(a, (np.ndarray, jax.Array)) or a.ndim != 3:
            raise ValueError(f"{name} must be an array with axes examples, frames, values, but is {jnp.shape(a)}")
        if not jnp.issubdtype(a.dtype, jnp.floating):
            raise TypeError(f"{name} must be floating point, but has dtype {a.dtype}")
    if 0 in features.shape or features.shape[:2] != logits.shape[:2] or logits.shape[2] < 2:
        raise ValueError(
            "features (n, m, d) and logits (n, m, c) need n, m and d >= 1 and c >= 2, but have shapes "
            f"{features.shape} and {logits.shape}"
        )
    return features.shape[0], features.shape[1]


def _checked(features: ArrayLike, logits: ArrayLike, labels: ArrayLike) -> None:
    n, _ = _shape(features, logits)
    if check.is_concrete(labels):
        check.labels(labels, num_classes=logits.shape[2], n=n)
    if len({isinstance(a, np.ndarray) for a in (features, logits, labels)}) > 1:
        raise ValueError(
            "features, logits and labels must all be NumPy arrays, read by blocks, or all lie on devices, but are "
            f"{', '.join(type(a).__name__ for a in (features, logits, labels))}"
        )


def _belong(head: tuple[int, ...], features: ArrayLike, logits: ArrayLike) -> None:
    size, c = head
    if size - features.shape[2] not in (0, 1) or logits.shape[2] != c:
        raise ValueError(
            f"features {features.shape} and logits {logits.shape} do not belong to a head of {size} inputs (a bias "
            f"counting as one) and {c} classes"
        )


def _gradients(size: int, features: Array, logits: Array, labels: Array) -> Array:
    """(b, D, c) means over frames of h r^T."""
    b, m, d = features.shape
    r = last_layer.residuals(logits.reshape(b * m, -1), jnp.repeat(labels, m)).reshape(b, m, -1)
    h = head_algebra.extended(features.reshape(b * m, d), size).reshape(b, m, size)
    return jnp.einsum("bmj,bmc->bjc", h, r, precision="highest") / m


def _products(vectors: Array, features: Array, logits: Array, labels: Array) -> Array:
    g = _gradients(vectors.shape[1], features, logits, labels)
    return -jnp.matmul(g.reshape(len(g), -1), vectors.reshape(len(vectors), -1).T, precision="highest")


def _solved(factor: HeadFactor, features: Array, logits: Array, labels: Array) -> tuple[Array, Array, SolveInfo]:
    g = _gradients(factor.like.shape[0], features, logits, labels)
    x, info = last_layer.solve(factor, g)
    norms = jnp.linalg.norm(x.reshape(len(x), -1), axis=1)
    each = jnp.broadcast_to(info.steps, norms.shape)  # every part of the result has one row per example
    return jnp.sum(g * x, axis=(1, 2)), norms, SolveInfo(each, info.residual, info.status)
