"""How far the methods agree: on what they flag, and on the order they put the examples in."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jaxnoisy.detect.detection import Detection
from jaxnoisy.report.canvas import sample

_RANKED = 100_000


class Agreement(NamedTuple):
    """m methods compared in pairs.

    Attributes:
        methods: their names.
        overlap: (m, m) examples flagged by both / flagged by either; NaN where neither flags any.
        correlation: (m, m) Spearman's rank correlation of the scores; NaN where a method gives all the same score.
    """

    methods: tuple[str, ...]
    overlap: np.ndarray
    correlation: np.ndarray


def agreement(detections: Mapping[str, Detection]) -> Agreement:
    """Compare every pair of methods.

    Args:
        detections: by name, of the same n examples.

    Returns:
        :class:`Agreement`. Cost: m^2 n for the overlap, and one sort per method of at most 100,000 examples (chosen
        at random, always the same ones) for the correlation.
    """
    found = list(detections.values())
    flags = np.stack([np.asarray(d.flagged, bool) for d in found])
    both = np.array([[np.count_nonzero(a & b) for b in flags] for a in flags])
    either = both.diagonal()[:, None] + both.diagonal()[None, :] - both
    rows = sample(np.arange(flags.shape[1]), _RANKED)
    ranks = np.stack([_ranks(np.asarray(d.scores)[rows]) for d in found])
    with np.errstate(invalid="ignore", divide="ignore"):
        overlap = both / either
        correlation = np.atleast_2d(np.corrcoef(ranks))
    return Agreement(tuple(detections), overlap, correlation)


def _ranks(scores: np.ndarray) -> np.ndarray:
    """(k,) ranks from 1; equal scores share the mean of their ranks."""
    _, place, ties = np.unique(scores, return_inverse=True, return_counts=True)
    return (np.cumsum(ties) - (ties - 1) / 2)[place]
