"""The recorder on the device: a scatter into donated (n, t) buffers inside the training step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.dynamics.observation import FLOAT_FIELDS, Observation, class_dtype, observe
from jaxnoisy.dynamics.trace import Trace, mean_probabilities
from jaxnoisy.types import Array, ArrayLike


class RecorderState(NamedTuple):
    """Buffers that live on the device and are donated from step to step.

    Attributes:
        seen: the :class:`~jaxnoisy.dynamics.observation.Observation` of every example and epoch, fields (n, t).
        prob_sum: (n, c) float32 sum of the class probabilities over the recorded epochs, or None when not asked for.
    """

    seen: Observation
    prob_sum: Array | None


def init(
    n: int, epochs: int, num_classes: int, *, dtype: jnp.dtype | type = jnp.float32, probabilities: bool = False
) -> RecorderState:
    """Empty buffers for n examples and t epochs.

    Args:
        n: number of training examples.
        epochs: t, the columns. To spill to disk give 1, write the column out after each epoch, and :func:`clear`.
        num_classes: c; decides the integer width of the stored class.
        dtype: storage of the four float fields. float16 halves the memory; relative error 2^-11 per entry.
        probabilities: also keep the running sum of the (n, c) class probabilities; confident learning needs their mean.

    Memory: n t (4 bytes(dtype) + bytes(class)), and 4 n c for the probabilities. One million examples over 100 epochs
    with ten classes take 1.7 GB in float32 and 0.9 GB in float16; shard along n to divide that by the devices.
    """
    check.positive_int(n, name="n")
    check.positive_int(epochs, name="epochs")
    check.positive_int(num_classes, name="num_classes", minimum=2)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"dtype must be a floating point type, but is {dtype}")
    floats = {name: jnp.full((n, epochs), jnp.nan, dtype) for name in FLOAT_FIELDS}
    seen = Observation(**floats, argmax=jnp.full((n, epochs), -1, class_dtype(num_classes)))
    return RecorderState(seen, jnp.zeros((n, num_classes), jnp.float32) if probabilities else None)


def record(state: RecorderState, epoch: Array | int, indices: Array, labels: Array, logits: Array) -> RecorderState:
    """Write what a batch's logits say into column ``epoch`` of the buffers.

    Args:
        state: from :func:`init`; donate it to the surrounding ``jit``.
        epoch: the column, 0 <= epoch < t.
        indices: (b,) row of each example. A row >= n is left out, which is how padding is marked.
        labels: (b,) given labels.
        logits: (b, c), as the step computed them; no gradient flows through here.

    Returns:
        The next state. Cost: O(b c) flops and one scatter of b rows per field, on the device; nothing goes to the host.

    Example:
        >>> import jax.numpy as jnp
        >>> state = init(4, 2, num_classes=3)
        >>> state = record(state, 0, jnp.array([2]), jnp.array([1]), jnp.array([[0.0, 2.0, 1.0]]))
        >>> int(state.seen.argmax[2, 0]), int(state.seen.argmax[0, 0])
        (1, -1)
    """
    logits = jax.lax.stop_gradient(logits)
    column = observe(logits, labels)
    seen = jax.tree.map(
        lambda buffer, value: buffer.at[indices, epoch].set(value.astype(buffer.dtype), mode="drop"), state.seen, column
    )
    prob_sum = state.prob_sum
    if prob_sum is not None:
        probs = jnp.exp(logits.astype(jnp.float32) - column.log_normalizer[:, None].astype(jnp.float32))
        prob_sum = prob_sum.at[indices].add(probs, mode="drop")
    return RecorderState(seen, prob_sum)


def finish(
    state: RecorderState, labels: ArrayLike, *, num_classes: int, mode: str = "train", fingerprint: str = ""
) -> Trace:
    """Bring a finished recording to the host.

    Args:
        state: of n rows or more; rows past the labels are padding of a sharded buffer.
        labels: (n,) given labels.
        num_classes: c.
        mode: "train" or "eval", how the logits were taken.
        fingerprint: of the data set.

    Returns:
        The :class:`~jaxnoisy.dynamics.trace.Trace`, in host memory.
    """
    given = check.labels(labels, num_classes=num_classes)
    seen = jax.tree.map(lambda x: np.asarray(x)[: len(given)], state.seen)
    prob_sum = None if state.prob_sum is None else np.asarray(state.prob_sum)[: len(given)]
    mean_probs = mean_probabilities(prob_sum, seen.argmax)
    return Trace(given, seen, num_classes, mean_probs, mode=mode, fingerprint=fingerprint)


def epochs(state: RecorderState) -> int:
    """The number of columns of the buffers."""
    return int(state.seen.argmax.shape[1])


def clear(state: RecorderState) -> RecorderState:
    """The same buffers emptied, for the next window of epochs after this one was written to disk.

    The sum of probabilities is kept: it runs over all epochs.
    """
    floats = {name: jnp.full_like(getattr(state.seen, name), jnp.nan) for name in FLOAT_FIELDS}
    return RecorderState(Observation(**floats, argmax=jnp.full_like(state.seen.argmax, -1)), state.prob_sum)
