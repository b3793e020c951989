"""Checks of arguments at the boundary: each says what was given, what is expected, and how to mend it.

Values are looked at only where they are concrete. Under ``jit`` an argument is a tracer: its shape and dtype are
checked while tracing, its values are not.
"""

import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from jaxnoisy.types import ArrayLike


def is_concrete(x: Any) -> bool:
    """Whether the values of ``x`` can be looked at here (they cannot inside ``jit``, ``vmap`` or ``grad``)."""
    return not isinstance(x, jax.core.Tracer)


def values(x: Any) -> np.ndarray:
    """The values of ``x`` on this host, also of an array of which other processes hold parts.

    These are collected, so that every process must come here, as it must wherever it computes with such an array.
    """
    if isinstance(x, jax.Array) and not x.is_fully_addressable and not x.is_fully_replicated:
        return np.asarray(multihost_utils.process_allgather(x, tiled=True))
    return np.asarray(x)


def labels(y: Any, *, num_classes: int | None = None, n: int | None = None, name: str = "labels") -> np.ndarray:
    """Return the class labels ``y`` as int32 of shape (n,), or say what is wrong with them.

    Args:
        y: integers of shape (n,), each in [0, c).
        num_classes: c, where it is known.
        n: the number of examples they belong to, where it is known.
        name: what the message calls them.

    Raises:
        TypeError: not integers.
        ValueError: not one-dimensional, empty, of another length, or out of range.
    """
    a = values(y)
    if a.ndim != 1:
        raise ValueError(f"{name} must have shape (n,), one class number per example, but has shape {a.shape}")
    if a.size == 0:
        raise ValueError(f"{name} is empty: at least one example is needed")
    if not np.issubdtype(a.dtype, np.integer):
        raise TypeError(
            f"{name} must be integers 0, 1, ..., but has dtype {a.dtype} (first value {a[:1].tolist()[0]!r})"
        )
    if n is not None and a.size != n:
        raise ValueError(f"{name} has {a.size} entries for {n} examples: give one label per example, in the same order")
    low, high = int(a.min()), int(a.max())
    if low < 0:
        where = int(np.argmin(a))
        raise ValueError(f"{name}[{where}] is {low}: labels are numbered from 0; leave out examples without a label")
    if high > np.iinfo(np.int32).max:
        where = int(np.argmax(a))
        raise ValueError(f"{name}[{where}] is {high}, larger than any class number: number the classes from 0")
    if num_classes is not None and high >= num_classes:
        where = int(np.argmax(a))
        raise ValueError(
            f"{name}[{where}] is {high}, but there are {num_classes} classes, numbered 0 to {num_classes - 1}"
        )
    return a.astype(np.int32)


def at_least_two_classes(y: np.ndarray, *, name: str = "labels") -> None:
    """Refuse labels that name one class only: nothing can then be mislabeled, and no classifier can be trained."""
    if int(y.min()) == int(y.max()):
        raise ValueError(f"{name} holds one class only ({int(y[0])}): mislabeled examples need at least two classes")


def label_array(y: ArrayLike, *, num_classes: int | None = None, name: str = "labels") -> jax.Array:
    """Like :func:`labels` for arrays that may be tracers; returns a device array of the dtype given."""
    if is_concrete(y):
        labels(y, num_classes=num_classes, name=name)
    else:
        if y.ndim != 1:
            raise ValueError(f"{name} must have shape (n,), but has shape {y.shape}")
        if not jnp.issubdtype(y.dtype, jnp.integer):
            raise TypeError(f"{name} must be integers, but has dtype {y.dtype}")
    return jnp.asarray(y)


def finite(x: Any, *, name: str) -> None:
    """Refuse NaN and infinity in arrays that are concrete, naming the first one.

    A device answers with one number, so that nothing is copied where all is well. Of an array that several processes
    share, each names what it holds itself.
    """
    if isinstance(x, jax.Array):
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            return
        # Also for arrays that a function being traced closes over.
        with jax.ensure_compile_time_eval():
            if bool(jnp.isfinite(x).all()):
                return
        if not x.is_fully_addressable and not x.is_fully_replicated:
            raise ValueError(f"{name} has values that are not finite{_held(x)}: {_MEND}")
    a = np.asarray(x)
    if not jnp.issubdtype(a.dtype, jnp.inexact):
        return
    good = np.isfinite(a)
    if not good.all():
        where = _first(~good)
        bad = int(a.size - np.count_nonzero(good))
        raise ValueError(
            f"{name} has {bad} values that are not finite, the first, {a[where]}, at index {where}: {_MEND}"
        )


_MEND = "fill them in or leave those examples out"


def _held(x: jax.Array) -> str:
    """Which value that is not finite this process holds."""
    for shard in x.addressable_shards:
        bad = ~np.isfinite(np.asarray(shard.data))
        if bad.any():
            inside = _first(bad)
            where = tuple(i + (part.start or 0) for i, part in zip(inside, shard.index))
            return f", such as {np.asarray(shard.data)[inside]} at index {where}"
    return ", which other processes hold"


def _first(marked: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(marked)[0])


def probabilities(p: Any, *, n: int | None = None, name: str = "pred_probs") -> np.ndarray:
    """Return class probabilities as floats of shape (n, c), or say what is wrong with them.

    Rows must be nonnegative and sum to 1 within 1e-3; they are not normalised here.
    """
    a = np.asarray(p)
    if a.ndim != 2 or a.shape[1] < 2:
        raise ValueError(f"{name} must have shape (n, c) with c >= 2 classes, but has shape {a.shape}")
    if a.shape[0] == 0:
        raise ValueError(f"{name} is empty: at least one example is needed")
    if not np.issubdtype(a.dtype, np.floating):
        raise TypeError(f"{name} must be floating point, but has dtype {a.dtype}")
    if n is not None and a.shape[0] != n:
        raise ValueError(f"{name} has {a.shape[0]} rows for {n} labels: give one row per example, in the same order")
    finite(a, name=name)
    sums = a.sum(axis=1, dtype=np.float64)
    wrong = (a < 0).any(axis=1) | (np.abs(sums - 1) > 1e-3)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(
            f"{name}[{i}] is not a distribution (sum {sums[i]:.4g}, smallest entry {a[i].min():.4g}): "
            "apply a softmax to logits first"
        )
    return a


def fraction(value: float, *, name: str, low: float = 0.0, high: float = 1.0, open_low: bool = False) -> float:
    """Return ``value`` if it lies in [low, high], or in (low, high] with ``open_low``."""
    v = float(value)
    if not (v > low if open_low else v >= low) or not v <= high:
        raise ValueError(f"{name} must lie in {'(' if open_low else '['}{low:g}, {high:g}], but is {value!r}")
    return v


def positive_int(value: int, *, name: str, minimum: int = 1) -> int:
    """Return ``value`` if it is a whole number of at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
        raise ValueError(f"{name} must be a whole number >= {minimum}, but is {value!r}")
    return int(value)


def one_of(value: str, choices: Sequence[str], *, name: str) -> str:
    """Return ``value`` if it is among ``choices``, which the message lists otherwise."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, but is {value!r}")
    return value


def typed_key(key: Any) -> None:
    """Refuse anything but one typed random key."""
    if not (isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ()):
        raise TypeError(f"key must be a single typed key, jax.random.key(seed), but is {key!r}")


def existing_file(path: str | os.PathLike[str], *, name: str) -> str:
    """Return ``path`` if a regular file lies there."""
    p = os.fspath(path)
    if not os.path.isfile(p):
        what = "is a directory" if os.path.isdir(p) else "does not exist"
        raise ValueError(f"{name}: {p!r} {what}: give the path of a file")
    return p
