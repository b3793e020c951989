"""Examples on an axis of eight devices, the rest on each: the same numbers as on one device.

With an Auto mesh the same runs on two processes, beside this file.
"""

import jax
import numpy as np
import pytest
import scale_members
from jax.sharding import AxisType


@pytest.fixture(scope="module")
def mesh():
    return jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))


@pytest.fixture(scope="module")
def placed(mesh):
    split, whole = (jax.NamedSharding(mesh, spec) for spec in (jax.P("data"), jax.P()))
    return scale_members.Placed(lambda a: jax.device_put(a, split), lambda a: jax.device_put(a, whole))


@pytest.mark.parametrize("name", scale_members.EXPLICIT)
def test_eight_devices_agree_with_one(name, mesh, placed, on_one_device):
    expected = on_one_device[name]  # before the mesh is in force
    with jax.set_mesh(mesh):
        found = jax.device_get(jax.tree.leaves(scale_members.MEMBERS[name](placed)))
    scale_members.assert_equal_to_rounding(found, expected)
    assert all(np.any(a) for a in found)
