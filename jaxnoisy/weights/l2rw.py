"""L2RW: weights of a batch from one look at what a first, infinitesimal weight on each example would do."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from jaxnoisy.types import Array
from jaxnoisy.weights.learner import Learned, Learner, Turn, learner
from jaxnoisy.weights.lookahead import CleanLoss, lookahead
from jaxnoisy.weights.skips import Skips, counted, none_yet, useful
from jaxnoisy.weights.step import Losses, vanishes, weighted_step


class L2RWState(NamedTuple):
    """The weights last given.

    Attributes:
        last: (n,) float32, in units of an equal share of the batch; 1 before the first look-ahead.
        skips: what look-aheads came to.
    """

    last: Array
    skips: Skips


def l2rw(
    losses: Losses,
    clean_loss: CleanLoss,
    tx: optax.GradientTransformation,
    *,
    way: str = "forward",
    only: Callable[[str, Any], bool] | None = None,
    has_aux: bool = False,
) -> Learner:
    """Weigh each batch anew: max(-∂F/∂ε_i, 0) at ε = 0, made to sum to 1.

    Ren et al. 2018, "Learning to reweight examples for robust deep learning", Algorithm 1: F is the clean loss after a
    step on Σ_i ε_i l_i / b. Where no example of a batch helps, all of its weights are 0, and the batch teaches nothing;
    that is counted. Nothing is kept from batch to batch but the weights last given, for :attr:`Learner.hold` and for
    whoever wants to look at them.

    Args:
        losses: ``losses(params, batch) -> (b,)``; with ``has_aux``, ``((b,), aux)``.
        clean_loss: ``clean_loss(params, clean) -> scalar``. The scale of it has no effect.
        tx: the optax transformation that trains the model.
        way: see :func:`~jaxnoisy.weights.lookahead`.
        only: see :func:`~jaxnoisy.weights.lookahead`.
        has_aux: whether ``losses`` returns more.

    Returns:
        A :class:`~jaxnoisy.weights.Learner` with an :class:`L2RWState`. Where a look-ahead is not finite, the weights
        last given stand in. Cost: a look-ahead and, in a second step, one more backward pass.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> tx = optax.sgd(0.1)
        >>> learner = l2rw(lambda p, batch: (p - batch) ** 2, lambda p, clean: (p - clean) ** 2, tx)
        >>> params, state = jnp.array(0.0), learner.init(4)
        >>> done = learner.learn(state, params, tx.init(params), jnp.array([2, 0]), jnp.array([1.0, -1.0]), 1.0)
        >>> done.weights.tolist(), learner.weights(done.state).tolist()
        ([1.0, 0.0], [0.0, 1.0, 2.0, 1.0])
    """
    look = lookahead(losses, clean_loss, tx, way=way, normalise="count", only=only, has_aux=has_aux)
    step = weighted_step(losses, tx, has_aux=has_aux)

    def learn(state: L2RWState, turn: Turn) -> Learned:
        outside = turn.outside(len(state.last))
        ahead = look(turn.params, turn.opt_state, jnp.zeros_like(outside), turn.batch, turn.clean)
        gradient = (outside * ahead.gradient).astype(outside.dtype)
        good = useful(ahead.clean_loss, gradient)
        held = outside * state.last.at[turn.rows].get(mode="fill", fill_value=0)
        weights = _shares(jnp.where(good, jnp.maximum(-gradient, 0), held))
        done = step(turn.params, turn.opt_state, weights, turn.batch)
        to = jnp.where((outside > 0) & good, turn.rows, len(state.last))
        last = state.last.at[to].set(weights * (outside > 0).sum(), mode="drop")
        new = L2RWState(last, counted(state.skips, good, vanished=vanishes(weights)))
        return Learned(new, done.params, done.opt_state, weights, done.losses, ahead.clean_loss, done.aux)

    def hold(state: L2RWState, turn: Turn) -> Learned:
        outside = turn.outside(len(state.last))
        weights = _shares(outside * state.last.at[turn.rows].get(mode="fill", fill_value=0))
        done = step(turn.params, turn.opt_state, weights, turn.batch)
        unseen = jnp.full((), jnp.nan, done.losses.dtype)
        return Learned(state, done.params, done.opt_state, weights, done.losses, unseen, done.aux)

    def init(n: int) -> L2RWState:
        return L2RWState(jnp.ones((n,), jnp.float32), none_yet())

    return learner(init, learn, hold, lambda state: state.last)


def _shares(weights: Array) -> Array:
    """Made to sum to 1, or all 0 where they are."""
    total = weights.sum()
    return jnp.where(total > 0, weights / jnp.where(total > 0, total, 1), 0)
