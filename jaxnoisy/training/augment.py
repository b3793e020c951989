"""Augmentation of images on the device, inside the jitted step: per-example mirror and padded crop."""

import jax
import jax.numpy as jnp

from jaxnoisy.types import Array, Key


def random_flip(key: Key, images: Array) -> Array:
    """Mirror each image left-right with probability 1/2. images: (b, h, w, ch), any dtype."""
    mirror = jax.random.bernoulli(key, 0.5, (len(images), 1, 1, 1))
    return jnp.where(mirror, images[:, :, ::-1], images)


def random_crop(key: Key, images: Array, padding: int) -> Array:
    """Pad each side by ``padding`` zeros and crop back to the size at a uniformly random offset, per image.

    Args:
        key: random key.
        images: (b, h, w, ch), any dtype. Zero should be the mean colour: augment after normalisation.
        padding: pixels on each side; offsets run over 0..2 padding.
    """
    b, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    offsets = jax.random.randint(key, (b, 2), 0, 2 * padding + 1)

    def crop(image: Array, offset: Array) -> Array:
        return jax.lax.dynamic_slice(image, (offset[0], offset[1], 0), (height, width, channels))

    return jax.vmap(crop)(padded, offsets)


def augment(key: Key, images: Array, *, flip: bool, crop: int) -> Array:
    """Flip, then crop, as asked for. Inputs that are not images (b, h, w, ch) are refused if either is asked for."""
    if (flip or crop) and images.ndim != 4:
        raise ValueError(f"flip and crop need images of shape (b, h, w, ch), but the inputs have shape {images.shape}")
    flip_key, crop_key = jax.random.split(key)
    if flip:
        images = random_flip(flip_key, images)
    if crop:
        images = random_crop(crop_key, images, crop)
    return images
