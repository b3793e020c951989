"""Per-example losses."""

import jax.numpy as jnp
import optax

from jaxnoisy.types import Array


def cross_entropy(logits: Array, labels: Array) -> Array:
    """Softmax cross entropy of each example, in nats.

    Args:
        logits: (b, c) floats.
        labels: (b,) integers in 0..c-1.

    Returns:
        (b,) in float32 at least.

    Example:
        >>> import jax.numpy as jnp
        >>> bool(jnp.isclose(cross_entropy(jnp.zeros((1, 2)), jnp.array([0]))[0], jnp.log(2.0)))
        True
    """
    wide = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return optax.softmax_cross_entropy_with_integer_labels(wide, labels)


def negative_log_likelihood(log_probabilities: Array, labels: Array) -> Array:
    """Minus the log-probability of each example's label, in nats.

    Unlike :func:`cross_entropy` it does not normalise: of the means of several predictions' log-probabilities, as
    :class:`~jaxnoisy.models.FrameConsensus` returns them, it makes the mean of their cross entropies.

    Args:
        log_probabilities: (b, c) floats.
        labels: (b,) integers in 0..c-1.

    Returns:
        (b,) in float32 at least.

    Example:
        >>> import jax.numpy as jnp
        >>> negative_log_likelihood(jnp.array([[-1.0, -3.0], [-0.5, -2.0]]), jnp.array([0, 1])).tolist()
        [1.0, 2.0]
    """
    wide = log_probabilities.astype(jnp.promote_types(log_probabilities.dtype, jnp.float32))
    return -jnp.take_along_axis(wide, labels[:, None], axis=1)[:, 0]
