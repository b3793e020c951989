"""Meta-Weight-Net: a small network that learns which weight a loss deserves."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnoisy import check
from jaxnoisy.types import Array, Key, PyTree
from jaxnoisy.weights.learner import Learned, Learner, averaged, present
from jaxnoisy.weights.lookahead import CleanLoss, lookahead
from jaxnoisy.weights.skips import Skips, counted, none_yet, useful
from jaxnoisy.weights.step import Losses, weighted_step

HIDDEN = 100


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
    way: str = "forward",
    only: Callable[[str, Any], bool] | None = None,
    has_aux: bool = False,
) -> Learner:
    """Learn a function from an example's loss to its weight, by a clean loss one step ahead.

    Shu et al. 2019, "Meta-Weight-Net: learning an explicit mapping for sample weighting", equations 3 to 5. The weight
    is V(l_i; φ), a network of one hidden layer of ReLU with a sigmoid at its end, of the loss as a given number. A
    step on Σ_i V(l_i; φ) l_i / b is looked at, φ moves by Adam against the derivative of the clean loss after it, and
    the step is then taken anew with the weights that the new φ gives.

    Args:
        key: typed key, of the first φ: both layers uniform within the inverse square root of their inputs.
        losses: ``losses(params, batch) -> (b,)``; with ``has_aux``, ``((b,), aux)``.
        clean_loss: ``clean_loss(params, clean) -> scalar``. The scale of it has no effect.
        tx: the optax transformation that trains the model.
        learning_rate: of φ.
        weight_decay: of φ, added to its gradient.
        hidden: units.
        way: see :func:`~jaxnoisy.weights.lookahead`.
        only: see :func:`~jaxnoisy.weights.lookahead`.
        has_aux: whether ``losses`` returns more.

    Returns:
        A :class:`~jaxnoisy.weights.Learner` with an :class:`MWNetState`. Where a look-ahead is not finite, φ stays.
        Cost: a look-ahead and, in a second step, one more backward pass.

    Raises:
        ValueError: a learning rate or weight decay out of range, or no hidden units.

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
    look = lookahead(losses, clean_loss, tx, way=way, normalise="count", only=only, has_aux=has_aux)
    step = weighted_step(losses, tx, normalise="count", has_aux=has_aux)
    meta = optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(learning_rate))

    def before(params: PyTree, batch: PyTree) -> Array:
        found = losses(params, batch)
        return jax.lax.stop_gradient(found[0] if has_aux else found)

    def learn(
        state: MWNetState,
        params: PyTree,
        opt_state: PyTree,
        rows: Array,
        batch: PyTree,
        clean: PyTree,
        given: Array | None = None,
    ) -> Learned:
        share = averaged(present(rows, given, len(state.last)))
        each = before(params, batch)
        weights, pull = jax.vjp(lambda network: share * value(network, each), state.network)
        ahead = look(params, opt_state, weights, batch, clean)
        good = useful(ahead.clean_loss, ahead.gradient)
        (gradient,) = pull(jnp.where(good, ahead.gradient, 0).astype(weights.dtype))
        updates, meta_state = meta.update(gradient, state.opt_state, state.network)
        moved = optax.apply_updates(state.network, updates), meta_state
        network, meta_state = jax.tree.map(
            lambda new, old: jnp.where(good, new, old), moved, (state.network, state.opt_state)
        )
        new = state._replace(network=network, opt_state=meta_state, skips=counted(state.skips, good))
        return _taken(new, params, opt_state, rows, batch, share, each)._replace(clean_loss=ahead.clean_loss)

    def hold(
        state: MWNetState,
        params: PyTree,
        opt_state: PyTree,
        rows: Array,
        batch: PyTree,
        given: Array | None = None,
    ) -> Learned:
        share = averaged(present(rows, given, len(state.last)))
        return _taken(state, params, opt_state, rows, batch, share, before(params, batch))

    def _taken(
        state: MWNetState, params: PyTree, opt_state: PyTree, rows: Array, batch: PyTree, share: Array, each: Array
    ) -> Learned:
        own = value(state.network, each)
        done = step(params, opt_state, share * own, batch)
        last = state.last.at[jnp.where(share > 0, rows, len(state.last))].set(own, mode="drop")
        unseen = jnp.full((), jnp.nan, done.losses.dtype)
        new = state._replace(last=last)
        return Learned(new, done.params, done.opt_state, share * own, done.losses, unseen, done.aux)

    def init(n: int) -> MWNetState:
        check.positive_int(n, name="n")
        network = first(key, hidden)
        return MWNetState(network, meta.init(network), jnp.full((n,), jnp.nan, jnp.float32), none_yet())

    return Learner(init, learn, hold, lambda state: state.last)


def first(key: Key, hidden: int) -> PyTree:
    """The network to begin with, float32."""
    keys = jax.random.split(key, 4)

    def uniform(key: Key, shape: tuple[int, ...], inputs: int) -> Array:
        return jax.random.uniform(key, shape, jnp.float32, -1, 1) / inputs**0.5

    return {
        "in": {"w": uniform(keys[0], (hidden,), 1), "b": uniform(keys[1], (hidden,), 1)},
        "out": {"w": uniform(keys[2], (hidden,), hidden), "b": uniform(keys[3], (), hidden)},
    }


def value(network: PyTree, losses: Array) -> Array:
    """V(l; φ): (b,) weights in (0, 1) of (b,) losses."""
    hidden = jax.nn.relu(losses[:, None].astype(jnp.float32) * network["in"]["w"] + network["in"]["b"])
    return jax.nn.sigmoid(hidden @ network["out"]["w"] + network["out"]["b"])
