"""What every rule that learns sample weights is made of, so that one training step serves them all."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from jaxnoisy import check
from jaxnoisy.types import Array, Key, PyTree

CLEAN_BATCH = 250
"""Clean examples a look-ahead, as Hoang et al. take them."""


class Learned(NamedTuple):
    """After one training step with learned weights.

    Attributes:
        state: of the rule.
        params: of the model.
        opt_state: of the optimizer.
        weights: (b,) by which the step was taken; 0 for padding.
        losses: (b,) of each example before the step.
        clean_loss: () after the step that was looked at; NaN where none was.
        aux: what the losses returned besides.
    """

    state: Any
    params: PyTree
    opt_state: PyTree
    weights: Array
    losses: Array
    clean_loss: Array
    aux: PyTree


class Turn(NamedTuple):
    """What a rule is given for one training step, besides its own state."""

    params: PyTree
    opt_state: PyTree
    rows: Array
    batch: PyTree
    clean: PyTree
    given: Array | None

    def outside(self, n: int) -> Array:
        """(b,) float32: the weights from outside, 0 for padding; n is the number of training examples."""
        inside = (self.rows < n).astype(jnp.float32)
        return inside if self.given is None else inside * self.given


class _Learn(Protocol):
    def __call__(
        self,
        state: Any,
        params: PyTree,
        opt_state: PyTree,
        rows: Array,
        batch: PyTree,
        clean: PyTree,
        given: Array | None = None,
    ) -> Learned: ...


class _Hold(Protocol):
    def __call__(
        self,
        state: Any,
        params: PyTree,
        opt_state: PyTree,
        rows: Array,
        batch: PyTree,
        given: Array | None = None,
    ) -> Learned: ...


class Learner(NamedTuple):
    """A rule that learns a weight for each of n training examples while a model trains: pure functions.

    Attributes:
        init: ``init(n)``, the state to begin with. Its arrays of length n may be split along the examples.
        learn: ``learn(state, params, opt_state, rows, batch, clean, given=None) -> Learned``: a training step that
            looks at the clean batch and learns from it. ``rows`` (b,) says which examples the batch holds; a row of n
            or more is padding. ``given`` (b,) are weights from outside that multiply the learned ones; 0 for padding,
            too, and 1 by default.
        hold: the same without ``clean``: a training step by the weights as they stand, for the epochs before learning
            begins and between look-aheads that are refreshed every k steps only. Of two jitted functions call the one
            that is :func:`due`; a ``lax.cond`` between them does the same, but not on CPUs where there are
            convolutions, which XLA makes many times slower there.
        weights: ``weights(state) -> (n,)``, as they stand.
    """

    init: Callable[[int], Any]
    learn: _Learn
    hold: _Hold
    weights: Callable[[Any], Array]


def learner(
    init: Callable[[int], Any],
    learn: Callable[[Any, Turn], Learned],
    hold: Callable[[Any, Turn], Learned],
    weights: Callable[[Any], Array],
) -> Learner:
    """Make a :class:`Learner` of a rule's functions, which take its state and a :class:`Turn`."""

    def learns(
        state: Any,
        params: PyTree,
        opt_state: PyTree,
        rows: Array,
        batch: PyTree,
        clean: PyTree,
        given: Array | None = None,
    ) -> Learned:
        return learn(state, Turn(params, opt_state, rows, batch, clean, given))

    def holds(
        state: Any, params: PyTree, opt_state: PyTree, rows: Array, batch: PyTree, given: Array | None = None
    ) -> Learned:
        return hold(state, Turn(params, opt_state, rows, batch, None, given))

    def begins(n: int) -> Any:
        return init(check.positive_int(n, name="n"))

    return Learner(begins, learns, holds, weights)


def due(step: Array | int, *, start: int = 0, every: int = 1) -> Array | bool:
    """Whether a step, counted from 0, is one of the steps start, start + every, start + 2 every, ... that learn.

    Example:
        >>> [due(step, start=2, every=3) for step in range(7)]
        [False, False, True, False, False, True, False]
    """
    return (step >= start) & ((step - start) % every == 0)


def draw_clean(key: Key, m: int, *, size: int = CLEAN_BATCH) -> Array:
    """Rows of the clean examples that a look-ahead takes: ``min(size, m)`` different ones at random.

    Draw them by a key of the step's own, so that they are independent of the batch and of each other.

    Args:
        key: typed key.
        m: number of clean examples.
        size: how many to take.

    Returns:
        (min(size, m),) int32. Cost O(m log m).

    Example:
        >>> import jax
        >>> draw_clean(jax.random.key(0), 1000).shape, sorted(draw_clean(jax.random.key(0), 3).tolist())
        ((250,), [0, 1, 2])
    """
    check.positive_int(m, name="m, the number of clean examples,")
    check.positive_int(size, name="size")
    return jax.random.permutation(key, jnp.arange(m, dtype=jnp.int32))[: min(size, m)]


def averaged(given: Array) -> Array:
    """Weights from outside made to have mean 1 over a batch, so that padding takes no part in a mean over b."""
    return given * len(given) / jnp.maximum(given.sum(), jnp.finfo(given.dtype).tiny)
