"""A made-up training run, and its observations computed directly."""

from typing import NamedTuple

import numpy as np

from jaxnoisy.dynamics import Observation, observe


class Run(NamedTuple):
    logits: np.ndarray  # (t, n, c) float32
    labels: np.ndarray  # (n,)

    @property
    def seen(self) -> Observation:
        """Fields (n, t), with nothing missing."""
        columns = [observe(z, self.labels) for z in self.logits]
        return Observation(*(np.stack(fields, axis=1) for fields in zip(*columns)))

    @property
    def mean_probs(self) -> np.ndarray:
        e = np.exp(self.logits - self.logits.max(axis=2, keepdims=True), dtype=np.float64)
        return (e / e.sum(axis=2, keepdims=True)).mean(axis=0)

    def batches(self, epoch: int, size: int, seed: int = 0):
        """Shuffled batches of an epoch: (rows, labels, logits), the last one short."""
        order = np.random.default_rng((seed, epoch)).permutation(len(self.labels))
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            yield rows, self.labels[rows], self.logits[epoch, rows]


def made_up(n: int = 45, t: int = 4, c: int = 5, seed: int = 0) -> Run:
    rng = np.random.default_rng(seed)
    return Run((rng.normal(size=(t, n, c)) * 4).astype(np.float32), rng.integers(0, c, n).astype(np.int32))


def padded(rows, labels, logits, size: int, n: int):
    """Fill a batch up to ``size``: rows past the end, and values that must not be seen."""
    extra = size - len(rows)
    return (
        np.concatenate([rows, np.arange(n, n + extra)]),
        np.concatenate([labels, np.zeros(extra, labels.dtype)]),
        np.concatenate([logits, np.full((extra, logits.shape[1]), 1e3, np.float32)]),
    )


def assert_same_observation(found, expected, **tolerance):
    for name in expected._fields:
        np.testing.assert_allclose(
            np.asarray(getattr(found, name), np.float64), getattr(expected, name), err_msg=name, **tolerance
        )
