"""Instance-dependent noise: who flips is drawn per example, and where to depends on the example's inputs."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.noise import _draw
from jaxnoisy.noise._grouped import grouped_matmul
from jaxnoisy.noise.result import Corrupt, NoisyLabels
from jaxnoisy.types import Array, ArrayLike, Key

FEATURES = ("raw", "unit_norm")
"""The scales that :func:`instance` can give its inputs."""


def instance(
    *, num_classes: int, rate: float, features: str = "raw", spread: float = 0.1, batch_size: int = 256
) -> Corrupt[NoisyLabels]:
    """Flip labels as Xia et al. (2020), "Part-dependent Label Noise", generate instance-dependent noise.

    Each example draws a flip rate q from a normal of mean ``rate`` truncated to [0, 1]; each true class draws a
    projection W[y] of standard normals, of shape (d, c). The example flips with probability q, to class j != y with
    probability proportional to exp(x W[y])_j.

    Truncation moves the mean: rates 0.1, 0.2, 0.3, 0.4 give 0.1288, 0.2055, 0.3004, 0.4000 wrong labels on average.

    The scale of the inputs decides the task. Given an input x, its scores have standard deviation ||x|| over the draw
    of W, so with the pixels 0..255 used in the literature the softmax is all but one-hot: nearly every example has one
    target, which the examples of a class mostly share as their pixels point the same way, so that the noise comes close
    to a class-conditional one. Dividing pixels by 255 does not change that, as images are still tens of units long.
    With rows of length 1 the scores have deviation 1, several targets stay open, and their odds vary with the example.

    Args:
        num_classes: c >= 2.
        rate: location of the flip rates' normal, in [0, 1].
        features: ``"raw"`` takes the inputs as they are (pass pixels 0..255 to reproduce the papers); ``"unit_norm"``
            divides each flattened input by its Euclidean length (one of zeros stays, and flips uniformly).
        spread: scale of the flip rates' normal, in (0, 1].
        batch_size: examples per matrix product. It changes time and memory, and scores by float32 rounding; the random
            numbers do not depend on it.

    Returns:
        ``corrupt(key, labels, inputs)``, see :class:`~jaxnoisy.noise.Corrupt`, with inputs of shape (n, ...), floats or
        integers, d entries each after flattening. Time: a dense layer's on n + c * batch_size examples. Memory beside
        the inputs, which keep their dtype: O(n c + c d c + batch_size d).

    Raises:
        ValueError: fewer than two classes, a rate outside [0, 1], an unknown scale, a spread outside (0, 1], or a batch
            size below 1; from ``corrupt``: inputs that are missing, of another length than the labels, without a
            feature axis, or not finite.
        TypeError: from ``corrupt``: inputs that are not real numbers.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxnoisy.noise import instance
        >>> pixels = jax.random.randint(jax.random.key(1), (6, 8, 8, 3), 0, 256)
        >>> corrupt = instance(num_classes=3, rate=0.4, features="unit_norm")
        >>> noisy = corrupt(jax.random.key(0), jnp.array([0, 0, 1, 1, 2, 2]), pixels)
        >>> noisy.labels.shape, noisy.mask.dtype
        ((6,), dtype('bool'))
    """
    c = check.positive_int(num_classes, name="num_classes", minimum=2)
    r = check.fraction(rate, name="rate")
    s = check.fraction(spread, name="spread", open_low=True)
    check.one_of(features, FEATURES, name="features")
    check.positive_int(batch_size, name="batch_size")

    def corrupt(key: Key, labels: ArrayLike, inputs: ArrayLike | None = None) -> NoisyLabels:
        given = _draw.arguments(key, labels, num_classes=c)
        x = _flat(inputs, n=given.shape[0])
        rate_key, projection_key, label_key = jax.random.split(key, 3)
        q = flip_rates(rate_key, given.shape[0], rate=r, spread=s)
        projections = jax.random.normal(projection_key, (c, x.shape[1], c), jnp.float32)
        p = _flip_probabilities(x, given, q, projections, features, batch_size)
        return _draw.result(given, jax.random.categorical(label_key, jnp.log(p)))

    return corrupt


def flip_rates(key: Key, n: int, *, rate: float, spread: float = 0.1) -> Array:
    """Draw flip rates from a normal truncated to [0, 1].

    Args:
        key: typed key.
        n: how many.
        rate: location of the normal, in [0, 1]; the mean of what is drawn differs from it near 0 and 1.
        spread: scale of the normal, in (0, 1].

    Returns:
        Float32 of shape (n,), each in [0, 1].

    Raises:
        TypeError: a raw or batched key.
        ValueError: a count below 1, or a rate or spread out of range.

    Example:
        >>> import jax
        >>> round(float(flip_rates(jax.random.key(0), 100_000, rate=0.1).mean()), 2)
        0.13
    """
    check.typed_key(key)
    check.positive_int(n, name="n")
    check.fraction(rate, name="rate")
    check.fraction(spread, name="spread", open_low=True)
    standard = jax.random.truncated_normal(key, -rate / spread, (1 - rate) / spread, (n,), jnp.float32)
    # Scaling back can round past an end of the interval.
    return jnp.clip(rate + spread * standard, 0, 1)


def flip_probabilities(
    inputs: ArrayLike,
    labels: ArrayLike,
    rates: ArrayLike,
    projections: ArrayLike,
    *,
    features: str = "raw",
    batch_size: int = 256,
) -> Array:
    """Distribution of each example's noisy label, given its flip rate and the projections.

    Args:
        inputs: numbers of shape (n, ...), d entries each after flattening.
        labels: integers of shape (n,), true classes in [0, c).
        rates: floats of shape (n,) in [0, 1], flip probabilities.
        projections: floats of shape (c, d, c), one projection per true class.
        features: scale of the inputs, as in :func:`instance`.
        batch_size: examples per matrix product.

    Returns:
        Float32 of shape (n, c): 1 - rates at the own class, elsewhere rates times the softmax over the other classes of
        the scores x W[y]. Rows sum to 1.

    Raises:
        ValueError: shapes that do not fit together, labels out of range, rates outside [0, 1], or inputs that are not
            finite; values are looked at outside ``jit`` only.
        TypeError: labels that are not integers, or inputs that are not real numbers.

    Example:
        >>> import jax.numpy as jnp
        >>> p = flip_probabilities(jnp.zeros((1, 4)), jnp.array([2]), jnp.array([0.5]), jnp.ones((3, 4, 3)))
        >>> p.tolist()
        [[0.25, 0.25, 0.5]]
    """
    check.one_of(features, FEATURES, name="features")
    check.positive_int(batch_size, name="batch_size")
    w, q = jnp.asarray(projections, jnp.float32), jnp.asarray(rates, jnp.float32)
    if w.ndim != 3 or w.shape[0] != w.shape[2] or w.shape[0] < 2:
        raise ValueError(f"projections must have shape (c, d, c) with c >= 2 classes, but have shape {w.shape}")
    given = check.label_array(labels, num_classes=w.shape[0])
    x = _flat(inputs, n=given.shape[0])
    if x.shape[1] != w.shape[1]:
        raise ValueError(f"inputs have {x.shape[1]} entries per example, but projections expect {w.shape[1]}")
    if q.shape != given.shape:
        raise ValueError(f"rates must have shape {given.shape}, one per label, but have shape {q.shape}")
    if check.is_concrete(q) and not bool(jnp.all((q >= 0) & (q <= 1))):
        raise ValueError(f"rates must lie in [0, 1], but reach from {float(q.min()):g} to {float(q.max()):g}")
    return _flip_probabilities(x, given, q, w, features, batch_size)


def _flip_probabilities(x: Array, labels: Array, q: Array, w: Array, features: str, batch_size: int) -> Array:
    y = labels.astype(jnp.int32)
    scores = grouped_matmul(x, y, w, batch_size=batch_size, prepare=_unit_norm if features == "unit_norm" else None)
    own = y[:, None] == jnp.arange(w.shape[0])
    # jax.nn.softmax subtracts the row's maximum, without which scores of raw pixels overflow.
    other = jax.nn.softmax(jnp.where(own, -jnp.inf, scores), axis=1)
    return jnp.where(own, 1 - q[:, None], q[:, None] * other)


def _unit_norm(x: Array) -> Array:
    length = jnp.linalg.norm(x, axis=1, keepdims=True)
    return x / jnp.where(length > 0, length, 1)


def _flat(inputs: ArrayLike | None, *, n: int) -> Array:
    """Check the inputs and return them as (n, d), in their own dtype: converting a million images would copy them."""
    if inputs is None:
        raise ValueError("instance-dependent noise needs the inputs: call corrupt(key, labels, inputs), shape (n, ...)")
    if check.is_concrete(inputs):
        host = np.asarray(inputs)
        # NumPy does not count bfloat16 among the floats, so the check would pass over it.
        narrow = jnp.issubdtype(host.dtype, jnp.floating) and not np.issubdtype(host.dtype, np.floating)
        check.finite(host.astype(np.float32) if narrow else host, name="inputs")
    x = jnp.asarray(inputs)
    if not (jnp.issubdtype(x.dtype, jnp.floating) or jnp.issubdtype(x.dtype, jnp.integer)):
        raise TypeError(f"inputs must be real numbers, but have dtype {x.dtype}")
    if x.ndim < 2 or x.size == 0:
        raise ValueError(
            f"inputs must have shape (n, ...) with at least one entry per example, but have shape {x.shape}"
        )
    if x.shape[0] != n:
        raise ValueError(f"inputs hold {x.shape[0]} examples for {n} labels: give one per label, in the same order")
    return x.reshape(n, -1)
