"""Examples as arrays with one leading axis: checks, weights, and microbatches that respect how the axis is split."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.types import Array, ArrayLike, PyTree


def count(data: PyTree) -> int:
    """n, the length of the leading axis that all arrays of ``data`` share.

    Raises:
        ValueError: no arrays, no examples, or arrays of different lengths.
    """
    leaves = jax.tree.leaves(data)
    lengths = sorted({jnp.shape(a)[0] if jnp.ndim(a) else 0 for a in leaves})
    if len(lengths) != 1 or lengths[0] == 0:
        raise ValueError(
            "data must hold arrays with one leading axis of n >= 1 examples in common, but holds "
            f"{[jnp.shape(a) for a in leaves][:6]}"
        )
    return int(lengths[0])


def finite(data: PyTree, *, name: str = "data") -> None:
    """Refuse NaN and infinity in whichever arrays are concrete."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(data)[0]:
        if check.is_concrete(leaf):
            check.finite(leaf, name=f"{name}{jax.tree_util.keystr(path)}")


def weights(given: ArrayLike | None, n: int, *, name: str = "weights") -> Array:
    """Nonnegative weights of (n,) that sum to 1, in float32 at least; equal ones where none are given.

    Raises:
        ValueError: another shape, a weight that is negative or not finite, or a sum of 0.
        TypeError: not real numbers.
    """
    if given is None:
        return jnp.full(n, 1 / n)
    if jnp.shape(given) != (n,):
        raise ValueError(f"{name} must have shape ({n},), one per example, but has shape {jnp.shape(given)}")
    if not jnp.issubdtype(given.dtype, jnp.floating) and not jnp.issubdtype(given.dtype, jnp.integer):
        raise TypeError(f"{name} must be real numbers, but has dtype {given.dtype}")
    if check.is_concrete(given):
        values = check.values(given)
        check.finite(values, name=name)
        if values.min() < 0:
            where = int(values.argmin())
            raise ValueError(f"{name}[{where}] is {values[where]}, but a weight must not be negative")
        if not values.any():
            raise ValueError(f"{name} are all 0: at least one example must count")
    wide = jnp.asarray(given)
    wide = wide.astype(jnp.promote_types(wide.dtype, jnp.float32))
    return wide / wide.sum()


def one(data: PyTree) -> PyTree:
    """The shapes and dtypes of a single example."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(jnp.shape(a)[1:], jnp.result_type(a)), data)


class Microbatches(NamedTuple):
    """Examples laid out as (b, m, ...): microbatch j is ``[:, j]``, b rows of m microbatches."""

    data: PyTree
    weights: Array

    @property
    def number(self) -> int:
        """How many there are, m."""
        return int(self.weights.shape[1])

    def at(self, j: Array | int) -> tuple[PyTree, Array]:
        """Microbatch j and its weights."""
        pick = lambda a: jax.lax.dynamic_index_in_dim(a, j, axis=1, keepdims=False)  # noqa: E731
        return jax.tree.map(pick, self.data), pick(self.weights)

    def back(self, values: Array, n: int) -> Array:
        """What was computed of each microbatch, (m, b, ...) and the same on all devices, as (n, ...) in order."""
        shards = max(_shards(a)[1] for a in jax.tree.leaves(self.data))
        trailing = values.shape[2:]
        rows = jnp.moveaxis(values.reshape(self.number, shards, -1, *trailing), 0, 2)
        return rows.reshape(shards, -1, *trailing)[:, : n // shards].reshape(n, *trailing)


def microbatches(data: PyTree, weights: Array, size: int) -> Microbatches:
    """Lay out n examples in microbatches of at most about ``size``, all of one length.

    Where n does not divide, copies of the last example with weight 0 fill the last places. The microbatch axis is the
    inner one: each device that holds a slice of the examples then takes its share of every microbatch, and nothing
    moves between devices.
    """
    n = count(data)
    shards = max(_shards(a)[1] for a in jax.tree.leaves(data))
    rows = -(-n // shards)
    number = min(rows, -(-n // size))
    depth = -(-rows // number)
    padded = depth * number - rows

    def lay(a: Any, *, repeat: bool) -> Array:
        a = jnp.asarray(a)
        axis, pieces = _shards(a)
        trailing = a.shape[1:]
        if padded:
            # Padding per device keeps every row where it lies.
            a = a.reshape(shards, rows, *a.shape[1:])
            last = jax.lax.slice_in_dim(a, rows - 1, rows, axis=1)
            a = jnp.pad(a, [(0, 0), (0, padded)] + [(0, 0)] * (a.ndim - 2))
            if repeat:
                # Zeros could be outside the domain of the loss, and 0 times NaN is NaN.
                a = jnp.where(jax.lax.broadcasted_iota(jnp.int32, a.shape, 1) < rows, a, last)
        shape = (shards * depth, number, *trailing)
        if pieces == 1:
            return a.reshape(shape)
        spec = jax.P(axis, *([None] * (len(shape) - 1)))
        return jax.lax.reshape(a, shape, out_sharding=jax.NamedSharding(jax.typeof(a).sharding.mesh, spec))

    return Microbatches(jax.tree.map(lambda a: lay(a, repeat=True), data), lay(weights, repeat=False))


def split_over(a: Any) -> Any:
    """The axes of an Explicit mesh over which the examples of ``a`` are split, or None."""
    return _shards(a)[0]


def _shards(a: Any) -> tuple[Any, int]:
    """Over which axes of an Explicit mesh the examples of ``a`` are split, and into how many pieces."""
    sharding = jax.typeof(a).sharding
    spec = sharding.spec
    if sharding.mesh.empty or not len(spec) or spec[0] is None:
        return None, 1
    axes = spec[0] if isinstance(spec[0], tuple) else (spec[0],)
    return spec[0], int(np.prod([sharding.mesh.shape[axis] for axis in axes]))
