"""Meta-Weight-Net: a small network that learns which weight a loss deserves."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnoisy import check
from jaxnoisy.types import Array, Key, PyTree
from jaxnoisy.weights.learner import Learned, Learner, Turn, averaged, learner
from jaxnoisy.weights.lookahead import CleanLoss, lookahead
from jaxnoisy.weights.skips import Skips, counted, none_yet, useful
from jaxnoisy.weights.step import Losses, vanishes, weighted_step

HIDDEN = 100
STARTS = ("level", "random")


class MWNetState(NamedTuple):
    """What the rule remembers.

    Attributes:
        network: parameters of the network from a loss to a weight.
        opt_state: of its optimizer.
        last: (n,) float32, the weights last given; NaN for examples not seen yet.
        skips: what look-aheads came to.
    """

    network: PyTree
    opt_state: PyTree
    last: Array
    skips: Skips


def mwnet(
    key: Key,
    losses: Losses,
    clean_loss: CleanLoss,
    tx: optax.GradientTransformation,
    *,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-4,
    hidden: int = HIDDEN,
    start: str = "level",
    normalise: str = "sum",
    way: str = "forward",
    only: Callable[[str, Any], bool] | None = None,
    has_aux: bool = False,
) -> Learner:
    """Learn a function from an example's loss to its weight, by a clean loss one step ahead.

    Shu et al. 2019, "Meta-Weight-Net: learning an explicit mapping for sample weighting", equations 3 to 5. The weight
    is V(l_i; φ), a network of one hidden layer of ReLU with a sigmoid at its end, of the loss as a given number. A
    step on the weighted loss is looked at, φ moves by Adam against the derivative of the clean loss after it, and the
    step is then taken anew with the weights that the new φ gives.

    Two defaults are not the paper's: ``start="random", normalise="count"`` are. A weighted loss divided by b makes
    all weights learning rates: where longer steps help, V rises, and most where losses are large, so that runs of a few
    hundred steps can end with wrong labels above right ones; the slope of a random V adds to that or not, by chance.
    On weak features a look-ahead through the head turns V round as well: leave it out with ``only``.
    ``benchmarks/lsw.py`` measures what each of these does.

    Args:
        key: typed key, of the first φ: both layers uniform within the inverse square root of their inputs.
        losses: ``losses(params, batch) -> (b,)``; with ``has_aux``, ``((b,), aux)``.
        clean_loss: ``clean_loss(params, clean) -> scalar``. The scale of it has no effect.
        tx: the optax transformation that trains the model.
        learning_rate: of φ.
        weight_decay: of φ, added to its gradient.
        hidden: units.
        start: "level", a last layer of zeros, so that every weight is 0.5 at first; or "random".
        normalise: what Σ_i V(l_i; φ) l_i is divided by: "sum", of the weights, or "count", b.
        way: see :func:`~jaxnoisy.weights.lookahead`.
        only: see :func:`~jaxnoisy.weights.lookahead`.
        has_aux: whether ``losses`` returns more.

    Returns:
        A :class:`~jaxnoisy.weights.Learner` with an :class:`MWNetState`. Where a look-ahead is not finite, φ stays.
        Cost: a look-ahead and, in a second step, one more backward pass.

    Raises:
        ValueError: a learning rate or weight decay out of range, no hidden units, or an unknown start or
            normalisation.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import optax
        >>> tx = optax.sgd(0.1)
        >>> of, clean_of = (lambda p, batch: (p - batch) ** 2), (lambda p, clean: (p - clean) ** 2)
        >>> learner = mwnet(jax.random.key(0), of, clean_of, tx)
        >>> params, state = jnp.array(0.0), learner.init(4)
        >>> done = learner.learn(state, params, tx.init(params), jnp.array([2, 0]), jnp.array([1.0, -1.0]), 1.0)
        >>> done.weights.shape, jnp.isnan(learner.weights(done.state)).tolist()
        ((2,), [False, True, False, True])
    """
    check.typed_key(key)
    check.positive_int(hidden, name="hidden")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be positive, but is {learning_rate!r}")
    check.fraction(weight_decay, name="weight_decay")
    check.one_of(start, STARTS, name="start")
    look = lookahead(losses, clean_loss, tx, way=way, normalise=normalise, only=only, has_aux=has_aux)
    step = weighted_step(losses, tx, normalise=normalise, has_aux=has_aux)
    meta = optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(learning_rate))

    def before(params: PyTree, batch: PyTree) -> Array:
        found = losses(params, batch)
        return jax.lax.stop_gradient(found[0] if has_aux else found)

    def learn(state: MWNetState, turn: Turn) -> Learned:
        share = averaged(turn.outside(len(state.last)))
        each = before(turn.params, turn.batch)
        weights, pull = jax.vjp(lambda network: share * value(network, each), state.network)
        ahead = look(turn.params, turn.opt_state, weights, turn.batch, turn.clean)
        good = useful(ahead.clean_loss, ahead.gradient)
        (gradient,) = pull(jnp.where(good, ahead.gradient, 0).astype(weights.dtype))
        updates, meta_state = meta.update(gradient, state.opt_state, state.network)
        moved = optax.apply_updates(state.network, updates), meta_state
        network, meta_state = jax.tree.map(
            lambda new, old: jnp.where(good, new, old), moved, (state.network, state.opt_state)
        )
        skips = counted(state.skips, good, vanished=vanishes(weights))
        new = state._replace(network=network, opt_state=meta_state, skips=skips)
        return taken(new, turn, share, each)._replace(clean_loss=ahead.clean_loss)

    def hold(state: MWNetState, turn: Turn) -> Learned:
        return taken(state, turn, averaged(turn.outside(len(state.last))), before(turn.params, turn.batch))

    def taken(state: MWNetState, turn: Turn, share: Array, each: Array) -> Learned:
        own = value(state.network, each)
        done = step(turn.params, turn.opt_state, share * own, turn.batch)
        last = state.last.at[jnp.where(share > 0, turn.rows, len(state.last))].set(own, mode="drop")
        unseen = jnp.full((), jnp.nan, done.losses.dtype)
        new = state._replace(last=last)
        return Learned(new, done.params, done.opt_state, share * own, done.losses, unseen, done.aux)

    def init(n: int) -> MWNetState:
        network = first(key, hidden, start=start)
        return MWNetState(network, meta.init(network), jnp.full((n,), jnp.nan, jnp.float32), none_yet())

    return learner(init, learn, hold, lambda state: state.last)


def first(key: Key, hidden: int, *, start: str) -> PyTree:
    """The network to begin with, float32."""
    keys = jax.random.split(key, 4)

    def uniform(key: Key, shape: tuple[int, ...], inputs: int) -> Array:
        return jax.random.uniform(key, shape, jnp.float32, -1, 1) / inputs**0.5

    last = {"w": uniform(keys[2], (hidden,), hidden), "b": uniform(keys[3], (), hidden)}
    return {
        "in": {"w": uniform(keys[0], (hidden,), 1), "b": uniform(keys[1], (hidden,), 1)},
        "out": jax.tree.map(jnp.zeros_like, last) if start == "level" else last,
    }


def value(network: PyTree, losses: Array) -> Array:
    """V(l; φ): (b,) weights in (0, 1) of (b,) losses."""
    hidden = jax.nn.relu(losses[:, None].astype(jnp.float32) * network["in"]["w"] + network["in"]["b"])
    return jax.nn.sigmoid(hidden @ network["out"]["w"] + network["out"]["b"])
