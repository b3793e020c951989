"""The names that signatures here are written in."""

from typing import Any, TypeAlias

import jax
import numpy as np

Array: TypeAlias = jax.Array
"""An array on a device, or a tracer standing for one."""

ArrayLike: TypeAlias = jax.Array | np.ndarray
"""An array on a device or on the host."""

Key: TypeAlias = jax.Array
"""A typed random key, ``jax.random.key(seed)``; raw ``uint32`` keys are refused."""

PyTree: TypeAlias = Any
"""Nested containers with arrays at the leaves: parameters, batch statistics, optimizer states."""
