import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding

from jaxnoisy import mesh as sharding


def test_the_mesh_has_one_axis_over_the_devices_asked_for():
    mesh = sharding.data_mesh(4)
    assert dict(mesh.shape) == {"data": 4}
    assert list(mesh.devices.flat) == jax.devices()[:4]
    assert sharding.shards(sharding.data_mesh()) == len(jax.devices())
    assert sharding.shards(None) == 1


@pytest.mark.parametrize("devices", [0, -1, 1.5, 10_000])
def test_devices_that_are_not_there_are_refused(devices):
    with pytest.raises(ValueError, match="devices"):
        sharding.data_mesh(devices)


def test_the_default_mesh_wants_batches_that_split():
    count = len(jax.devices())
    assert sharding.shards(sharding.default_mesh(None, 4 * count)) == count
    assert sharding.default_mesh(1, 8) is None
    assert sharding.shards(sharding.default_mesh(2, 7)) == 2  # asked for: training then says what is wrong
    if count > 1:
        assert sharding.default_mesh(None, 4 * count + 1) is None


@pytest.mark.parametrize("n", [1, 7, 8, 9, 24])
def test_arrays_are_padded_with_their_last_row_and_split_evenly(n):
    mesh = sharding.data_mesh(8)
    array = np.arange(n * 3).reshape(n, 3)
    placed = sharding.place(array, mesh)
    assert len(placed) == sharding.padded_length(n, mesh) == int(np.ceil(n / 8)) * 8
    np.testing.assert_array_equal(placed[:n], array)
    np.testing.assert_array_equal(placed[n:], np.broadcast_to(array[-1], (len(placed) - n, 3)))
    assert {s.data.shape for s in placed.addressable_shards} == {(len(placed) // 8, 3)}


def test_without_a_mesh_nothing_is_split_or_padded():
    array = np.arange(7)
    assert sharding.padded_length(7, None) == 7
    assert sharding.place(array, None).shape == (7,)
    assert sharding.over_examples(None) is sharding.replicated(None) is None
    assert sharding.split_batch({"a": array}, None)["a"] is array


def test_a_batch_is_split_inside_jit():
    mesh = sharding.data_mesh(8)
    out = jax.jit(lambda x: sharding.split_batch({"a": x, "b": x[:, 0]}, mesh))(jnp.zeros((16, 3)))
    assert {s.data.shape for s in out["a"].addressable_shards} == {(2, 3)}
    assert {s.data.shape for s in out["b"].addressable_shards} == {(2,)}


def test_shardings_are_pinned_on_a_mesh_and_left_open_on_one_device():
    mesh = sharding.data_mesh(8)
    tree = {"split": sharding.place(np.zeros((8, 2)), mesh), "one": jnp.zeros(3), "none": None}
    lies = sharding.shardings(tree)
    assert lies["one"] is None
    assert isinstance(lies["split"], NamedSharding)
    # XLA is free to replicate a constant; pinned, it lies as the array it replaces.
    cleared = jax.jit(lambda t: jax.tree.map(jnp.zeros_like, t), out_shardings=lies)(tree)
    assert cleared["split"].sharding.is_equivalent_to(tree["split"].sharding, 2)
    assert len(cleared["one"].devices()) == 1 or cleared["one"].sharding.is_fully_replicated
