"""Negative learning: an example teaches which classes it is not in, so that a wrong label teaches little that is wrong.

Kim, Yim, Yun and Kim (2019), "NLNL: Negative learning for noisy labels" (ICCV). Its three losses are for one stage of
training each, one after the other.
"""

import jax
import jax.numpy as jnp

from jaxnoisy import check
from jaxnoisy.losses import cross_entropy
from jaxnoisy.types import Array


def negative_learning(logits: Array, labels: Array) -> Array:
    """``-sum over k != y of log(1 - p_k)``: the label is not any of the other classes.

    The paper's loss (equation 2) draws one other class at random, or 110 of CIFAR-100's, and takes -log(1 - p_k) of it.
    This is its expectation times c - 1: no draw and no variance, and gradients as large as those of cross entropy, so
    that the same learning rate serves. Of a wrong label c - 2 of the c - 1 statements are true.

    Args:
        logits: (b, c) floats, c >= 2.
        labels: (b,) integers in 0..c-1, the given labels.

    Returns:
        (b,) in float32 at least, finite with finite gradients also where a probability is 1.

    Example:
        >>> import jax.numpy as jnp
        >>> bool(jnp.isclose(negative_learning(jnp.zeros((1, 4)), jnp.array([2]))[0], -3 * jnp.log(3 / 4)))
        True
    """
    wide = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    other = jnp.arange(wide.shape[-1]) != labels[:, None]
    return jnp.where(other, -_log_not(wide), 0.0).sum(axis=-1)


def selective_negative(logits: Array, labels: Array) -> Array:
    """:func:`negative_learning` of examples whose label is likelier than 1 / c, and 0 of the others (SelNL).

    After a first stage the model holds wrong labels for unlikely; they teach it no longer. Arguments and result are
    those of :func:`negative_learning`; which examples take part has no gradient.

    Example:
        >>> import jax.numpy as jnp
        >>> losses = selective_negative(jnp.array([[0.0, 1.0], [0.0, 1.0]]), jnp.array([0, 1]))
        >>> [round(loss, 3) for loss in losses.tolist()]
        [0.0, 0.313]
    """
    return _of_likely(negative_learning(logits, labels), logits, labels, 1 / logits.shape[-1])


def selective_positive(logits: Array, labels: Array, *, above: float = 0.5) -> Array:
    """Cross entropy of examples whose label is likelier than ``above``, and 0 of the others (SelPL).

    Args:
        logits: (b, c) floats.
        labels: (b,) integers in 0..c-1.
        above: in [0, 1), the paper's gamma.

    Returns:
        (b,) in float32 at least.

    Raises:
        ValueError: ``above`` out of range.

    Example:
        >>> import jax.numpy as jnp
        >>> losses = selective_positive(jnp.array([[0.0, 1.0], [0.0, 1.0]]), jnp.array([0, 1]))
        >>> [round(loss, 3) for loss in losses.tolist()]
        [0.0, 0.313]
    """
    check.fraction(above, name="above")
    if above == 1:
        raise ValueError("above must be below 1: no probability lies above it")
    return _of_likely(cross_entropy(logits, labels), logits, labels, above)


def _of_likely(losses: Array, logits: Array, labels: Array, above: float) -> Array:
    likely = jnp.exp(-cross_entropy(jax.lax.stop_gradient(logits), labels)) > above
    return jnp.where(likely, losses, 0.0)


def _log_not(logits: Array) -> Array:
    """(b, c) log(1 - p). The largest p may be 1 to rounding, and is then what the others leave."""
    logs = jax.nn.log_softmax(logits)
    largest = jnp.arange(logits.shape[-1]) == logits.argmax(axis=-1, keepdims=True)
    rest = jax.nn.logsumexp(jnp.where(largest, -jnp.inf, logits), axis=-1) - jax.nn.logsumexp(logits, axis=-1)
    # All but the largest are at most 1/2. The branch not taken must be finite too, for the sake of its gradient.
    return jnp.where(largest, rest[:, None], jnp.log1p(-jnp.exp(jnp.where(largest, -1.0, logs))))
