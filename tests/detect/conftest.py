"""Real training traces: a small NumPy network on scikit-learn's digits, with labels flipped on purpose."""

from typing import NamedTuple

import numpy as np
import pytest
from sklearn.datasets import load_digits

from jaxnoisy.dynamics import Observation, Trace, observe


class Run(NamedTuple):
    trace: Trace
    logits: np.ndarray  # (t, n, c), as recorded at the end of each epoch
    flips: np.ndarray


def stacked(logits: np.ndarray, labels: np.ndarray) -> Trace:
    """A trace in evaluation mode from logits of shape (t, n, c)."""
    columns = [observe(z, labels) for z in logits]
    seen = Observation(*(np.stack(fields, axis=1) for fields in zip(*columns, strict=True)))
    shifted = np.exp(logits - logits.max(axis=2, keepdims=True), dtype=np.float64)
    probs = (shifted / shifted.sum(axis=2, keepdims=True)).mean(axis=0)
    seen = seen._replace(argmax=seen.argmax.astype(np.int8))
    return Trace(labels.astype(np.int32), seen, logits.shape[2], mean_probs=probs.astype(np.float32), mode="eval")


def trained_logits(
    labels: np.ndarray,
    num_classes: int,
    *,
    epochs: int,
    hidden: int = 64,
    seed: int = 0,
    inputs: np.ndarray | None = None,
) -> np.ndarray:
    """(t, n, c) logits of a network with one hidden layer, trained by SGD with momentum, on the digits by default."""
    rng = np.random.default_rng(seed)
    x = (load_digits().data / 16).astype(np.float32) if inputs is None else inputs
    d = x.shape[1]
    weights = [
        rng.normal(0, np.sqrt(2 / d), (d, hidden)),
        np.zeros(hidden),
        rng.normal(0, np.sqrt(1 / hidden), (hidden, num_classes)),
        np.zeros(num_classes),
    ]
    weights = [w.astype(np.float32) for w in weights]
    momentum = [np.zeros_like(w) for w in weights]
    target = np.eye(num_classes, dtype=np.float32)[labels]
    recorded = []
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for rows in np.array_split(order, len(x) // 32):
            h = np.maximum(x[rows] @ weights[0] + weights[1], 0)
            z = h @ weights[2] + weights[3]
            p = np.exp(z - z.max(axis=1, keepdims=True))
            g = (p / p.sum(axis=1, keepdims=True) - target[rows]) / len(rows)
            back = (g @ weights[2].T) * (h > 0)
            gradient = [x[rows].T @ back, back.sum(axis=0), h.T @ g, g.sum(axis=0)]
            momentum = [0.9 * m - np.float32(0.05) * dw for m, dw in zip(momentum, gradient, strict=True)]
            weights = [w + m for w, m in zip(weights, momentum, strict=True)]
        recorded.append(np.maximum(x @ weights[0] + weights[1], 0) @ weights[2] + weights[3])
    return np.stack(recorded).astype(np.float32)


def digits_run(wrong: int, *, epochs: int = 30, seed: int = 0) -> Run:
    """A run on the digits with ``wrong`` labels moved to another class, drawn uniformly."""
    rng = np.random.default_rng(seed)
    labels = load_digits().target.astype(np.int32)
    flips = np.zeros(len(labels), bool)
    flips[rng.permutation(len(labels))[:wrong]] = True
    labels = np.where(flips, (labels + rng.integers(1, 10, len(labels))) % 10, labels).astype(np.int32)
    logits = trained_logits(labels, 10, epochs=epochs, seed=seed)
    return Run(stacked(logits, labels), logits, flips)


@pytest.fixture(scope="session")
def clean() -> Run:
    return digits_run(0)


@pytest.fixture(scope="session")
def noisy() -> Run:
    """70 wrong labels among 1,797, about 4 %."""
    return digits_run(70)


@pytest.fixture(scope="session")
def very_noisy() -> Run:
    """A fifth of the labels wrong."""
    return digits_run(359)
