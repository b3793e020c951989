"""Products of each row with the matrix of its group, without a matrix per row."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnoisy.types import Array


def grouped_matmul(
    x: Array, groups: Array, matrices: Array, *, batch_size: int, prepare: Callable[[Array], Array] | None = None
) -> Array:
    """Row i of the result is ``prepare(x)[i] @ matrices[groups[i]]``.

    ``matrices[groups]`` would take n matrices, and a masked product per group g times the time. Here rows are sorted by
    group and each group is cut into blocks, the last one padded; a block meets one matrix in one product. The number of
    blocks is bounded by n / batch_size + g whatever the groups are, so that shapes are known under ``jit``.

    Args:
        x: numbers of shape (n, d); rows become float32 block by block.
        groups: int32 of shape (n,) in [0, g).
        matrices: float32 of shape (g, d, k).
        batch_size: rows in a block.
        prepare: applied to each float32 block, (batch_size, d) to the same shape, row by row.

    Returns:
        Float32 of shape (n, k). Time O((n + g batch_size) d k); memory O(n k + g batch_size k + batch_size d).
    """
    n, num_groups = x.shape[0], matrices.shape[0]
    size = min(batch_size, n)
    order = jnp.argsort(groups)
    counts = jnp.bincount(groups, length=num_groups)
    first_row = jnp.cumsum(counts) - counts
    blocks = -(-counts // size)
    last_block = jnp.cumsum(blocks)
    within = jnp.arange(size)

    def block(number: Array) -> tuple[Array, Array]:
        # Blocks beyond the last one used fall to the last group, past its count, and hold padding only.
        group = jnp.minimum(jnp.searchsorted(last_block, number, side="right"), num_groups - 1)
        offset = (number - last_block[group] + blocks[group]) * size + within
        rows = order[jnp.minimum(first_row[group] + offset, n - 1)]
        part = x[rows].astype(jnp.float32)
        part = part if prepare is None else prepare(part)
        # Highest precision: on a TPU or GPU the default would round pixels, and a result would depend on the device.
        product = jnp.matmul(part, matrices[group], precision=jax.lax.Precision.HIGHEST)
        return jnp.where(offset < counts[group], rows, n), product

    rows, products = jax.lax.map(block, jnp.arange(n // size + num_groups))
    k = matrices.shape[2]
    return jnp.zeros((n, k), jnp.float32).at[rows.reshape(-1)].set(products.reshape(-1, k), mode="drop")
