"""Findings made by hand, small enough to reason about."""

import numpy as np

from jaxnoisy.data import make
from jaxnoisy.detect import Detection
from jaxnoisy.dynamics import Observation, Trace, observe
from jaxnoisy.findings import Findings

NASTY = ("<script>alert(1)</script>", "a$b$", '=HYPERLINK("x")', "two\nlines", "\u202eback", "x" * 500, "&amp;")


def trace_of(labels, c, t, seed=0):
    rng = np.random.default_rng(seed)
    columns = [observe(rng.normal(size=(len(labels), c)).astype(np.float32), labels) for _ in range(t)]
    return Trace(labels, Observation(*(np.stack(field, axis=1) for field in zip(*columns))), c)


def findings(
    *,
    n=60,
    c=3,
    t=4,
    inputs="images",
    truth=True,
    flag="some",
    names=None,
    ids=None,
    methods=("aum", "small-loss"),
    **kw,
):
    """Findings on random scores; of the first method a fifth, none or all examples are flagged."""
    rng = np.random.default_rng(1)
    labels = (np.arange(n) % c).astype(np.int32)
    flips = rng.random(n) < 0.3
    flips[:2] = True, False
    clean = np.where(flips, (labels + 1) % c, labels).astype(np.int32)
    shape = {"images": (n, 6, 5, 1), "features": (n, 70)}
    data = None
    if inputs is not None:
        values = rng.random(shape[inputs]).astype(np.float32)
        data = make(values, labels, class_names=names or [f"class {k}" for k in range(c)], ids=ids, clean_labels=clean)
    detections = {}
    for k, name in enumerate(methods):
        scores = rng.normal(size=n) + flips
        level = {"some": float(np.quantile(scores, 0.8)), "none": 100.0, "all": -100.0}[flag if k == 0 else "some"]
        detections[name] = Detection(scores, scores > level, level if k == 0 else None)
    return Findings(
        trace_of(labels, c, t),
        detections,
        methods[0],
        0.25,
        data,
        flips if truth else None,
        settings=kw.pop("settings", {"seed": 3, "nested": {"split_seed": 4, "rate": 0.2}}),
        timings={"train": 1.5},
        **kw,
    )
