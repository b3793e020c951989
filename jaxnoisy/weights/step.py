"""One optimizer step on a weighted loss, as a pure function."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnoisy import check
from jaxnoisy.types import Array, PyTree

Losses = Callable[[PyTree, PyTree], Any]
"""``losses(params, batch) -> (b,)``, or ``((b,), aux)`` where a function is told that there is more."""


class Stepped(NamedTuple):
    """After a step.

    Attributes:
        params: θ'.
        opt_state: of the optimizer.
        losses: (b,) of each example, before the step.
        aux: what the losses returned besides; None where nothing.
    """

    params: PyTree
    opt_state: PyTree
    losses: Array
    aux: PyTree


WeightedStep = Callable[[PyTree, PyTree, Array, PyTree], Stepped]
"""``step(params, opt_state, weights, batch) -> Stepped``."""


class Normaliser(NamedTuple):
    """How weighted losses are averaged.

    Attributes:
        mean: (weights (b,), values (b,)) -> the weighted mean, a scalar.
        derivative: (weights (b,), values (b,)) -> (b,) its derivative by the weights.
    """

    mean: Callable[[Array, Array], Array]
    derivative: Callable[[Array, Array], Array]


def normaliser(name: str) -> Normaliser:
    """By name: "sum", Σ α_i l_i / Σ α_i, or "count", Σ α_i l_i / b."""
    check.one_of(name, ("sum", "count"), name="normalise")
    if name == "sum":
        return Normaliser(_mean, _mean_derivative)
    return Normaliser(lambda w, x: (w * x).sum() / len(w), lambda w, x: x / len(w))


def vanishes(weights: Array) -> Array:
    """() bool: whether the sum of the weights (b,) is 0 beside b ones, so that nothing can be divided by it."""
    return weights.sum() <= len(weights) * jnp.finfo(weights.dtype).eps


def _total(weights: Array) -> tuple[Array, Array]:
    """The sum to divide by, and whether there is one."""
    gone = vanishes(weights)
    return jnp.where(gone, 1, weights.sum()), ~gone


def _mean(weights: Array, values: Array) -> Array:
    total, there = _total(weights)
    return jnp.where(there, (weights * values).sum() / total, 0)


def _mean_derivative(weights: Array, values: Array) -> Array:
    total, there = _total(weights)
    return jnp.where(there, (values - (weights * values).sum() / total) / total, 0)


def weighted_loss(losses: Losses, average: Normaliser, *, has_aux: bool) -> Callable[..., tuple[Array, Any]]:
    """Make ``loss(params, weights, batch) -> (scalar, (losses, aux))``."""

    def loss(params: PyTree, weights: Array, batch: PyTree) -> tuple[Array, tuple[Array, PyTree]]:
        found = losses(params, batch)
        each, aux = found if has_aux else (found, None)
        if jnp.shape(each) != jnp.shape(weights) or jnp.ndim(each) != 1:
            raise ValueError(
                f"losses and weights must have one shape (b,), one number per example, but have {jnp.shape(each)} and "
                f"{jnp.shape(weights)}"
            )
        return average.mean(weights, each), (each, aux)

    return loss


def weighted_step(
    losses: Losses, tx: optax.GradientTransformation, *, normalise: str = "sum", has_aux: bool = False
) -> WeightedStep:
    """Make the function that takes one optimizer step on the weighted loss of a batch.

    The loss is Σ_i α_i l_i / Σ_i α_i (equation 1 of Hoang et al., see :func:`~jaxnoisy.weights.lookahead`). Where the
    sum of the weights is 0 to the precision of their dtype (at most b times its epsilon), so that it cannot be divided
    by, the loss and its gradient are 0: the batch teaches nothing, and the optimizer moves the parameters only by what
    it remembers (momentum) and by weight decay.

    Args:
        losses: ``losses(params, batch) -> (b,)`` floats; with ``has_aux``, ``((b,), aux)``.
        tx: an optax transformation whose ``update`` takes gradient, state and parameters.
        normalise: "sum" as above; "count" divides by b instead.
        has_aux: whether ``losses`` returns more, such as new batch statistics.

    Returns:
        ``step(params, opt_state, weights (b,), batch) -> Stepped``. Cost: a forward and a backward pass.

    Raises:
        ValueError: an unknown normalisation; from ``step``: weights of another shape than the losses.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> step = weighted_step(lambda params, batch: (params - batch) ** 2, optax.sgd(0.5))
        >>> params = jnp.array(0.0)
        >>> done = step(params, optax.sgd(0.5).init(params), jnp.array([1.0, 0.0]), jnp.array([3.0, 8.0]))
        >>> float(done.params), done.losses.tolist()
        (3.0, [9.0, 64.0])
    """
    objective = weighted_loss(losses, normaliser(normalise), has_aux=has_aux)

    def step(params: PyTree, opt_state: PyTree, weights: Array, batch: PyTree) -> Stepped:
        gradient, (each, aux) = jax.grad(objective, has_aux=True)(params, weights, batch)
        updates, state = tx.update(gradient, opt_state, params)
        return Stepped(optax.apply_updates(params, updates), state, each, aux)

    return step
