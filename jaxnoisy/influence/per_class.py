"""How each example's influence spreads over the queries of a class, without the matrix of all."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.curvature import rowwise
from jaxnoisy.influence.rows import Rows
from jaxnoisy.types import Array, ArrayLike


class PerClass(NamedTuple):
    """Influence of each example on the queries of each class.

    Attributes:
        mean: (n, c).
        deviation: (n, c) standard deviation over the queries of the class (divided by their number, not one less); 0
            for a class with one query.
        queries: (c,) int32, queries per class. A class with none has mean and deviation 0.
    """

    mean: ArrayLike
    deviation: ArrayLike
    queries: ArrayLike


def per_class(*, num_classes: int) -> Callable[[Rows, ArrayLike], PerClass]:
    """Mean and deviation of influence over the queries of each class, for every example.

    The deviation over validation examples of class k is OSD_k of Influential Rank before it is normalised over examples
    (eq. 4 there). It is taken from the differences to the mean, not from the sum of squares, which would lose all
    digits of a small deviation beside a large mean.

    Args:
        num_classes: c.

    Returns:
        ``spread(rows, query_labels) -> PerClass``, with labels of (k,) integers in 0..c-1, a column of the rows each.
        The result is on the host where the data are. Cost: beside the rows, 4 n k c operations. Memory: one block of
        rows, and the result.

    Raises:
        ValueError: fewer than one class; from ``spread``: labels out of range or not one per query.
        TypeError: from ``spread``: labels that are not integers.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.influence import from_matrix
        >>> rows = from_matrix(np.array([[1.0, 3.0, 5.0]], np.float32))
        >>> found = per_class(num_classes=3)(rows, np.array([0, 0, 2]))
        >>> found.mean.tolist(), found.deviation.tolist(), found.queries.tolist()
        ([[2.0, 0.0, 5.0]], [[1.0, 0.0, 0.0]], [2, 0, 1])
    """
    check.positive_int(num_classes, name="num_classes")

    def spread(rows: Rows, query_labels: ArrayLike) -> PerClass:
        labels = check.label_array(query_labels, num_classes=num_classes, name="query_labels")
        if len(labels) != rows.columns:
            raise ValueError(f"query_labels has {len(labels)} entries for {rows.columns} queries: give one per query")
        queries = jnp.sum(labels[:, None] == jnp.arange(num_classes), axis=0, dtype=jnp.int32)
        found = jax.tree_util.Partial(_statistics, rows.of, labels, queries)
        mean, deviation = rowwise.each(found, rows.data, block_size=rows.block_size, names=rows.names)
        return PerClass(mean, deviation, np.asarray(queries) if isinstance(mean, np.ndarray) else queries)

    return spread


def _statistics(of: Callable[..., Array], labels: Array, queries: Array, *block: Array) -> tuple[Array, Array]:
    values = of(*block)
    share = (labels[:, None] == jnp.arange(len(queries))) / jnp.maximum(queries, 1).astype(values.dtype)

    def average(a: Array) -> Array:
        return jnp.matmul(a, share, precision="highest")

    mean = average(values)
    from_mean = values - mean[:, labels]
    # What rounding has left in the mean is the mean of the differences.
    variance = average(from_mean**2) - average(from_mean) ** 2
    return mean, jnp.sqrt(jnp.maximum(variance, 0))
