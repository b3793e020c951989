"""Influences made by hand, small enough to reason about."""

import numpy as np

from jaxnoisy.curvature import SolveInfo
from jaxnoisy.data import make
from jaxnoisy.influence import from_matrix, top
from jaxnoisy.influences import Influences


def influences(*, n=40, k=3, c=3, count=4, inputs="images", truth=True, names=None, ids=None, rows=True, status=0):
    """Random influences; query q is training example q where ``rows``."""
    rng = np.random.default_rng(1)
    labels = (np.arange(n) % c).astype(np.int32)
    clean = np.where(rng.random(n) < 0.3, (labels + 1) % c, labels).astype(np.int32)
    values = rng.random({"images": (n, 6, 5, 1), "features": (n, 70)}[inputs]).astype(np.float32)
    names = names or [f"class {i}" for i in range(c)]
    data = make(values, labels, class_names=names, ids=ids, clean_labels=clean if truth else None, name="small")
    matrix = from_matrix(rng.normal(size=(n, k)).astype(np.float32))
    return Influences(
        dataset=data,
        queries=data.take(np.arange(k)),
        query_rows=np.arange(k) if rows else None,
        losses=np.linspace(0.1, 3, k, dtype=np.float32),
        predictions=((np.arange(k) + 1) % c).astype(np.int32),
        top=top(count=count)(matrix),
        solution=SolveInfo(np.int32(5), np.full(k, 1e-4, np.float32), np.full(k, status, np.int32)),
        self_influence=rng.random(n).astype(np.float32),
        train_predictions=clean,
        rows=matrix,
        settings={"method": "last-layer", "damping": 0.01, "seed": 3},
        timings={"features": 1.5},
    )
