"""Real training traces: a small NumPy network on scikit-learn's digits, with labels flipped on purpose."""

from typing import NamedTuple

import numpy as np
import pytest
from sklearn.datasets import load_digits
from trained_digits import stacked, trained_logits

from jaxnoisy.dynamics import Trace


class Run(NamedTuple):
    trace: Trace
    logits: np.ndarray  # (t, n, c), as recorded at the end of each epoch
    flips: np.ndarray


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
