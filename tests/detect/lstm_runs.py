"""Made-up training dynamics whose wrong labels are learned late, as sequences and as traces."""

import numpy as np

from jaxnoisy.detect import LSTMConfig
from jaxnoisy.dynamics import Observation, Trace, observe

SMALL = LSTMConfig(hidden=8, epochs=6, batch_size=32, learning_rate=0.03)


def planted(n: int = 320, t: int = 12, *, rate: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, t) that rise to 1, for right labels early and for wrong ones late, and the (n,) flips."""
    rng = np.random.default_rng(seed)
    flips = np.arange(n) < rate * n
    rng.shuffle(flips)
    middle = np.where(flips, rng.normal(0.65, 0.1, n), rng.normal(0.3, 0.1, n))
    odds = 12 * (np.linspace(0, 1, t) - middle[:, None]) + rng.normal(0, 0.7, (n, t))
    return 1 / (1 + np.exp(-odds)), flips


def trace_of(probabilities: np.ndarray, num_classes: int = 3, seed: int = 0) -> Trace:
    """A trace in which the given labels have these probabilities and the other classes share the rest evenly."""
    n, _ = probabilities.shape
    labels = np.random.default_rng(seed).integers(0, num_classes, n).astype(np.int32)
    given = labels[:, None] == np.arange(num_classes)
    columns = []
    for p in np.clip(probabilities, 1e-6, 1 - 1e-6).T:
        probs = np.where(given, p[:, None], (1 - p[:, None]) / (num_classes - 1))
        columns.append(observe(np.log(probs), labels))
    return Trace(labels, Observation(*(np.stack(field, axis=1) for field in zip(*columns, strict=True))), num_classes)
