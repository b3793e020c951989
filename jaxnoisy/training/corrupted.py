"""A data set with corrupted copies of some of its examples, and the weights under which both are learned."""

import functools
from typing import NamedTuple

import jax
import numpy as np

from jaxnoisy import check
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.noise import corrupted_copies
from jaxnoisy.training.augment import augment
from jaxnoisy.training.normalize import moments
from jaxnoisy.types import Key

JITTER = 0.25
"""Standard deviations of a feature by which its copies differ from it."""

WEIGHTINGS = ("pooled", "balanced")

_BLOCK = 1024


class WithCopies(NamedTuple):
    """n originals and m corrupted copies.

    Attributes:
        data: n + m examples, the copies last, called after their originals.
        corrupted: (n + m,) bool, True for the copies.
        source: (m,) int32, the row of each copy's original.
    """

    data: Dataset
    corrupted: np.ndarray
    source: np.ndarray


def with_corrupted_copies(key: Key, data: Dataset, *, rate: float = 0.1, jitter: float = JITTER) -> WithCopies:
    """Append weakly augmented copies of some examples under labels that are drawn from the other classes.

    Kim et al. (2024), section 4.2; the labels are :func:`jaxnoisy.noise.corrupted_copies`. Images and clips are
    cropped at random after a padding of an eighth of their height, and mirrored with probability 1/2 where they have
    colour: writing and scans have a side that is left. The padding is the mean colour.

    Features cannot be mirrored. What matters of an augmentation here is that a copy is no longer the same input as its
    original, whose label it would otherwise fight at every step, and still lies closer to it than to any other
    example. So normal noise of a quarter of each feature's standard deviation is added, within the feature's range: two
    examples of independent features lie sqrt(2 d) standard deviations apart, a copy and its original a quarter of
    sqrt(d). What is constant stays so. Mixing in
    neighbours or examples of the same class would follow the data more closely, and depend on the labels in question
    or on distances whose meaning is not known.

    Args:
        key: a typed key.
        data: n examples, of at least two classes.
        rate: gamma in (0, 1], the share of the examples that are copied.
        jitter: the standard deviation of the noise on features, in standard deviations of each feature; not read for
            images.

    Returns:
        :class:`WithCopies`; clips lose their flow. Cost: inputs of (1 + rate) n examples on the host.

    Raises:
        ValueError: labels of one class, a rate outside (0, 1], or a jitter that is negative.

    Example:
        >>> import jax
        >>> from jaxnoisy.data import load
        >>> digits = load("digits")
        >>> both = with_corrupted_copies(jax.random.key(0), digits, rate=0.1)
        >>> len(both.data), bool((both.data.labels[1797:] == digits.labels[both.source]).any())
        (1977, False)
    """
    check.typed_key(key)
    check.at_least_two_classes(data.labels)
    if not jitter >= 0:
        raise ValueError(f"jitter must be >= 0, but is {jitter}")
    of_labels, of_inputs = jax.random.split(key)
    drawn = corrupted_copies(num_classes=data.num_classes, rate=rate)(of_labels, data.labels)
    source, labels = np.asarray(drawn.rows), np.asarray(drawn.labels)
    copies = _augmented(of_inputs, data, source) if data.is_images else _jittered(of_inputs, data, source, jitter)
    clean = data.clean_labels
    both = Dataset(
        inputs=np.concatenate([data.inputs, copies]),
        labels=np.concatenate([data.labels, labels]).astype(np.int32),
        class_names=data.class_names,
        ids=np.concatenate([data.ids, _names(data.ids, source)]),
        clean_labels=None if clean is None else np.concatenate([clean, clean[source]]),
        name=data.name,
        skipped=data.skipped,
    )
    return WithCopies(both, np.arange(len(both)) >= len(data), source)


def weights_of_copies(corrupted: np.ndarray, *, weighting: str = "pooled") -> np.ndarray:
    """The weights of examples in the loss that originals and copies are learned under.

    "balanced" is equation 2 of Kim et al. (2024) as printed, mean loss of the originals + mean loss of the copies: with
    n originals and m copies each copy weighs n / m. As :func:`jaxnoisy.training.fit` divides by the sum of weights in a
    batch, what it minimises is half of that, with the same minima. A copy then pulls ten times as hard as an original
    where a tenth was copied, so that copies are memorised before anything else, and stand for what is learned best
    rather than for wrong labels. "pooled" is the mean over all n + m, as when both sets are joined into one: a copy is
    learned as a wrong label among the originals is, which is what copies are for, and so it is the default;
    ``benchmarks/dynacor.py`` compares them.

    Args:
        corrupted: (n + m,) bool, with both values.
        weighting: one of :data:`WEIGHTINGS`.

    Returns:
        (n + m,) float32, 1 for originals.

    Example:
        >>> import numpy as np
        >>> weights_of_copies(np.array([False, False, False, True]), weighting="balanced").tolist()
        [1.0, 1.0, 1.0, 3.0]
    """
    check.one_of(weighting, WEIGHTINGS, name="weighting")
    copies = np.asarray(corrupted, bool)
    heavy = (~copies).sum() / copies.sum() if weighting == "balanced" else 1.0
    return np.where(copies, heavy, 1.0).astype(np.float32)


def _augmented(key: Key, data: Dataset, source: np.ndarray) -> np.ndarray:
    """Weakly augmented images or clips at ``source``, in the dtype of the inputs."""
    mean = moments(data.inputs).mean
    height, colour = data.inputs.shape[-3], data.inputs.shape[-1] == 3
    whole = data.inputs.dtype == np.uint8
    move = jax.jit(functools.partial(augment, flip=colour, crop=max(1, height // 8)))
    out = np.empty((len(source), *data.inputs.shape[1:]), data.inputs.dtype)
    for start in range(0, len(source), _BLOCK):
        block = data.inputs[source[start : start + _BLOCK]].astype(np.float32) - mean
        moved = np.asarray(move(jax.random.fold_in(key, start), block)) + mean
        out[start : start + _BLOCK] = np.clip(np.rint(moved), 0, 255) if whole else moved
    return out


def _jittered(key: Key, data: Dataset, source: np.ndarray, jitter: float) -> np.ndarray:
    """Features at ``source`` with noise, within the range of each feature, in the dtype of the inputs."""
    low, high = (np.asarray(limit(data.inputs, axis=0), np.float32) for limit in (np.min, np.max))
    spread = np.where(high > low, moments(data.inputs).std, 0)
    noise = np.asarray(jax.random.normal(key, (len(source), data.inputs.shape[1])))
    copies = np.clip(data.inputs[source] + jitter * spread * noise, low, high)
    return (np.rint(copies) if data.inputs.dtype == np.uint8 else copies).astype(data.inputs.dtype)


def _names(ids: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Names of the copies, which no original has."""
    names = np.char.add(ids[source], " (copy)")
    while np.isin(names, ids).any():
        names = np.char.add(names, " (copy)")
    return names
