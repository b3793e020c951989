"""What figures of a repair show: the first round's scores, influences of a few examples, and how features moved."""

from typing import NamedTuple

import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from jaxnoisy.data.dataset import Dataset
from jaxnoisy.refine.scoring import Scored
from jaxnoisy.repaired import Evidence

_SPREAD, _EMBEDDED = 60, 1000
_PERPLEXITY = 30.0


class FirstSight(NamedTuple):
    """What only the first round has at hand: its scores, and influences on the class shown.

    Attributes:
        scored: all n examples under the original model.
        shown_class: the class with the most validation examples.
        spread_rows: (r,) training examples, flagged ones and others.
        spread: (r, k) float32 their influence on the k validation examples of that class.
    """

    scored: Scored
    shown_class: int
    spread_rows: np.ndarray
    spread: np.ndarray


def first_sight(scored: Scored, validation: Dataset, *, seed: int) -> FirstSight:
    """Take the influences of at most 60 flagged examples and 60 others, drawn at random."""
    rng = np.random.default_rng(seed)
    flagged = scored.detection.flagged
    rows = np.concatenate([_drawn(rng, np.flatnonzero(part), _SPREAD) for part in (flagged, ~flagged)])
    shown = int(np.argmax(scored.scores.queries))
    spread = scored.influences(rows, np.flatnonzero(validation.labels == shown))
    kept = scored._replace(influences=_gone)  # they hold the inverse curvature
    return FirstSight(kept, shown, rows, np.asarray(spread, np.float32))


def embedded_rows(n: int, *, seed: int) -> np.ndarray:
    """At most 1,000 examples to embed, drawn at random."""
    return _drawn(np.random.default_rng([seed, 1]), np.arange(n), _EMBEDDED)


def evidence(first: FirstSight, rows: np.ndarray, before: np.ndarray, after: np.ndarray, *, seed: int) -> Evidence:
    """Put together what figures show.

    Args:
        first: from :func:`first_sight`.
        rows: (s,) from :func:`embedded_rows`.
        before: (s, d) features of these under the original model.
        after: the same under the last model.
        seed: of the embeddings.

    Cost: two runs of t-SNE, of seconds each for 1,000 examples.
    """
    scored = first.scored
    return Evidence(
        losses=scored.losses,
        osm=np.asarray(scored.scores.osm),
        osd=np.asarray(scored.scores.osd),
        queries=np.asarray(scored.scores.queries),
        info=scored.detection.info,
        shown_class=first.shown_class,
        spread_rows=first.spread_rows,
        spread=first.spread,
        embedded_rows=rows,
        before=embed(before, seed=seed),
        after=embed(after, seed=seed),
    )


def embed(features: np.ndarray, *, seed: int) -> np.ndarray:
    """(s, d) features in the plane by t-SNE, (s, 2) float32; all at 0 where they are all the same.

    Example:
        >>> import numpy as np
        >>> embed(np.ones((4, 3), np.float32), seed=0).tolist()[0]
        [0.0, 0.0]
    """
    s, d = features.shape
    if not np.ptp(features, axis=0).any():
        return np.zeros((s, 2), np.float32)
    perplexity = max(1.0, min(_PERPLEXITY, (s - 1) / 3))
    how = TSNE(perplexity=perplexity, init="pca" if d > 1 else "random", random_state=seed)
    # Threads would add up in an order of their own, and on a busy machine wait for each other most of the time.
    with threadpool_limits(1, user_api="openmp"):
        return np.asarray(how.fit_transform(np.ascontiguousarray(features)), np.float32)


def _drawn(rng: np.random.Generator, rows: np.ndarray, count: int) -> np.ndarray:
    return np.sort(rng.choice(rows, min(count, len(rows)), replace=False))


def _gone(rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
    raise ValueError("the first round's inverse curvature is no longer held")
