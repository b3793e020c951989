"""The network of the learned detector: LSTM layers over a sequence of signals, and one logit of being mislabeled."""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check, recurrence
from jaxnoisy.recurrence import LSTMLayer
from jaxnoisy.types import Array, ArrayLike, Key

CPU_BLOCK = 128
"""Examples scored at once on a CPU: the states of a block stay in a core's cache over all steps."""

ACCELERATOR_BLOCK = 1 << 14


class LSTMWeights(NamedTuple):
    """Everything that is learned.

    Attributes:
        layers: the stack, see :class:`~jaxnoisy.recurrence.LSTMLayer`.
        head: (h,) the last state's weights.
        offset: () added to the logit.
    """

    layers: tuple[LSTMLayer, ...]
    head: ArrayLike
    offset: ArrayLike


def init(key: Key, *, signals: int, hidden: int, layers: int) -> LSTMWeights:
    """Draw a network of ``layers`` x ``hidden`` for ``signals`` values per step; the head is LeCun normal."""
    check.typed_key(key)
    of_layers, of_head = jax.random.split(key)
    stack = recurrence.init(of_layers, features=signals, hidden=hidden, layers=layers)
    return LSTMWeights(stack, jax.random.normal(of_head, (hidden,)) / jnp.sqrt(hidden), jnp.zeros(()))


def logits(weights: LSTMWeights, sequences: Array) -> Array:
    """(n,) the log odds of being mislabeled, for sequences (n, t, s). Cost: see ``recurrence.last_state``."""
    return recurrence.last_state(weights.layers, sequences) @ weights.head + weights.offset


_compiled_logits = jax.jit(logits)


def scored(weights: LSTMWeights, sequences: np.ndarray) -> np.ndarray:
    """(n,) float32 logits of sequences on the host, block by block."""
    return in_blocks(functools.partial(_compiled_logits, weights), sequences)


def in_blocks(function: Callable[[np.ndarray], ArrayLike], rows: np.ndarray) -> np.ndarray:
    """Apply ``function``, (block, ...) -> (block,), to blocks of rows and join what it returns.

    Blocks have one size, so that one program serves any number of examples, and what an example gets does not depend on
    those beside it. On a CPU every core takes a block of its own: within one, the products are too small to be shared.
    """
    on_cpu = jax.default_backend() == "cpu"
    block = CPU_BLOCK if on_cpu else ACCELERATOR_BLOCK
    workers = len(os.sched_getaffinity(0)) if on_cpu and hasattr(os, "sched_getaffinity") else 2

    def of_block(part: np.ndarray) -> np.ndarray:
        filled = np.zeros((block, *part.shape[1:]), np.float32)
        filled[: len(part)] = part
        return np.asarray(function(filled))[: len(part)]

    # The first block compiles the program that the others then share.
    results = [of_block(rows[:block])]
    rest = (rows[start : start + block] for start in range(block, len(rows), block))
    with ThreadPoolExecutor(workers) as pool:
        results.extend(pool.map(of_block, rest))
    return np.concatenate(results)
