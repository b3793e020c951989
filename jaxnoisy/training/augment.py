"""Augmentation on the device, inside the jitted step: per-example mirror and padded crop, and frames of clips.

All frames of a clip are mirrored and cropped alike, so that what moves in it moves the same way.
"""

import jax
import jax.numpy as jnp

from jaxnoisy.types import Array, Key


def random_flip(key: Key, images: Array) -> Array:
    """Mirror each image or clip left-right with probability 1/2. images: (b, ..., h, w, ch), any dtype."""
    mirror = jax.random.bernoulli(key, 0.5, (len(images), *[1] * (images.ndim - 1)))
    return jnp.where(mirror, images[..., ::-1, :], images)


def random_crop(key: Key, images: Array, padding: int) -> Array:
    """Pad each side by ``padding`` zeros and crop back to the size at a uniformly random offset, per image or clip.

    Args:
        key: random key.
        images: (b, ..., h, w, ch), any dtype. Zero should be the mean colour: augment after normalisation.
        padding: pixels on each side; offsets run over 0..2 padding.
    """
    frames = images.shape[1:-3]
    around = ((0, 0),) * (images.ndim - 3) + ((padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(images, around)
    offsets = jax.random.randint(key, (len(images), 2), 0, 2 * padding + 1)

    def crop(image: Array, offset: Array) -> Array:
        return jax.lax.dynamic_slice(image, (*[0] * len(frames), offset[0], offset[1], 0), images.shape[1:])

    return jax.vmap(crop)(padded, offsets)


def random_frames(key: Key, clips: Array, segments: int) -> Array:
    """Draw one frame of each of ``segments`` equal parts of every clip (Wang et al. 2016, "Temporal segment networks").

    Args:
        key: random key.
        clips: (b, m, h, w, ch), any dtype.
        segments: s, at most m. Where s does not divide m, parts end within frames.

    Returns:
        (b, s, h, w, ch), the frames in their order.
    """
    b, m = clips.shape[:2]
    within = jax.random.uniform(key, (b, segments))
    place = jnp.floor((jnp.arange(segments) + within) * (m / segments)).astype(jnp.int32)
    return jnp.take_along_axis(clips, jnp.minimum(place, m - 1).reshape(b, segments, 1, 1, 1), axis=1)


def augment(key: Key, images: Array, *, flip: bool, crop: int, segments: int = 0) -> Array:
    """Draw frames, flip, then crop, as asked for; inputs of shapes that have no frames, or no pixels, are refused."""
    if (flip or crop) and images.ndim not in (4, 5):
        raise ValueError(
            "flip and crop need images of shape (b, h, w, ch) or clips of shape (b, m, h, w, ch), but the inputs have "
            f"shape {images.shape}"
        )
    if segments:
        if images.ndim != 5 or images.shape[1] < segments:
            raise ValueError(
                f"{segments} segments need clips of shape (b, m, h, w, ch) with m >= {segments} frames, but the inputs "
                f"have shape {images.shape}"
            )
        images = random_frames(jax.random.fold_in(key, 2), images, segments)
    flip_key, crop_key = jax.random.split(key)
    if flip:
        images = random_flip(flip_key, images)
    if crop:
        images = random_crop(crop_key, images, crop)
    return images
