"""Rearrangements of an array, reshapes and transpositions only, that can be read off a program, applied and undone."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn

from jaxnoisy.curvature.layers.equations import aval

Steps: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
"""``("reshape", shape)`` or ``("transpose", axes)``, in the order in which they are taken."""

_UNCHANGED = {"convert_element_type", "copy", "copy_p", "sharding_constraint", "reshard", "mesh_cast"}


def steps(equation: JaxprEqn) -> Steps | None:
    """The steps that an equation takes if it keeps every entry of its one input, otherwise None."""
    name = equation.primitive.name
    given, found = aval(equation.invars[0]), aval(equation.outvars[0])
    if name in ("slice", "dynamic_slice") and given.shape == found.shape:
        return ()  # all of an axis of length 1, as x[None] and y[0] around a model for batches leave it
    if len(equation.invars) != 1 or len(equation.outvars) != 1:
        return None
    if name in _UNCHANGED:
        return () if jnp.issubdtype(found.dtype, jnp.floating) else None
    if name == "transpose":
        return (("transpose", tuple(equation.params["permutation"])),)
    if name == "reshape" and equation.params["dimensions"] is not None:
        return None
    if name in ("reshape", "squeeze", "expand_dims", "broadcast_in_dim") and given.size == found.size:
        return (("reshape", tuple(found.shape)),)
    return None


def apply(taken: Steps, array: Any) -> Any:
    """Take the steps; the array may be NumPy's or JAX's."""
    for name, argument in taken:
        array = array.reshape(argument) if name == "reshape" else array.transpose(argument)
    return array


def undo(taken: Steps, array: Any, shape: Sequence[int]) -> Any:
    """Go back to the array of ``shape`` from which the steps lead to ``array``."""
    shapes = [tuple(shape)]
    for name, argument in taken:
        shapes.append(argument if name == "reshape" else tuple(shapes[-1][i] for i in argument))
    for (name, argument), before in zip(reversed(taken), reversed(shapes[:-1])):
        array = array.reshape(before) if name == "reshape" else array.transpose(tuple(np.argsort(argument)))
    return array


def entries(taken: Steps, shape: Sequence[int]) -> np.ndarray:
    """Which entry of an array of ``shape``, counted in row-major order, stands where after the steps."""
    return np.asarray(apply(taken, np.arange(int(np.prod(shape))).reshape(shape)))
