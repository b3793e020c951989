"""What one forward pass says about each example: the few numbers that every signal derives from."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np


class Observation(NamedTuple):
    """Per-example summary of logits z and a given label y, each field of shape (batch,) or, over epochs, (n, t).

    Logits are stored relative to the log-normaliser (as log-probabilities), not raw: a loss of 1e-3 under logits of 20
    would be lost to rounding in half precision. ``log_p_given + log_normalizer`` is the raw given-label logit.

    Attributes:
        log_p_given: z_y - logsumexp(z).
        log_p_other: max over k != y of z_k, minus logsumexp(z).
        log_normalizer: logsumexp(z).
        squared_error: sum over classes of (p_k - [k = y])^2, the squared error norm (EL2N).
        argmax: the predicted class, int; -1 where nothing was recorded (the other fields are NaN there).
    """

    log_p_given: Any
    log_p_other: Any
    log_normalizer: Any
    squared_error: Any
    argmax: Any


FLOAT_FIELDS = ("log_p_given", "log_p_other", "log_normalizer", "squared_error")


def observe(logits: Any, labels: Any) -> Observation:
    """Summarise a batch of logits, on the device or on the host.

    Args:
        logits: (b, c) floats, JAX or NumPy; computed in float32 at least.
        labels: (b,) integers in 0..c-1, of the same kind.

    Returns:
        An :class:`Observation` with fields of shape (b,): NumPy in, NumPy out.

    Cost: O(b c), a few passes over the logits; nothing is kept.

    Example:
        >>> import numpy as np
        >>> seen = observe(np.log(np.array([[0.7, 0.2, 0.1]], np.float32)), np.array([1]))
        >>> np.exp(seen.log_p_given).round(3).tolist() == np.float32([0.2]).tolist(), int(seen.argmax[0])
        (True, 0)
    """
    xp: Any = np if isinstance(logits, np.ndarray) else jnp
    z = logits.astype(xp.promote_types(logits.dtype, np.float32))
    top = z.max(axis=-1, keepdims=True)
    shifted = z - top
    exponentials = xp.exp(shifted)
    total = exponentials.sum(axis=-1)
    log_total = xp.log(total)
    is_given = labels[:, None] == xp.arange(z.shape[-1])[None, :]
    # 1 - p_y as the sum of the others: it does not cancel where the fit is close.
    wrong = xp.where(is_given, 0, exponentials)
    given = xp.where(is_given, shifted, 0).sum(axis=-1)
    other = xp.where(is_given, -np.inf, shifted).max(axis=-1)
    return Observation(
        log_p_given=given - log_total,
        log_p_other=other - log_total,
        log_normalizer=top[:, 0] + log_total,
        squared_error=(wrong.sum(axis=-1) ** 2 + (wrong**2).sum(axis=-1)) / total**2,
        argmax=z.argmax(axis=-1),
    )


def class_dtype(num_classes: int) -> np.dtype:
    """The smallest integer dtype that holds every class number and the -1 of a missing entry."""
    return np.dtype(np.int8 if num_classes <= 127 else np.int16 if num_classes <= 32767 else np.int32)
