"""The matrix of influences as a recipe: rows of training examples, columns of queries, and no part of it in memory.

Ways to make one are :func:`~jaxnoisy.influence.pairwise` for any loss, :func:`jaxnoisy.influence.head.pairwise` for a
linear head, and :func:`from_matrix`; what to take from it are :func:`matrix`, :func:`~jaxnoisy.influence.to_npy`,
:func:`~jaxnoisy.influence.top` and :func:`~jaxnoisy.influence.per_class`. Each of these is one pass over the examples.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.curvature import blocks, examples, rowwise
from jaxnoisy.types import Array, ArrayLike

Partial = jax.tree_util.Partial


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("of", "data"),
    meta_fields=("columns", "dtype", "block_size", "names"),
)
@dataclasses.dataclass(frozen=True)
class Rows:
    """An (n, k) matrix that is computed row by row: a pytree, unless it reads a stream.

    Attributes:
        of: ``of(*block) -> (b, k)`` for a block of what ``data`` holds, as a ``jax.tree_util.Partial``.
        data: trees of arrays with one leading axis of n, one of which may be a :class:`~jaxnoisy.curvature.Stream`.
        columns: k.
        dtype: of the numbers.
        block_size: rows that are computed at once.
        names: what to call the data where values are not finite, which are refused; None takes them.
    """

    of: Callable[..., Array]
    data: blocks.Rows
    columns: int
    dtype: np.dtype
    block_size: int
    names: str | None = "data"


def matrix(rows: Rows) -> ArrayLike:
    """The whole matrix, (n, k): on the host where the data are, otherwise on the devices, split as the data are.

    Example:
        >>> import numpy as np
        >>> matrix(from_matrix(np.array([[1.0, 2.0]], np.float32))).tolist()
        [[1.0, 2.0]]
    """
    return rowwise.each(rows.of, rows.data, block_size=rows.block_size, names=rows.names)


def from_matrix(values: ArrayLike, *, block_size: int = 4096) -> Rows:
    """The rows of a matrix that has been computed, such as one that :func:`~jaxnoisy.influence.to_npy` wrote.

    Args:
        values: (n, k) real numbers, undefined ones too, on a device, on the host, or mapped from disk.
        block_size: rows that are read at once.

    Raises:
        ValueError: another number of axes, or nothing in it.
        TypeError: not floating point.
    """
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"values must be a matrix of n >= 1 examples and k >= 1 queries, but is {values.shape}")
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise TypeError(f"values must be floating point, but has dtype {values.dtype}")
    size = check.positive_int(block_size, name="block_size")
    dtype = np.dtype(jax.dtypes.canonicalize_dtype(values.dtype))
    return Rows(Partial(_itself), (values,), values.shape[1], dtype, size, None)


def _itself(block: Array) -> Array:
    return block


def relative(rows: Rows, lengths: ArrayLike) -> Rows:
    """Each example's influences divided by a length of its own: relative influence (Barshan et al. 2020, "RelatIF").

    Influence favours examples of large loss, which move every prediction. Per unit of how far an example moves the
    parameters, it is theta-relative influence (their eq. 5): give the norms that
    :func:`~jaxnoisy.influence.self_influence` returns. Per unit of how far it moves the model's outputs, it is
    l-relative influence (eq. 7): give the square roots of the self-influences.

    Args:
        rows: (n, k).
        lengths: (n,) nonnegative numbers.

    Returns:
        Rows again. Where a length is 0 the example moves nothing, and its relative influences are 0.

    Raises:
        ValueError: another number of lengths; a length that is negative or not finite.
        TypeError: lengths that are not floating point.

    Example:
        >>> import numpy as np
        >>> matrix(relative(from_matrix(np.array([[1.0, 2.0]])), np.array([4.0]))).tolist()
        [[0.25, 0.5]]
    """
    if jnp.ndim(lengths) != 1:
        raise ValueError(f"lengths must have shape (n,), one per example, but has shape {jnp.shape(lengths)}")
    if not jnp.issubdtype(lengths.dtype, jnp.floating):
        raise TypeError(f"lengths must be floating point, but has dtype {lengths.dtype}")
    if blocks.stream_of(rows.data) is None and len(lengths) != examples.count(rows.data):
        raise ValueError(f"lengths has {len(lengths)} entries for {examples.count(rows.data)} examples")
    if check.is_concrete(lengths):
        values = check.values(lengths)
        check.finite(values, name="lengths")
        if values.min(initial=0) < 0:
            where = int(values.argmin())
            raise ValueError(f"lengths[{where}] is {values[where]}, but a length must not be negative")
        lengths = values if blocks.on_host(rows.data) else lengths
    of = Partial(_relative, rows.of)
    return dataclasses.replace(rows, of=of, data=(*rows.data, lengths))


def _relative(of: Callable[..., Array], *block: Array) -> Array:
    *rows, lengths = block
    found = of(*rows)
    per = lengths.astype(found.dtype)[:, None]
    return jnp.where(per > 0, found / jnp.where(per > 0, per, 1), 0)
