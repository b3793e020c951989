"""Per-example losses on logits."""

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
