"""Influence for a linear head under softmax cross entropy, exactly, from features, logits and labels.

The same outputs as the general way has for any loss, in closed form: :mod:`jaxnoisy.curvature.last_layer` holds the
algebra. A head's vector is an array (D, c), the kernel and, as its last row, the bias. The influence of n examples on
k queries runs as follows::

    factor = last_layer.factorise(features, logits, damping=0.01)
    solved, info = last_layer.solve(factor, head.gradients(query_features, query_logits, query_labels))
    best = influence.top(count=10)(head.pairwise(solved, features, logits, labels))

Features, logits and labels are all NumPy arrays, which are read by blocks (memory-mapped ones too), or all on devices.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.curvature import head_algebra, head_inputs, last_layer, rowwise
from jaxnoisy.curvature.last_layer import HeadFactor
from jaxnoisy.curvature.symmetric_products import Panels
from jaxnoisy.influence.rows import Rows
from jaxnoisy.influence.self_influence import SelfInfluence
from jaxnoisy.types import Array, ArrayLike

_NAMES = "features or logits"


def gradients(features: ArrayLike, logits: ArrayLike, labels: ArrayLike, *, bias: bool = True) -> Array:
    """Gradients of cross entropy by the head for k queries.

    Args:
        features: (k, d).
        logits: (k, c).
        labels: (k,) integers in 0..c-1.
        bias: whether the head has a bias.

    Returns:
        (k, D, c).

    Raises:
        ValueError: shapes that do not fit together, labels out of range, values that are not finite.
        TypeError: features or logits that are not floating point, labels that are not integers.

    Example:
        >>> import numpy as np
        >>> gradients(np.array([[2.0]]), np.zeros((1, 2)), np.array([1])).tolist()
        [[[1.0, -1.0], [0.5, -0.5]]]
    """
    _checked(features, logits, labels)
    for name, a in (("features", features), ("logits", logits)):
        if check.is_concrete(a):
            check.finite(a, name=name)
    r = last_layer.residuals(jnp.asarray(logits), labels)
    return last_layer.gradients(jnp.asarray(features), r, bias=bias)


def pairwise(
    vectors: Array, features: ArrayLike, logits: ArrayLike, labels: ArrayLike, *, block_size: int = 1024
) -> Rows:
    """Influence of n examples on k queries, -<v_q, g_i>, as a recipe; see :func:`jaxnoisy.influence.pairwise`.

    Args:
        vectors: (k, D, c) solved query gradients, or other vectors of the head.
        features: (n, d), what the head is applied to.
        logits: (n, c), what it returned.
        labels: (n,) integers in 0..c-1.
        block_size: rows per block.

    Returns:
        Rows of (n, k). Cost of a pass: 2 n k c D operations.

    Raises:
        ValueError: shapes that do not fit together, labels out of range; once rows are computed: values that are not
            finite.
        TypeError: features or logits that are not floating point, labels that are not integers.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy import influence
        >>> data = np.array([[2.0]], np.float32), np.zeros((1, 2), np.float32), np.array([1])
        >>> influence.matrix(pairwise(gradients(*data), *data)).tolist()
        [[-2.5]]
    """
    if vectors.ndim != 3 or len(vectors) == 0:
        raise ValueError(f"vectors must have shape (k, D, c), k >= 1 vectors of the head, but has {vectors.shape}")
    _checked(features, logits, labels)
    head_inputs.fits(vectors.shape[1:], features, logits)
    size = check.positive_int(block_size, name="block_size")
    of = jax.tree_util.Partial(_products, jnp.asarray(vectors))
    dtype = np.dtype(jnp.result_type(head_inputs.dtype_of(features), of.args[0]))
    return Rows(of, (features, logits, labels), len(vectors), dtype, size, _NAMES)


def self_influence(
    factor: HeadFactor, features: ArrayLike, logits: ArrayLike, labels: ArrayLike, *, block_size: int = 1024
) -> SelfInfluence:
    """Self-influence of every example, and the norm of its influence on the head, in one pass.

    Args:
        factor: the damped Hessian, from :func:`jaxnoisy.curvature.last_layer.factorise`.
        features: (n, d).
        logits: (n, c).
        labels: (n,) integers in 0..c-1.
        block_size: rows per block.

    Returns:
        Two arrays of (n,), on the host where the features are. Time: 1.1 n c^2 D^2 + 7 m^3 / 3 operations, with
        m = (c - 1) D; memory: 5 m^2 numbers.

    Raises:
        ValueError: shapes that do not fit together, labels out of range, values that are not finite.
        TypeError: features or logits that are not floating point, labels that are not integers.

    Example:
        >>> import numpy as np
        >>> data = np.array([[2.0]], np.float32), np.zeros((1, 2), np.float32), np.array([1])
        >>> factor = last_layer.factorise(*data[:2], damping=0.5, bias=False)
        >>> found = self_influence(factor, *data)
        >>> [round(float(a[0]), 3) for a in found]  # the gradient is (1, -1), and the curvature along it 2
        [0.8, 0.566]
    """
    _checked(features, logits, labels)
    head_inputs.fits(factor.like.shape, features, logits)
    size = check.positive_int(block_size, name="block_size")
    inverse = last_layer.invert(factor)
    rows = factor.like.shape[0]
    panels = head_algebra.pairs(inverse.matrix, size=rows), head_algebra.square_pairs(inverse.matrix, size=rows)
    forms = jax.tree_util.Partial(_forms, panels, factor.damping)
    values, norms = rowwise.each(forms, (features, logits, labels), block_size=size, names=_NAMES)
    return SelfInfluence(values, norms)


def _checked(features: ArrayLike, logits: ArrayLike, labels: ArrayLike) -> None:
    n, _ = head_inputs.rows(features, logits, second="logits")
    if check.is_concrete(labels):
        check.labels(labels, num_classes=logits.shape[1], n=n)
    if isinstance(features, np.ndarray) != isinstance(labels, np.ndarray):
        raise ValueError(
            "features and labels must both be NumPy arrays, read by blocks, or both lie on devices, but are "
            f"{type(features).__name__} and {type(labels).__name__}"
        )


def _products(vectors: Array, features: Array, logits: Array, labels: Array) -> Array:
    return -head_algebra.inner_products(vectors, features, last_layer.residuals(logits, labels))


def _forms(
    panels: tuple[Panels, Panels], damping: Array, features: Array, logits: Array, labels: Array
) -> tuple[Array, Array]:
    r = last_layer.residuals(logits, labels)
    forms = head_algebra.forms(panels[0], 1 / damping, features, r)
    squares = head_algebra.forms(panels[1], damping**-2, features, r)
    # Rounding can leave the square of an example without a gradient a little below 0.
    return forms, jnp.sqrt(jnp.maximum(squares, 0))
