import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoisy.training.augment import augment, random_crop, random_flip, random_frames


def pictures(b=64, h=5, w=4, ch=2, dtype=np.float32):
    return np.random.default_rng(0).normal(size=(b, h, w, ch)).astype(dtype) * 100


def test_flipping_mirrors_about_half_of_the_images_and_leaves_the_rest():
    x = pictures(2000, 2, 3, 1)
    out = np.asarray(random_flip(jax.random.key(0), jnp.asarray(x)))
    same, mirrored = (out == x).all(axis=(1, 2, 3)), (out == x[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert abs(mirrored.mean() - 0.5) < 5 * np.sqrt(0.25 / 2000)
    np.testing.assert_array_equal(random_flip(jax.random.key(0), jnp.asarray(out)), x)  # the same key undoes it


def offsets_of(out, x, padding):
    """The (row, column) offset of each crop, found by comparing with every slice of the padded image."""
    _, h, w, _ = x.shape
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    side = 2 * padding + 1
    fits = np.stack(
        [(padded[:, i : i + h, j : j + w] == out).all(axis=(1, 2, 3)) for i in range(side) for j in range(side)], axis=1
    )
    assert (fits.sum(axis=1) == 1).all()
    return fits.argmax(axis=1)


@pytest.mark.parametrize("padding", [1, 2, 3])
def test_every_crop_is_a_slice_of_the_padded_image(padding):
    x = pictures()
    offsets_of(np.asarray(random_crop(jax.random.key(1), jnp.asarray(x), padding)), x, padding)


def test_offsets_are_uniform():
    x = pictures(25 * 120, 6, 6, 1)  # larger than the padding: every offset leaves something of the image
    found = offsets_of(np.asarray(random_crop(jax.random.key(2), jnp.asarray(x), 2)), x, 2)
    counts = np.bincount(found, minlength=25)
    # 24 degrees of freedom: 62 is beyond the 99.997th percentile.
    assert ((counts - 120) ** 2 / 120).sum() < 62


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32])
def test_the_dtype_stays(dtype):
    x = jnp.asarray(pictures().astype(dtype))
    assert augment(jax.random.key(0), x, flip=True, crop=1).dtype == dtype


def test_nothing_asked_for_changes_nothing():
    x = jnp.asarray(pictures())
    np.testing.assert_array_equal(augment(jax.random.key(0), x, flip=False, crop=0), x)
    features = jnp.ones((3, 4))
    np.testing.assert_array_equal(augment(jax.random.key(0), features, flip=False, crop=0), features)


def test_the_mirror_and_the_crop_are_independent():
    # One pixel marks the side, so that both choices can be read off the result.
    x = np.zeros((4000, 5, 5, 1), np.float32)
    x[:, 2, 1] = 1
    out = np.asarray(augment(jax.random.key(3), jnp.asarray(x), flip=True, crop=1))
    _, row, column = np.argwhere(out[..., 0] == 1).T
    table = np.zeros((3, 5))
    np.add.at(table, (row - 1, column), 1)
    # Columns 0 and 4 come from one mirror state and one offset (1/6 each), column 2 from one of each (2/6), and so on.
    expected = 4000 / 3 * np.array([1, 1, 2, 1, 1]) / 6
    assert ((table - expected) ** 2 / expected).sum() < 45  # 14 degrees of freedom


@pytest.mark.parametrize("options", [{"flip": True, "crop": 0}, {"flip": False, "crop": 2}])
def test_features_cannot_be_augmented(options):
    with pytest.raises(ValueError, match=r"shape \(b, h, w, ch\)"):
        augment(jax.random.key(0), jnp.ones((3, 4)), **options)


def test_it_jits_and_the_key_decides():
    x = jnp.asarray(pictures())
    jitted = jax.jit(lambda k, x: augment(k, x, flip=True, crop=2))
    a, b = jitted(jax.random.key(0), x), jitted(jax.random.key(1), x)
    np.testing.assert_array_equal(a, augment(jax.random.key(0), x, flip=True, crop=2))
    assert not np.array_equal(a, b)


def test_frames_of_a_clip_are_mirrored_and_cropped_alike():
    still = pictures(40)
    clips = jnp.asarray(np.repeat(still[:, None], 3, axis=1))
    out = np.asarray(augment(jax.random.key(4), clips, flip=True, crop=2))
    assert out.shape == clips.shape
    np.testing.assert_array_equal(out, np.repeat(out[:, :1], 3, axis=1))
    np.testing.assert_array_equal(out[:, 0], augment(jax.random.key(4), jnp.asarray(still), flip=True, crop=2))
    assert (out[:, 0] != still).any()


@pytest.mark.parametrize(("m", "segments"), [(12, 4), (7, 3), (5, 5)])
def test_one_random_frame_of_each_part(m, segments):
    b = 3000
    clips = jnp.broadcast_to(jnp.arange(m).reshape(1, m, 1, 1, 1), (b, m, 1, 1, 2))
    out = np.asarray(random_frames(jax.random.key(0), clips, segments))
    assert out.shape == (b, segments, 1, 1, 2)
    drawn = out[..., 0, 0, 0]
    edges = np.arange(segments + 1) * m / segments
    for k in range(segments):
        # A frame on the border of two parts belongs to each by its share.
        inside = np.clip(np.minimum(np.arange(m) + 1, edges[k + 1]) - np.maximum(np.arange(m), edges[k]), 0, None)
        counts, share = np.bincount(drawn[:, k], minlength=m), inside * b * segments / m
        assert not counts[inside < 1e-9].any()
        assert (np.abs(counts - share) <= 5 * np.sqrt(share) + 1e-6).all()


def test_segments_need_clips_of_as_many_frames():
    for shape in ((2, 4, 4, 1), (2, 3, 4, 4, 1)):
        with pytest.raises(ValueError, match="4 segments need clips"):
            augment(jax.random.key(0), jnp.zeros(shape), flip=False, crop=0, segments=4)
    clips = jnp.arange(5.0).reshape(1, 5, 1, 1, 1)
    np.testing.assert_array_equal(augment(jax.random.key(0), clips, flip=False, crop=0, segments=5), clips)
