"""The look-ahead gradient: what the weight of each example does to a clean loss one optimizer step ahead."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnoisy import check, tree
from jaxnoisy.types import Array, PyTree
from jaxnoisy.weights.step import Losses, Stepped, normaliser, weighted_loss

CleanLoss = Callable[[PyTree, PyTree], Array]
"""``clean_loss(params, clean) -> scalar`` of the parameters after the step."""

WAYS = ("forward", "reverse")


class Ahead(NamedTuple):
    """One optimizer step, and its gradient by the weights.

    Attributes:
        stepped: the step itself: :class:`~jaxnoisy.weights.step.Stepped`.
        gradient: (b,) derivative of the clean loss after the step by the weight of each example of the batch. Above 0
            the example does harm: less weight on it lowers the clean loss.
        clean_loss: () the clean loss after the step.
    """

    stepped: Stepped
    gradient: Array
    clean_loss: Array


Look = Callable[[PyTree, PyTree, Array, PyTree, PyTree], Ahead]
"""``look(params, opt_state, weights, batch, clean) -> Ahead``."""


def lookahead(
    losses: Losses,
    clean_loss: CleanLoss,
    tx: optax.GradientTransformation,
    *,
    way: str = "forward",
    normalise: str = "sum",
    only: Callable[[str, Any], bool] | None = None,
    has_aux: bool = False,
) -> Look:
    """Make the function that takes a weighted step and differentiates a clean loss after it by the weights.

    Hoang et al., "Revisiting sample weights based method for noisy-label detection and classification", equations 1 and
    2. With per-example losses l_i(θ), weights α and s = Σ_i α_i, the step is θ'(α) = U(g), where U is the optimizer's
    update of the parameters and g = ∇ Σ_i α_i l_i(θ) / s. The clean loss F(θ') depends on α through g alone, and g is
    linear in the ∇ l_i, so with the direction v = (∂U/∂g)ᵀ ∇F(θ') and t_i = <∇ l_i(θ), v>

        ∂F(θ'(α)) / ∂α_i = (t_i - Σ_j α_j t_j / s) / s.

    The direction costs one transposed update, O(p), and all t_i together are one forward-mode derivative (jvp) of the
    per-example losses along it. That is exact for every optax transformation that JAX can differentiate by the
    gradient, elementwise or not: for SGD v is -η ∇F(θ'), with momentum, Nesterov and weight decay the same up to a
    factor; for Adam v holds the derivative of each coordinate's quotient, and for clipping by the global norm the
    whole Jacobian. It is exact under batch norm in training mode too, where each l_i depends on the whole batch: its
    statistics do not depend on α.

    Where the update has no useful derivative there is no useful look-ahead: the sign of a gradient (Lion, sign SGD)
    has derivative 0. Adam's quotient has no derivative where a coordinate of the gradient has been exactly 0 since the
    start, as of a unit that never fires; such coordinates are left out of the direction.

    The two losses are functions of the caller's, who decides with them what batch norm and dropout do. For the
    look-ahead to be that of the step that is taken, ``losses`` computes in training mode, with the batch's own
    statistics; jaxnoisy's own training takes the clean loss in training mode as well, with the statistics of the clean
    batch, because running averages lag behind the parameters early on, and keeps the running averages of the batch
    alone. Dropout must draw by a key that is part of ``batch``: the losses are evaluated twice, and must agree.

    Args:
        losses: ``losses(params, batch) -> (b,)`` floats, b >= 1; with ``has_aux``, ``((b,), aux)``.
        clean_loss: ``clean_loss(params, clean) -> scalar``. The paper sums over the clean batch.
        tx: an optax transformation whose ``update`` takes gradient, state and parameters.
        way: "forward", as above; or "reverse", which differentiates through the step as it is written, for comparison:
            the same numbers up to rounding.
        normalise: "sum" divides the weighted loss by the sum of the weights (equation 1), so that Σ_i α_i ∂F/∂α_i = 0:
            weights are relative within a batch. "count" divides it by b, and the second term above is absent.
        only: ``only(path, leaf) -> bool`` chooses the parameters through whose step the weights act, with paths as in
            :func:`jaxnoisy.tree.split`, such as ``lambda path, leaf: "head" in path``; all by default. The others
            move by the same step, but their move counts as given. This spares the backward pass of the clean loss, and
            the derivative of the losses, below the first parameter chosen.
        has_aux: whether ``losses`` returns more, such as new batch statistics.

    Returns:
        ``look(params, opt_state, weights (b,), batch, clean) -> Ahead``; ``batch`` and ``clean`` are any pytrees, with
        whatever the losses need. The step is exactly that of :func:`~jaxnoisy.weights.weighted_step`, which says what
        happens where all weights vanish; their gradient is then 0. Cost under ``jit``, where the two evaluations of
        the losses share their forward pass: a plain step, a forward and a backward pass over ``clean``, a forward-mode
        pass over ``batch``, and O(p).

    Raises:
        ValueError: an unknown way or normalisation; from ``look``: weights of another shape than the losses, a clean
            loss that is no scalar, or ``only`` that chooses no parameter.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> losses = lambda params, batch: (params - batch) ** 2
        >>> clean_loss = lambda params, clean: (params - clean) ** 2
        >>> look = lookahead(losses, clean_loss, optax.sgd(0.1))
        >>> params = jnp.array(0.0)
        >>> ahead = look(params, optax.sgd(0.1).init(params), jnp.ones(2), jnp.array([1.0, -1.0]), 1.0)
        >>> ahead.gradient.tolist()  # more weight on the first example moves the parameter closer to 1
        [-0.20000000298023224, 0.20000000298023224]
    """
    check.one_of(way, WAYS, name="way")
    average = normaliser(normalise)
    objective = weighted_loss(losses, average, has_aux=has_aux)

    def forward(params: PyTree, opt_state: PyTree, weights: Array, batch: PyTree, clean: PyTree) -> Ahead:
        gradient, (each, aux) = jax.grad(objective, has_aux=True)(params, weights, batch)
        acting, given = _parted(gradient, only)

        def move(acting: PyTree) -> tuple[PyTree, tuple[PyTree, PyTree]]:
            moved, state = _update(tx, tree.merge(_guarded(acting), given), opt_state, params)
            return _parted(moved, only)[0], (moved, state)

        moved, pull, (after, state) = jax.vjp(move, acting, has_aux=True)
        fixed = _parted(after, only)[1]
        value, clean_gradient = jax.value_and_grad(_scalar(clean_loss))(moved, fixed, clean)
        (direction,) = pull(clean_gradient)
        start, rest = _parted(params, only)

        def along(start: PyTree) -> Array:
            found = losses(tree.merge(start, rest), batch)
            return found[0] if has_aux else found

        _, slopes = jax.jvp(along, (start,), (direction,))
        return Ahead(Stepped(after, state, each, aux), average.derivative(weights, slopes), value)

    def reverse(params: PyTree, opt_state: PyTree, weights: Array, batch: PyTree, clean: PyTree) -> Ahead:
        def after(weights: Array) -> tuple[Array, Stepped]:
            gradient, (each, aux) = jax.grad(objective, has_aux=True)(params, weights, batch)
            acting, given = _parted(gradient, only)
            both = tree.merge(_guarded(acting), jax.lax.stop_gradient(given))
            moved, state = _update(tx, both, opt_state, params)
            acting, given = _parted(moved, only)
            value = _scalar(clean_loss)(acting, jax.lax.stop_gradient(given), clean)
            return value, Stepped(moved, state, each, aux)

        (value, stepped), gradient = jax.value_and_grad(after, has_aux=True)(weights)
        return Ahead(stepped, gradient, value)

    return forward if way == "forward" else reverse


def _parted(params: PyTree, only: Callable[[str, Any], bool] | None) -> tuple[PyTree, PyTree]:
    return tree.split(params, only or (lambda path, leaf: True))


def _update(
    tx: optax.GradientTransformation, gradient: PyTree, opt_state: PyTree, params: PyTree
) -> tuple[PyTree, PyTree]:
    updates, state = tx.update(gradient, opt_state, params)
    return optax.apply_updates(params, updates), state


def _scalar(clean_loss: CleanLoss) -> Callable[[PyTree, PyTree, PyTree], Array]:
    def value(moved: PyTree, fixed: PyTree, clean: PyTree) -> Array:
        found = clean_loss(tree.merge(moved, fixed), clean)
        if jnp.shape(found) != ():
            raise ValueError(f"clean_loss must return a scalar, such as a sum, but returns shape {jnp.shape(found)}")
        return found

    return value


@jax.custom_vjp
def _guarded(gradient: PyTree) -> PyTree:
    """The gradient itself; no derivative by coordinates that are 0 and at which the update has none."""
    return gradient


def _guarded_forward(gradient: PyTree) -> tuple[PyTree, PyTree]:
    return gradient, gradient


def _guarded_backward(gradient: PyTree, cotangent: PyTree) -> tuple[PyTree]:
    return (jax.tree.map(lambda g, c: jnp.where((g == 0) & ~jnp.isfinite(c), 0, c), gradient, cotangent),)


_guarded.defvjp(_guarded_forward, _guarded_backward)
