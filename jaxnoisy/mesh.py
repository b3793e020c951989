"""Sharding along examples: one mesh axis named ``data``, everything else replicated."""

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding

from jaxnoisy import check
from jaxnoisy.types import Array, PyTree

DATA_AXIS = "data"


def data_mesh(devices: int | None = None) -> Mesh:
    """A mesh of one axis, ``data``, over the first ``devices`` devices (all by default), of the Auto kind."""
    available = jax.devices()
    count = len(available) if devices is None else check.positive_int(devices, name="devices")
    if count > len(available):
        raise ValueError(f"{count} devices were asked for, but there are {len(available)}: {available}")
    return jax.make_mesh((count,), (DATA_AXIS,), axis_types=(AxisType.Auto,), devices=available[:count])


def default_mesh(devices: int | None, batch_size: int) -> Mesh | None:
    """A mesh over the devices asked for, or over all there are; None for one device.

    Where no number is asked for and ``batch_size`` does not split over all devices, one device is used.
    """
    count = len(jax.devices()) if devices is None else devices
    if devices is None and batch_size % count:
        count = 1
    return None if count == 1 else data_mesh(count)


def over_examples(mesh: Mesh | None) -> NamedSharding | None:
    """The sharding that splits the leading axis over ``data``."""
    return None if mesh is None else NamedSharding(mesh, jax.P(DATA_AXIS))


def replicated(mesh: Mesh | None) -> NamedSharding | None:
    """The sharding that keeps a whole copy on every device."""
    return None if mesh is None else NamedSharding(mesh, jax.P())


def shardings(tree: PyTree) -> PyTree:
    """How the arrays of ``tree`` lie on a mesh, for the ``out_shardings`` of a function whose result replaces them.

    None, which leaves the choice to XLA, for arrays on one device: naming the device would bind the result to it.
    """
    return jax.tree.map(lambda x: x.sharding if isinstance(x.sharding, NamedSharding) else None, tree)


def split_batch(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Constrain, inside jit, the leading axis of every array to be split over ``data``."""
    sharding = over_examples(mesh)
    return tree if sharding is None else jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, sharding), tree)


def shards(mesh: Mesh | None) -> int:
    """Over how many devices examples are split."""
    return 1 if mesh is None else int(np.prod(list(mesh.shape.values())))


def padded_length(n: int, mesh: Mesh | None) -> int:
    """The next multiple of the devices from n on, so that a leading axis of that length splits evenly."""
    return -(-n // shards(mesh)) * shards(mesh)


def place(array: np.ndarray, mesh: Mesh | None) -> Array:
    """Put (n, ...) on the devices, split along examples and padded with copies of the last row where n does not divide.

    The padding rows are never read: indices stay below n.
    """
    if mesh is None:
        return jax.device_put(array)
    extra = padded_length(len(array), mesh) - len(array)
    if extra:
        array = np.concatenate([array, np.repeat(array[-1:], extra, axis=0)])
    return jax.device_put(array, over_examples(mesh))
