"""One search for DynaCor's clusters, read in several ways, and the supervised bound on the same dynamics."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.metrics import davies_bouldin_score, f1_score

from jaxnoisy.detect import Detection, DynaCorConfig, dynacor_fit
from jaxnoisy.detect.dynacor import THRESHOLD, ranking, search
from jaxnoisy.detect.dynacor_network import Weights, init, represent
from jaxnoisy.dynamics import Trace
from jaxnoisy.dynamics.inputs import sequences

SAMPLE = 1000
"""Originals that the Davies-Bouldin index, and the F1 by which the best epoch is chosen, are taken over."""


_scored = jax.jit(dynacor_fit.assignments)
_represented = jax.jit(represent)


class Read(NamedTuple):
    """What a search comes to under several ways to choose, and what each chose."""

    detections: dict[str, Detection]
    chosen: dict[str, Any]


def every_way(key: jax.Array, trace: Trace, copies: np.ndarray, flips: np.ndarray, *, config: DynaCorConfig) -> Read:
    """DynaCor and its ablations, from one search whose candidates are those of ``detect.dynacor`` and those of alpha 0.

    "dynacor" is what ``detect.dynacor`` keeps. "untrained encoder" is epoch 0 of the start whose metric is highest.
    "clustering loss alone" is the same choice among the candidates without the alignment loss. "last epoch",
    "Davies-Bouldin" (the lowest index of the two groups of originals) and "best epoch" (the highest F1, which takes the
    true flips) choose the epoch, and candidates too, in the place of the metric; of the last epoch the metric chooses
    the candidate.
    """
    values = sequences(trace, signals=(config.signal,))[..., 0]
    order = np.lexsort((*values.T, copies))
    originals, marked = values[~copies], np.asarray(flips, bool)
    alphas = (0.0, *config.alphas)
    of_each = np.tile(np.asarray(alphas, np.float32), config.seeds)
    config = dataclasses.replace(config, alphas=alphas)
    _, history = search(key, values[order], copies[order], config, observe=_itself)
    aligned = np.flatnonzero(of_each > 0)
    metric = np.where(np.isfinite(history.metric), history.metric, -np.inf)
    candidates, epochs = metric.shape

    def at(candidate: int, epoch: int) -> Weights:
        return jax.tree.map(lambda array: array[candidate, epoch], history.observed)

    f1, index = np.zeros(metric.shape), np.zeros(metric.shape)
    for candidate in range(candidates):
        for epoch in range(epochs):
            weights = at(candidate, epoch)
            noisy = np.asarray(_scored(weights, originals[:SAMPLE])) > THRESHOLD
            f1[candidate, epoch] = f1_score(marked[:SAMPLE], noisy, zero_division=0)
            index[candidate, epoch] = _index(np.asarray(_represented(weights.encoder, originals[:SAMPLE])), noisy)

    def best(table: np.ndarray, among: np.ndarray, when: slice = slice(None)) -> tuple[int, int]:
        part = table[among][:, when]
        candidate, epoch = np.unravel_index(part.argmax(), part.shape)
        return int(among[candidate]), int(range(epochs)[when][epoch])

    picked = {
        "dynacor": best(metric, aligned),
        "untrained encoder": best(metric, aligned, slice(0, 1)),
        "clustering loss alone": best(metric, np.flatnonzero(of_each == 0)),
        "last epoch": best(metric, aligned, slice(epochs - 1, None)),
        "Davies-Bouldin": best(-index, aligned),
        "best epoch": best(f1, aligned),
    }
    scores = {where: ranking(_scored(at(*where), values), trace)[~copies] for where in set(picked.values())}
    detections = {
        name: Detection(scores[where], scores[where] > THRESHOLD, THRESHOLD) for name, where in picked.items()
    }
    chosen = {
        name: {"alpha": float(of_each[c]), "start": int(c // len(alphas)), "epoch": e, "metric": float(metric[c, e])}
        for name, (c, e) in picked.items()
    }
    return Read(detections, chosen)


def _itself(weights: Weights) -> Weights:
    return weights


def _index(representations: np.ndarray, noisy: np.ndarray) -> float:
    """The Davies-Bouldin index of two groups, infinite where one is empty."""
    return float(davies_bouldin_score(representations, noisy)) if noisy.any() and not noisy.all() else np.inf


def supervised(
    seed: int, trace: Trace, copies: np.ndarray, flips: np.ndarray, *, steps: int = 200, batch: int = 256
) -> Detection:
    """An encoder like DynaCor's with a logistic head, taught the flips of one half of the originals, on the other half.

    Both halves in turn. The signal is DynaCor's, the sign of the margin; Adam with 1e-3 on a cosine.
    """
    config = DynaCorConfig()
    values = sequences(trace, signals=(config.signal,))[~copies][..., 0]
    half = np.random.default_rng(seed).permutation(len(values)) % 2
    size = min(batch, len(values) // 2)
    tx = optax.adam(optax.cosine_decay_schedule(1e-3, steps))

    def logits(weights: Any, x: jax.Array) -> jax.Array:
        return jax.nn.relu(represent(weights[0], x)) @ weights[1] + weights[2]

    @jax.jit
    def learn(key: jax.Array, x: jax.Array, y: jax.Array) -> Any:
        of_encoder, of_batches = jax.random.split(key)
        encoder = init(of_encoder, epochs=x.shape[1], widths=config.widths, dimension=config.dimension)
        weights = encoder, jnp.zeros(config.dimension), jnp.zeros(())

        def step(state: Any, key: jax.Array) -> Any:
            weights, optimizer = state
            rows = jax.random.randint(key, (size,), 0, len(x))

            def loss(weights: Any) -> jax.Array:
                return optax.sigmoid_binary_cross_entropy(logits(weights, x[rows]), y[rows]).mean()

            updates, optimizer = tx.update(jax.grad(loss)(weights), optimizer)
            return (optax.apply_updates(weights, updates), optimizer), None

        return jax.lax.scan(step, (weights, tx.init(weights)), jax.random.split(of_batches, steps))[0][0]

    scores = np.zeros(len(values))
    for side in (0, 1):
        taught, asked = half == side, half != side
        key = jax.random.fold_in(jax.random.key(seed), 11 + side)
        weights = learn(key, jnp.asarray(values[taught]), jnp.asarray(flips[taught], jnp.float32))
        scores[asked] = np.asarray(jax.nn.sigmoid(jax.jit(logits)(weights, jnp.asarray(values[asked]))))
    return Detection(scores, scores > 0.5, 0.5, None)
