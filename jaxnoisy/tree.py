"""Vectors that are pytrees: inner products, sums, blocks of vectors, and parameters in part.

A block is a tree whose leaves carry one more leading axis, of length k: k vectors of one structure. Inner products are
sums of elementwise products, which keep the leaves' shardings; flattening into one array would not.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnoisy.types import Array, Key, PyTree


def dot(x: PyTree, y: PyTree) -> Array:
    """The inner product of two trees of real arrays, a scalar in float32 at least.

    Example:
        >>> import jax.numpy as jnp
        >>> float(dot({"a": jnp.ones(3)}, {"a": jnp.full(3, 2.0)}))
        6.0
    """
    parts = jax.tree.map(lambda a, b: jnp.sum(_wide(a) * _wide(b)), x, y)
    return sum(jax.tree.leaves(parts), start=jnp.zeros((), jnp.float32))


def norm(x: PyTree) -> Array:
    """The Euclidean length of a tree, a scalar."""
    return jnp.sqrt(dot(x, x))


def scale(factor: Array | float, x: PyTree) -> PyTree:
    """``factor * x``, in the dtypes of ``x``."""
    return jax.tree.map(lambda a: (factor * a).astype(a.dtype), x)


def axpy(factor: Array | float, x: PyTree, y: PyTree) -> PyTree:
    """``factor * x + y``, in the dtypes of ``y``.

    Example:
        >>> import jax.numpy as jnp
        >>> axpy(2.0, [jnp.ones(2)], [jnp.ones(2)])[0].tolist()
        [3.0, 3.0]
    """
    return jax.tree.map(lambda a, b: (factor * a + b).astype(b.dtype), x, y)


def zeros_like(x: PyTree) -> PyTree:
    """Zeros of the shapes and dtypes of ``x``."""
    return jax.tree.map(jnp.zeros_like, x)


def random_like(key: Key, x: PyTree, *, draw: Callable[..., Array] = jax.random.normal) -> PyTree:
    """Independent draws of the shapes and dtypes of ``x``.

    Args:
        key: typed key.
        x: a tree of arrays or of their shapes.
        draw: ``draw(key, shape, dtype)``; standard normals by default, ``jax.random.rademacher`` for random signs.
    """
    leaves, structure = jax.tree.flatten(x)
    keys = jax.random.split(key, max(len(leaves), 1))
    return jax.tree.unflatten(structure, [draw(k, a.shape, a.dtype) for k, a in zip(keys, leaves)])


def size(x: PyTree) -> int:
    """How many numbers a tree holds: p for parameters."""
    return sum(int(a.size) for a in jax.tree.leaves(x))


def gram(x: PyTree, y: PyTree) -> Array:
    """All inner products between two blocks, (k, l), as matrix products at the highest precision.

    The leaves' axes beyond the first must not be split over an Explicit mesh.
    """

    def one(a: Array, b: Array) -> Array:
        axes = tuple(range(1, a.ndim))
        return jax.lax.dot_general(_wide(a), _wide(b), ((axes, axes), ((), ())), precision="highest")

    return sum(jax.tree.leaves(jax.tree.map(one, x, y)), start=jnp.zeros((), jnp.float32))


def combine(x: PyTree, coefficients: Array) -> PyTree:
    """The l linear combinations sum_i x_i coefficients[i, j] of a block's k vectors, for coefficients of (k, l)."""

    def one(a: Array) -> Array:
        return jnp.tensordot(coefficients.T.astype(_wide(a).dtype), _wide(a), 1, precision="highest").astype(a.dtype)

    return jax.tree.map(one, x)


def block_size(x: PyTree, like: PyTree, *, name: str) -> int:
    """The number k of vectors in a block of vectors shaped ``like``.

    Raises:
        ValueError: another structure or shape, no common leading axis, or a block of none.
    """
    same_structure(x, like, name=name)
    counts = {a.shape[0] if a.ndim else 0 for a in jax.tree.leaves(x)}
    k = counts.pop() if len(counts) == 1 else 0
    if k == 0:
        raise ValueError(
            f"{name} must be a block of k >= 1 vectors, with one leading axis of length k on every leaf, but its "
            f"leaves have shapes {[a.shape for a in jax.tree.leaves(x)][:4]}: give a single vector the axis by x[None]"
        )
    wanted = jax.tree.map(lambda a: jax.ShapeDtypeStruct((k, *a.shape), a.dtype), like)
    same_shapes(x, wanted, name=name, expected=f"{k} vectors shaped as the parameters")
    return k


def same_structure(x: PyTree, like: PyTree, *, name: str, expected: str = "the parameters") -> None:
    """Refuse a tree whose containers or names are not those of ``like``."""
    given, wanted = _paths(x), _paths(like)
    if list(given) != list(wanted) or str(jax.tree.structure(x)) != str(jax.tree.structure(like)):
        missing = [p for p in wanted if p not in given]
        extra = [p for p in given if p not in wanted]
        detail = "; ".join(
            f"{what} {', '.join(paths[:4])}" for what, paths in (("lacks", missing), ("has in excess", extra)) if paths
        )
        raise ValueError(
            f"{name} must have the structure of {expected}, but {detail or 'its containers are of other types'}: "
            f"{jax.tree.structure(x)} was given, {jax.tree.structure(like)} is expected"
        )


def same_shapes(x: PyTree, like: PyTree, *, name: str, expected: str = "the parameters") -> None:
    """Refuse a tree that differs from ``like`` in structure, or in the shape of a leaf."""
    same_structure(x, like, name=name, expected=expected)
    given, wanted = _paths(x), _paths(like)
    for path, leaf in given.items():
        if jnp.shape(leaf) != jnp.shape(wanted[path]):
            raise ValueError(
                f"{name}{path} has shape {jnp.shape(leaf)}, but {expected} ask for {jnp.shape(wanted[path])}"
            )


def real_parameters(params: PyTree, *, name: str = "params") -> None:
    """Refuse parameters that cannot be differentiated: not floating point, or none at all."""
    paths = _paths(params)
    if not paths:
        raise ValueError(f"{name} holds no arrays: give the parameters that the loss is differentiated by")
    for path, leaf in paths.items():
        dtype = jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(
                f"{name}{path} has dtype {dtype}, but only floating point parameters can be differentiated: "
                "keep counters and other state apart, as frozen (see jaxnoisy.tree.split)"
            )


def split(x: PyTree, chosen: Callable[[str, Any], bool]) -> tuple[PyTree, PyTree]:
    """Part a tree into the leaves that are chosen and the rest; :func:`merge` joins them again.

    Args:
        x: a tree of arrays.
        chosen: ``chosen(path, leaf) -> bool``, with paths such as ``"['head']['kernel']"``.

    Returns:
        Two trees with the containers of ``x``, and None in the place of what belongs to the other one.

    Raises:
        ValueError: nothing is chosen.

    Example:
        >>> import jax.numpy as jnp
        >>> params = {"body": jnp.ones(2), "head": jnp.zeros(3)}
        >>> head, body = split(params, lambda path, leaf: "head" in path)
        >>> head["body"] is None, sorted(merge(head, body))
        (True, ['body', 'head'])
    """
    marked = jax.tree_util.tree_map_with_path(lambda path, a: bool(chosen(jax.tree_util.keystr(path), a)), x)
    if not any(jax.tree.leaves(marked)):
        raise ValueError(f"no parameter was chosen; there are {', '.join(_paths(x)) or 'none'}")
    inside = jax.tree.map(lambda a, m: a if m else None, x, marked)
    return inside, jax.tree.map(lambda a, m: None if m else a, x, marked)


def merge(chosen: PyTree, rest: PyTree) -> PyTree:
    """Join what :func:`split` has parted; a leaf present in both, or two different structures, are refused."""

    def one(path: Any, a: Any, b: Any) -> Any:
        if a is not None and b is not None:
            raise ValueError(f"the parameter {jax.tree_util.keystr(path)} is both among the frozen ones and not")
        return b if a is None else a

    return jax.tree_util.tree_map_with_path(one, chosen, rest, is_leaf=lambda a: a is None)


def _wide(a: Array) -> Array:
    return a.astype(jnp.promote_types(a.dtype, jnp.float32))


def _paths(x: PyTree) -> dict[str, Any]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(x)[0]}
