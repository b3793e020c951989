"""Look-aheads that came to no number: left out, counted, and refused when there are too many in a row."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxnoisy import check
from jaxnoisy.types import Array

MOST_IN_A_ROW = 20


class Skips(NamedTuple):
    """Counts of look-aheads, () int32 each.

    Attributes:
        looked: how many there were.
        skipped: of these, how many taught nothing because the clean loss or a gradient was not finite.
        in_a_row: how many of the last ones were skipped one after the other.
        longest: the most that were skipped one after the other.
        vanished: batches in which all weights were 0, so that there was nothing to divide by.
    """

    looked: Array
    skipped: Array
    in_a_row: Array
    longest: Array
    vanished: Array


def none_yet() -> Skips:
    """Before the first look-ahead."""
    return Skips(*(jnp.zeros((), jnp.int32) for _ in Skips._fields))


def useful(clean_loss: Array, gradient: Array) -> Array:
    """() bool: whether a look-ahead came to numbers."""
    return jnp.isfinite(clean_loss) & jnp.isfinite(gradient).all()


def counted(skips: Skips, good: Array, *, vanished: Array | bool = False) -> Skips:
    """Count one more look-ahead."""
    in_a_row = jnp.where(good, 0, skips.in_a_row + 1)
    return Skips(
        skips.looked + 1,
        skips.skipped + ~good,
        in_a_row,
        jnp.maximum(skips.longest, in_a_row),
        skips.vanished + jnp.asarray(vanished, jnp.int32),
    )


def refuse_many_skips(state: Any, *, most: int = MOST_IN_A_ROW) -> None:
    """Stop a run, between jitted steps, in which look-ahead after look-ahead came to no number.

    Args:
        state: of any rule here; it has ``skips``.
        most: how many in a row are borne.

    Raises:
        FloatingPointError: there were more.
    """
    check.positive_int(most, name="most", minimum=0)
    longest = int(state.skips.longest)
    if longest > most:
        raise FloatingPointError(
            f"the clean loss after a step was not finite {longest} times in a row ({int(state.skips.skipped)} of "
            f"{int(state.skips.looked)} look-aheads in all), so that no weights can be learned from it: look for "
            "inputs that are not finite among the clean examples, or lower the learning rate"
        )
