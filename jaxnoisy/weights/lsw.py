"""LSW: a weight for every training example that gathers, step by step, what the example does for the clean ones."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnoisy import check
from jaxnoisy.types import Array, PyTree
from jaxnoisy.weights.learner import Learned, Learner, Turn, learner
from jaxnoisy.weights.lookahead import CleanLoss, lookahead
from jaxnoisy.weights.skips import Skips, counted, none_yet, useful
from jaxnoisy.weights.step import Losses, vanishes, weighted_step

RATE = 0.4
"""Of 0.1, 0.2, 0.4, 0.8 and 1.6 the best by F1 on features of ten classes of CIFAR-100, with three kinds of noise
(``benchmarks/lsw.py --parts choose``); no other result is reported on these data."""

THRESHOLD = 0.3
"""Hoang et al. hold an example for mislabeled when its weight is below this."""

_START = 0.5


class LSWState(NamedTuple):
    """What LSW remembers.

    Attributes:
        raw: (n,) float32, one learned number per example, 0.5 at first; see :func:`lsw` for how it makes a weight.
        square: () float32, mean over the look-aheads of the mean square of the gradients in a batch.
        skips: what look-aheads came to.
    """

    raw: Array
    square: Array
    skips: Skips


def lsw(
    losses: Losses,
    clean_loss: CleanLoss,
    tx: optax.GradientTransformation,
    *,
    rate: float = RATE,
    unit: str = "running",
    reading: str = "coherent",
    through: str = "weight",
    way: str = "forward",
    only: Callable[[str, Any], bool] | None = None,
    has_aux: bool = False,
) -> Learner:
    """Learn a weight per example from the gradient of a clean loss one step ahead, kept from epoch to epoch.

    Hoang et al., "Revisiting sample weights based method for noisy-label detection and classification", Algorithm 1. A
    step is taken on the batch's weighted loss (line 3, kept in line 9), and every raw value of the batch moves against
    the derivative of the clean loss after that step (line 7), by one scatter.

    Line 8 as printed, α <- sigmoid(α - 0.5) after each update, draws every weight back to 0.5, the fixed point of that
    map, and forgets what was learned: no weight can stay near 0, as the paper's Figure 5 has them. The coherent reading
    adds the updates up in a raw value a, 0.5 at first, and takes sigmoid(a - 0.5) for the weight.

    Args:
        losses: ``losses(params, batch) -> (b,)``; with ``has_aux``, ``((b,), aux)``. See
            :func:`~jaxnoisy.weights.lookahead` for batch norm and dropout.
        clean_loss: ``clean_loss(params, clean) -> scalar``, the sum over the clean batch in the paper.
        tx: the optax transformation that trains the model.
        rate: η_α, for which the paper gives no value. Under the "running" unit it is how far the raw value of an
            example of typical gradient moves in one look-ahead, in logits of the weight: an example that is harmful
            each time it is seen comes from 0.5 to below 0.3 after about 0.85 / rate epochs.
        unit: what the gradient is measured in: "running", the root mean square of all gradients so far, so that the
            rate means the same for every model, learning rate, loss and size of the clean batch, while steps still
            become smaller as training comes to rest; or "none", as it is (equation 2).
        reading: of line 8, "coherent" or "printed".
        through: what the gradient is taken by: "weight", as line 7 has it; or "raw", through the sigmoid as well,
            which lets weights near 0 and 1 move less. Of the printed reading both are the same.
        way: see :func:`~jaxnoisy.weights.lookahead`.
        only: see :func:`~jaxnoisy.weights.lookahead`.
        has_aux: whether ``losses`` returns more.

    Returns:
        A :class:`~jaxnoisy.weights.Learner` with an :class:`LSWState`. The paper begins to learn after two epochs:
        ``hold`` until then. Look-aheads that are not finite change nothing and are counted, see
        :func:`~jaxnoisy.weights.refuse_many_skips`. A batch in which all weights vanish, as a rate far too large
        brings about, teaches neither the model nor the weights (:func:`~jaxnoisy.weights.weighted_step`) and is
        counted. Cost: that of one look-ahead; 4 n bytes.

    Raises:
        ValueError: a rate that is not positive and finite, or an unknown unit, reading, way or ``through``.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> tx = optax.sgd(0.1)
        >>> learner = lsw(lambda p, batch: (p - batch) ** 2, lambda p, clean: (p - clean) ** 2, tx, rate=0.2)
        >>> params, state = jnp.array(0.0), learner.init(4)
        >>> done = learner.learn(state, params, tx.init(params), jnp.array([2, 0]), jnp.array([1.0, -1.0]), 1.0)
        >>> learner.weights(done.state).round(2).tolist()  # example 2 brings the model closer to 1, example 0 does not
        [0.44999998807907104, 0.5, 0.550000011920929, 0.5]
    """
    if not 0 < rate < math.inf:
        raise ValueError(f"rate must be positive and finite, but is {rate!r}")
    check.one_of(unit, ("running", "none"), name="unit")
    check.one_of(reading, ("coherent", "printed"), name="reading")
    check.one_of(through, ("weight", "raw"), name="through")
    look = lookahead(losses, clean_loss, tx, way=way, only=only, has_aux=has_aux)
    step = weighted_step(losses, tx, has_aux=has_aux)
    coherent = reading == "coherent"

    def weight(raw: Array) -> Array:
        return jax.nn.sigmoid(raw - _START) if coherent else raw

    def own(state: LSWState, rows: Array) -> Array:
        return weight(state.raw.at[rows].get(mode="fill", fill_value=0))

    def learn(state: LSWState, turn: Turn) -> Learned:
        outside, learned = turn.outside(len(state.raw)), own(state, turn.rows)
        weights = outside * learned
        ahead = look(turn.params, turn.opt_state, weights, turn.batch, turn.clean)
        gradient = outside * ahead.gradient
        if coherent and through == "raw":
            gradient = gradient * learned * (1 - learned)
        gradient = gradient.astype(state.raw.dtype)
        new = _updated(state, turn.rows, outside > 0, gradient, ahead.clean_loss, vanishes(weights))
        return Learned(new, *_of(ahead.stepped, weights), ahead.clean_loss, ahead.stepped.aux)

    def _updated(
        state: LSWState, rows: Array, there: Array, gradient: Array, value: Array, vanished: Array
    ) -> LSWState:
        good = useful(value, gradient)
        gradient = jnp.where(good, gradient, 0)
        square = (gradient**2).sum() / jnp.maximum(there.sum(), 1)
        taught = (good & ~vanished).astype(jnp.float32)
        before = (state.skips.looked - state.skips.skipped - state.skips.vanished).astype(jnp.float32)
        mean = (before * state.square + taught * square) / jnp.maximum(before + taught, 1)
        move = -rate * gradient
        if unit == "running":
            move = jnp.where(mean > 0, move / jnp.sqrt(jnp.where(mean > 0, mean, 1)), 0)
        # Padding, and everything where nothing was learned, goes past the end.
        to = jnp.where(there & good & ~vanished, rows, len(state.raw))
        if coherent:
            raw = state.raw.at[to].add(move, mode="drop")
        else:
            old = state.raw.at[rows].get(mode="fill", fill_value=0)
            raw = state.raw.at[to].set(jax.nn.sigmoid(old + move - _START), mode="drop")
        return LSWState(raw, mean, counted(state.skips, good, vanished=vanished & good))

    def hold(state: LSWState, turn: Turn) -> Learned:
        weights = turn.outside(len(state.raw)) * own(state, turn.rows)
        done = step(turn.params, turn.opt_state, weights, turn.batch)
        return Learned(state, *_of(done, weights), jnp.full((), jnp.nan, done.losses.dtype), done.aux)

    def init(n: int) -> LSWState:
        return LSWState(jnp.full((n,), _START, jnp.float32), jnp.zeros((), jnp.float32), none_yet())

    return learner(init, learn, hold, lambda state: weight(state.raw))


def _of(done: Any, weights: Array) -> tuple[PyTree, PyTree, Array, Array]:
    return done.params, done.opt_state, weights, done.losses
