import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoisy.training.normalize import Moments, moments, normalize


@pytest.mark.parametrize("block", [1, 7, 100, 4096])
@pytest.mark.parametrize("shape", [(53, 6), (53, 4, 5, 3)])
def test_moments_are_numpys_in_float64(shape, block):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=shape) * np.arange(1, shape[-1] + 1) + 3).astype(np.float32)
    axes = tuple(range(len(shape) - 1))
    scale = moments(x, block=block)
    np.testing.assert_allclose(scale.mean, x.mean(axis=axes, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(scale.std, x.std(axis=axes, dtype=np.float64), rtol=1e-6)
    assert scale.mean.dtype == scale.std.dtype == np.float32


def test_images_of_bytes():
    x = np.random.default_rng(0).integers(0, 256, (40, 3, 3, 3)).astype(np.uint8)
    scale = moments(x)
    np.testing.assert_allclose(scale.mean, x.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(scale.std, x.std(axis=(0, 1, 2)), rtol=1e-6)


@pytest.mark.parametrize(("offset", "spread"), [(1e6, 1.0), (-1e5, 0.5), (1.7e9, 1e4), (1e-6, 1e-8), (0.0, 1e-12)])
def test_large_offsets_and_small_scales_are_not_taken_for_constants(offset, spread):
    x = (np.random.default_rng(0).normal(size=(1000, 2)) * spread + offset).astype(np.float32)
    scale = moments(x)
    np.testing.assert_allclose(scale.std, x.std(axis=0, dtype=np.float64), rtol=1e-5)
    z = np.asarray(normalize(jnp.asarray(x), scale))
    # Rounding the mean to float32 may leave a remainder of half a unit in its last place.
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4 + abs(offset) * 2**-24 / spread)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-3)


@pytest.mark.parametrize("constant", [0.0, 0.1, -3e7, 1e-30])
def test_constants_become_zero_and_not_infinite(constant):
    for shape in ((10, 2), (10, 3, 3, 1)):
        x = np.full(shape, constant, np.float32)
        scale = moments(x)
        np.testing.assert_array_equal(scale.std, 1.0)
        np.testing.assert_allclose(normalize(jnp.asarray(x), scale), 0.0, atol=1e-6)


def test_a_memory_map_is_read_in_blocks(tmp_path):
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for a, b in zip(moments(mapped, block=8), moments(x)):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_normalising_is_in_float32():
    z = normalize(jnp.array([[0, 255]], jnp.uint8), Moments(np.float32([100, 100]), np.float32([50, 50])))
    assert z.dtype == jnp.float32
    np.testing.assert_allclose(z, [[-2.0, 3.1]], rtol=1e-6)
