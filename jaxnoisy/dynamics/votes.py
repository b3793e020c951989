"""How often each class was predicted for each example."""

import numpy as np

from jaxnoisy.dynamics.trace import Trace


def vote_counts(trace: Trace) -> np.ndarray:
    """(n, c) int32: in how many recorded epochs each class was the prediction.

    It is as large as the probabilities of all classes; go through :meth:`Trace.per_example` with :func:`vote_block`.
    """
    rows = np.arange(len(trace))
    counts = np.zeros((len(trace), trace.num_classes), np.int32)
    for column in np.asarray(trace.seen.argmax).T:
        recorded = column >= 0
        counts[rows[recorded], column[recorded]] += 1
    return counts


def vote_block(trace: Trace) -> int:
    """How many examples at a time keep the counts within 64 MB."""
    return max(1, (1 << 24) // trace.num_classes)
