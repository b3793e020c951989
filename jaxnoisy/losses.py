"""Per-example losses."""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax

from jaxnoisy import check
from jaxnoisy.types import Array

Loss: TypeAlias = Callable[[Array, Array], Array]
"""(logits (b, c), labels (b,)) -> (b,) losses."""


class ByEpoch(NamedTuple):
    """A loss that changes while a model trains.

    Attributes:
        at: epoch () int32, 0 in the first one -> the :data:`Loss` of that epoch.
    """

    at: Callable[[Array], Loss]


def at_epoch(loss: Loss | ByEpoch, epoch: Array | int) -> Loss:
    """The loss of an epoch: of a plain one always the same."""
    return loss.at(jnp.asarray(epoch)) if isinstance(loss, ByEpoch) else loss


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


_LEAST = 1e-8


def cores(*, epochs: int, beta: float = 2.0, sieve: bool = True) -> ByEpoch:
    """Cross entropy that rewards confidence, and leaves out what the sieve holds for wrong (CORES2).

    Cheng et al. (2021), "Learning with instance-dependent label noise: a sample sieve approach", equations 2 to 4, with
    classes that are equally frequent: CE - beta mean_c CE_c, where CE_c is the cross entropy if the label were c. In
    the mean over labels this takes away what noisy labels add to cross entropy. The paper's schedule over 100 epochs is
    kept in proportion: beta is 0 for the first tenth of the epochs, grows linearly until four tenths are done, and
    stays; from three tenths on, an example of a batch whose cross entropy exceeds its mean over classes is not learned
    from, and the others weigh as if the batch held them alone. Probabilities in the mean are kept above 1e-8, as the
    reward would have no limit otherwise.

    Args:
        epochs: t, of the run.
        beta: weight of the reward in the end, at least 0.
        sieve: whether examples are left out.

    Raises:
        ValueError: values out of range.

    Example:
        >>> import jax.numpy as jnp
        >>> logits, labels = jnp.array([[3.0, 0.0], [3.0, 0.0]]), jnp.array([0, 1])
        >>> early, late = (at_epoch(cores(epochs=10), epoch)(logits, labels) for epoch in (0, 9))
        >>> round(float(early[1]), 2), float(late[1])
        (3.05, 0.0)
    """
    check.positive_int(epochs, name="epochs")
    if not 0 <= beta < math.inf:
        raise ValueError(f"beta must be a finite number >= 0, but is {beta!r}")

    def at(epoch: Array) -> Loss:
        done = epoch / epochs
        weight = beta * jnp.clip((done - 0.1) / 0.3, 0, 1)
        sieving = (done >= 0.3) & sieve

        def loss(logits: Array, labels: Array) -> Array:
            log_p = jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))
            given = -jnp.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
            losses = given + weight * jnp.logaddexp(log_p, math.log(_LEAST)).mean(axis=1)
            kept = ~sieving | (given <= -log_p.mean(axis=1))
            share = jnp.mean(kept.astype(losses.dtype))
            return jnp.where(kept, losses / jnp.maximum(share, 1 / len(labels)), 0)

        return loss

    return ByEpoch(at)
