"""Checks of the rows that a linear head is given."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy.types import ArrayLike


def fits(head: tuple[int, ...], features: ArrayLike, residuals: ArrayLike) -> None:
    """Refuse rows that do not belong to a head of (D, c)."""
    _, d = rows(features, residuals, second="residuals")
    size, c = head
    if size - d not in (0, 1) or residuals.shape[1] != c:
        raise ValueError(
            f"features {features.shape} and residuals {residuals.shape} do not belong to a head of {size} inputs "
            f"(a bias counting as one) and {c} classes"
        )


def rows(features: Any, other: Any, *, second: str) -> tuple[int, int]:
    """Check a pair of arrays with rows in common; returns n and d."""
    for name, a in (("features", features), (second, other)):
        if not isinstance(a, (np.ndarray, jax.Array)) or a.ndim != 2:
            raise ValueError(f"{name} must be an array with two axes, examples first, but is {jnp.shape(a)}")
        if not jnp.issubdtype(a.dtype, jnp.floating):
            raise TypeError(f"{name} must be floating point, but has dtype {a.dtype}")
    n, d = features.shape
    if n == 0 or d == 0 or other.shape[0] != n or other.shape[1] < 2:
        raise ValueError(
            f"features (n, d) and {second} (n, c) need n and d >= 1 and c >= 2, but have shapes {features.shape} and "
            f"{other.shape}"
        )
    if isinstance(features, np.ndarray) != isinstance(other, np.ndarray):
        raise ValueError(
            f"features and {second} must both be NumPy arrays, read by blocks, or both lie on devices, but are "
            f"{type(features).__name__} and {type(other).__name__}"
        )
    return n, d


def dtype_of(features: Any) -> np.dtype:
    """The precision that features are computed with."""
    # JAX reads float64 as float32 unless it is enabled.
    return np.dtype(jnp.promote_types(jax.dtypes.canonicalize_dtype(features.dtype), jnp.float32))
