"""DynaCor: wrong labels are the cluster of dynamics in which deliberately corrupted copies lie."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.detect import dynacor_fit
from jaxnoisy.detect.detection import Detection
from jaxnoisy.detect.dynacor_config import DynaCorConfig
from jaxnoisy.detect.dynacor_fit import FitHistory
from jaxnoisy.detect.dynacor_network import Weights, q_noisy, represent
from jaxnoisy.detect.lstm_network import in_blocks
from jaxnoisy.detect.methods import MIN_EPOCHS
from jaxnoisy.detect.reduce import mean_over_epochs
from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.inputs import sequences
from jaxnoisy.dynamics.trace import Trace
from jaxnoisy.types import Array, ArrayLike, Key

THRESHOLD = 0.5 + 1e-6
"""Chances above it are flagged. Where all dynamics are the same, rounding must not flag them."""

_DRAWN = 512
_TIE = 1e-9  # less than the distance of two different chances, which are float32 in [1/4, 3/4]

DynamicsDetector: TypeAlias = Callable[[Key, Trace, ArrayLike], Detection]


class Drawn(NamedTuple):
    """A sample of examples for figures, at most 512 originals and as many corrupted copies.

    Attributes:
        rows: (k,) rows of the trace, ascending.
        corrupted: (k,) bool.
        scores: (k,) assignments to the noisy cluster.
        representations: (k, d) float32.
    """

    rows: np.ndarray
    corrupted: np.ndarray
    scores: np.ndarray
    representations: np.ndarray


class DynaCorInfo(NamedTuple):
    """How the clusters were found. There are r candidates, every alpha from every seed, and e epochs.

    Attributes:
        signal: what was read of each epoch.
        metric: (r, e + 1) validation metric (equation 9); entry 0 is the untrained encoder.
        alphas: (r,) of each candidate.
        seeds: (r,) number of the encoder that each candidate started from.
        candidate: the one chosen.
        epoch: its epoch that was kept; 0 is the untrained encoder.
        cluster: (r, e + 1) mean clustering loss over each epoch's steps; NaN at entry 0.
        align: (r, e + 1) the same of the alignment loss.
        weights: the encoder and centroids kept.
        copies_found: share of the corrupted copies that are assigned to the noisy cluster.
        dynamics: (2, 2, t) mean of the signal: of originals and of corrupted copies, taken for clean and for noisy; NaN
            for an empty group.
        counts: (2, 2) how many of each.
        drawn: a sample for figures.
        remark: what to know of clusters that do not part the examples, or "".
    """

    signal: str
    metric: np.ndarray
    alphas: np.ndarray
    seeds: np.ndarray
    candidate: int
    epoch: int
    cluster: np.ndarray
    align: np.ndarray
    weights: Weights
    copies_found: float
    dynamics: np.ndarray
    counts: np.ndarray
    drawn: Drawn
    remark: str


def dynacor(config: DynaCorConfig | None = None) -> DynamicsDetector:
    """The score is the chance of belonging to the cluster of dynamics that deliberately corrupted copies form.

    Kim et al. (2024), "Learning discriminative dynamics with label corruption for noisy label detection", section 4.4.
    An encoder and two centroids are trained without any clean label, from several starts and with several weights of
    the alignment loss at once; of all epochs of all of them, the untrained encoders included, the one of the highest
    validation metric is kept (equation 9). An example is flagged where its chance exceeds 1/2. Of two with the same
    chance, and signs of margins take few values, the one of the lower mean margin is ranked first: scores differ by at
    most 1e-9 from the chances for that.

    Nothing here asks where the trace comes from: any one will do in which some examples, perhaps copies, are known to
    carry labels that were drawn at random.

    Args:
        config: by default ``DynaCorConfig()``.

    Returns:
        ``detect(key, trace, corrupted) -> Detection``: the trace holds n originals and m corrupted copies in any order,
        ``corrupted``, (n + m,) bool, tells which, and the detection is of the n originals in their order, with a
        :class:`DynaCorInfo`. It does not depend on the order of the examples. Where all originals are flagged, or none,
        ``info.remark`` says so. Cost: about three times the forward passes of alphas x seeds x epochs x steps x
        batch_size dynamics, whatever n is, and one forward pass of n + m.

    Raises:
        TypeError: from ``detect``, not a typed key.
        ValueError: from ``detect``, a trace of fewer than 3 epochs or of one class, with examples that were never
            recorded or values that are not finite, or a mask that does not fit, or marks none or all.

    Example:
        >>> import jax, numpy as np
        >>> from jaxnoisy.dynamics import Observation, Trace
        >>> corrupted = np.arange(60) >= 50
        >>> learned = np.where(corrupted | (np.arange(60) < 5), 7, 1)[:, None] <= np.arange(9)
        >>> p = np.where(learned, 0.9, 0.1)
        >>> seen = Observation(np.log(p), np.log(1 - p), 2 * (1 - p) ** 2, 0 * p, np.where(learned, 0, 1))
        >>> trace, detect = Trace(np.arange(60) % 2, seen, 2), dynacor(DynaCorConfig(epochs=2, seeds=1, widths=(8,)))
        >>> found = detect(jax.random.key(0), trace, corrupted)
        >>> np.flatnonzero(found.flagged).tolist()
        [0, 1, 2, 3, 4]
    """
    config = config or DynaCorConfig()

    def detect(key: Key, trace: Trace, corrupted: ArrayLike) -> Detection:
        check.typed_key(key)
        copies = _checked(trace, corrupted)
        values = sequences(trace, signals=(config.signal,))[..., 0]
        # In an order of their own, so that batches hold the same dynamics however the examples are ordered.
        order = np.lexsort((*values.T, copies))
        weights, history = search(key, values[order], copies[order], config)
        reached = history.metric[np.arange(len(history.best)), history.best]
        chosen = int(reached.argmax())
        kept = jax.tree.map(lambda array: np.asarray(array[chosen]), weights)
        chances = in_blocks(functools.partial(_scored, jax.device_put(kept)), values)
        scores = ranking(chances, trace)
        noisy = scores > THRESHOLD
        groups = [[side & ~noisy, side & noisy] for side in (~copies, copies)]
        info = DynaCorInfo(
            signal=config.signal,
            metric=np.asarray(history.metric),
            alphas=np.tile(np.asarray(config.alphas, np.float64), config.seeds),
            seeds=np.repeat(np.arange(config.seeds), len(config.alphas)),
            candidate=chosen,
            epoch=int(history.best[chosen]),
            cluster=np.asarray(history.losses.cluster),
            align=np.asarray(history.losses.align),
            weights=kept,
            copies_found=float(noisy[copies].mean()),
            dynamics=np.stack([[_mean(values[group]) for group in side] for side in groups]),
            counts=np.array([[int(group.sum()) for group in side] for side in groups]),
            drawn=_drawn(kept, values, copies, scores),
            remark=_remark(noisy[~copies], noisy[copies]),
        )
        return Detection(scores[~copies], noisy[~copies], THRESHOLD, info)

    return detect


def search(
    key: Key,
    values: ArrayLike,
    corrupted: ArrayLike,
    config: DynaCorConfig,
    *,
    observe: Callable[[Weights], Any] | None = None,
) -> tuple[Weights, FitHistory]:
    """Run :func:`~jaxnoisy.detect.dynacor_fit.fit` from every seed with every alpha, in one compiled program.

    Args:
        key: a typed key.
        values: (n, t) float32 dynamics.
        corrupted: (n,) bool, with both values.
        config: see :class:`~jaxnoisy.detect.dynacor_config.DynaCorConfig`.
        observe: as in ``fit``.

    Returns:
        Weights and history as NumPy arrays with a leading axis of seeds x alphas, the alphas of a seed side by side.
    """
    of_rows, of_fits = jax.random.split(key)
    copies = np.asarray(corrupted)
    rows = _at_most(of_rows, copies, config.validation)
    keys = jnp.repeat(jax.random.split(of_fits, config.seeds), len(config.alphas))
    alphas = np.tile(np.asarray(config.alphas, np.float32), config.seeds)
    # What the program does not read would only make another one of the same.
    config = dataclasses.replace(config, signal="quantised-margin", alphas=(0.0,), seeds=1, validation=1)
    return jax.device_get(_search(keys, values, copies, rows, alphas, config=config, observe=observe))


def ranking(chances: ArrayLike, trace: Trace) -> np.ndarray:
    """(n,) float64 scores that rank by ``chances``, float32, and those of equal chances by their mean margin.

    Each is raised by at most 1e-9, by the share of all examples whose mean margin is larger.
    """
    margins = -mean_over_epochs(trace, signals.margin)
    return np.asarray(chances, np.float64) + _TIE * np.searchsorted(np.sort(margins), margins) / len(margins)


@functools.partial(jax.jit, static_argnames=("config", "observe"))
def _search(
    keys: Key,
    values: Array,
    corrupted: Array,
    rows: Array,
    alphas: Array,
    *,
    config: DynaCorConfig,
    observe: Callable[[Weights], Any] | None,
) -> tuple[Weights, FitHistory]:
    fit = functools.partial(dynacor_fit.fit, config=config, observe=observe)
    return jax.vmap(fit, in_axes=(0, None, None, None, 0))(keys, values, corrupted, rows, alphas)


@jax.jit
def _scored(weights: Weights, values: Array) -> Array:
    return q_noisy(weights, represent(weights.encoder, values))


_represented = jax.jit(represent)


def _checked(trace: Trace, corrupted: ArrayLike) -> np.ndarray:
    least = MIN_EPOCHS["dynacor"]  # a convolution sees three at once
    if trace.epochs < least:
        raise ValueError(
            f"dynacor reads how labels were learned over time and needs a trace of at least {least} epochs, but "
            f"this one has {trace.epochs}: train for more epochs"
        )
    check.at_least_two_classes(trace.labels)
    copies = check.values(corrupted)
    if copies.shape != (len(trace),) or copies.dtype != bool:
        raise ValueError(
            f"corrupted must be ({len(trace)},) bool, one entry per example of the trace, but is {copies.shape} "
            f"{copies.dtype}"
        )
    if copies.all() or not copies.any():
        raise ValueError(
            f"corrupted marks {'all' if copies.all() else 'none'} of the {len(copies)} examples: a trace is "
            "needed that holds originals and corrupted copies of some of them"
        )
    return copies


def _at_most(key: Key, copies: np.ndarray, most: int) -> np.ndarray:
    """Rows of at most ``most`` originals and as many copies, ascending."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    parts = [np.flatnonzero(group) for group in (~copies, copies)]
    return np.sort(np.concatenate([rng.permutation(part)[:most] for part in parts]))


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=0, dtype=np.float64) if len(values) else np.full(values.shape[1], np.nan)


def _drawn(weights: Weights, values: np.ndarray, copies: np.ndarray, scores: np.ndarray) -> Drawn:
    rows = _at_most(jax.random.key(0), copies, _DRAWN)
    representations = np.asarray(_represented(weights.encoder, values[rows]), np.float32)
    return Drawn(rows, copies[rows], scores[rows], representations)


def _remark(originals: np.ndarray, copies: np.ndarray) -> str:
    """What to say of clusters that do not part the examples."""
    if originals.all():
        return "every original lies in the noisy cluster: dynamics do not part these labels, go by the ranking"
    if not originals.any():
        return "no original lies in the noisy cluster: either no label is wrong, or dynamics do not show it"
    if not copies.any():
        return "no corrupted copy lies in the noisy cluster, which therefore says nothing of wrong labels"
    return ""
