"""A small NumPy network on scikit-learn's digits, or other inputs, and the traces of its logits."""

import numpy as np
from sklearn.datasets import load_digits

from jaxnoisy.dynamics import Observation, Trace, observe


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
