"""DynaCor's encoder of dynamics, its two centroids, and the assignment of representations to them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnoisy import check, temporal
from jaxnoisy.temporal import ConvLayer
from jaxnoisy.types import Array, ArrayLike, Key

_TINY = 1e-20


class Encoder(NamedTuple):
    """From dynamics to representations.

    Attributes:
        layers: the convolutions, see :class:`~jaxnoisy.temporal.ConvLayer`.
        kernel: (f, d), applied to f features: those of all steps one after another, or their means over time.
        bias: (d,).
    """

    layers: tuple[ConvLayer, ...]
    kernel: ArrayLike
    bias: ArrayLike


class Weights(NamedTuple):
    """Everything that is learned.

    Attributes:
        encoder: see :class:`Encoder`.
        noisy: (d,) centroid of the wrong labels.
        clean: (d,) centroid of the right ones.
    """

    encoder: Encoder
    noisy: ArrayLike
    clean: ArrayLike


def init(
    key: Key, *, epochs: int, widths: tuple[int, ...] = (16, 32, 32), dimension: int = 512, pooling: str = "flatten"
) -> Encoder:
    """Draw an encoder of dynamics over t epochs (Kim et al. 2024, appendix A.2): LeCun normal after the convolutions.

    Args:
        key: a typed key.
        epochs: t; an encoder with ``pooling="mean"`` then serves any other length too.
        widths: of the convolutions, each of which sees three epochs at once.
        dimension: d of the representations.
        pooling: "flatten" or "mean".

    Example:
        >>> import jax
        >>> [init(jax.random.key(0), epochs=20, pooling=name).kernel.shape for name in ("flatten", "mean")]
        [(640, 512), (32, 512)]
    """
    check.one_of(pooling, ("flatten", "mean"), name="pooling")
    of_layers, of_kernel = jax.random.split(key)
    layers = temporal.init(of_layers, features=1, widths=widths)
    features = widths[-1] * (epochs if pooling == "flatten" else 1)
    kernel = jax.nn.initializers.lecun_normal()(of_kernel, (features, dimension))
    return Encoder(layers, kernel, jnp.zeros(dimension))


def represent(encoder: Encoder, values: Array) -> Array:
    """Encode dynamics.

    Args:
        encoder: for t epochs.
        values: (n, t) one signal over the epochs.

    Returns:
        (n, d). Cost per example at the paper's widths: about 4,656 t multiply-adds in the convolutions and, flattened,
        32 t d after them.
    """
    features = temporal.rectified(encoder.layers, values[..., None])
    pooled = features.shape[-1] == encoder.kernel.shape[0]
    flat = features.mean(axis=1) if pooled else features.reshape(len(values), -1)
    return flat @ encoder.kernel + encoder.bias


def cosine_distance(a: ArrayLike, b: ArrayLike) -> Array:
    """1 - <a, b> / (|a| |b|) over the last axis, in [0, 2]; 1 where either is zero."""
    # Each by itself: the product of two norms near zero would underflow, and leave gradients of NaN.
    scales = [jax.lax.rsqrt(jnp.maximum((v * v).sum(-1), _TINY)) for v in (a, b)]
    return 1 - (a * scales[0][..., None] * b * scales[1][..., None]).sum(-1)


def q_noisy(weights: Weights, representations: Array) -> Array:
    """The chance that each representation belongs to the wrong labels (Kim et al. 2024, equation 3).

    A Student-t kernel of one degree of freedom on cosine distances: (1 + d_clean) / (2 + d_clean + d_noisy).

    Args:
        weights: see :class:`Weights`.
        representations: (n, d).

    Returns:
        (n,) in [1/4, 3/4], as distances lie in [0, 2]; above 1/2 where the noisy centroid is the nearer one.
    """
    noisy, clean = (cosine_distance(representations, centre) for centre in (weights.noisy, weights.clean))
    return (1 + clean) / (2 + clean + noisy)
