"""Repairs made by hand, small enough to reason about."""

import functools

import numpy as np

from jaxnoisy.data import make
from jaxnoisy.detect import InfluentialRankInfo
from jaxnoisy.repair import RoundInfo
from jaxnoisy.repaired import Evidence, Repaired
from jaxnoisy.stats import Mixture

WITHIN = 4  # validation examples that the influence is shown on


@functools.cache
def wrong(n):
    """(n,) bool, about three tenths."""
    return np.random.default_rng(1).random(n) < 0.3


@functools.cache
def evidence(n, c, *, by_loss=False):
    """Scores that are higher for wrong labels, as the first round would have them; mixtures of the two kinds."""
    rng, flips = np.random.default_rng(2), wrong(n)
    losses = rng.exponential(0.3, n).astype(np.float32) + flips
    osm = (rng.normal(size=n) + 2 * flips).astype(np.float32)
    osd = (rng.exponential(0.5, (n, c)) + 2 * flips[:, None]).astype(np.float32)
    if by_loss:
        osm = (losses - losses.mean()) / losses.std()
        osd = np.repeat(osm[:, None], c, axis=1)
    candidates = osm >= 0
    parts = [osd[candidates & (flips == kind)] for kind in (False, True)]
    weights = np.array([len(part) for part in parts]) / candidates.sum()
    mixtures = [
        Mixture(
            means=np.array([part[:, k].mean() for part in parts], float),
            variances=np.array([part[:, k].var() for part in parts], float),
            weights=weights,
            threshold=1.5,
        )
        for k in range(c)
    ]
    votes = np.where(candidates, sum(osd[:, k] >= mixture.means[0] for k, mixture in enumerate(mixtures)), 0)
    info = InfluentialRankInfo(candidates, votes.astype(np.int32), -(-c // 2), tuple(mixtures))
    rows = np.arange(0, n, 2)
    spread = (rng.normal(size=(len(rows), WITHIN)) * (1 + 4 * flips[rows, None])).astype(np.float32)
    before, after = rng.normal(size=(2, len(rows), 2)).astype(np.float32)
    queries = np.full(c, 5, np.int32)
    return Evidence(losses, osm, osd, queries, info, c - 1, rows, spread, rows, before, after)


def repaired(
    *,
    n=80,
    c=3,
    inputs="images",
    truth=True,
    rounds="kept",
    test=True,
    anew=True,
    seen=True,
    by_loss=False,
    names=None,
    ids=None,
):
    """A repair of one round that was kept, and one that was kept, refused, or not made.

    Args:
        rounds: "kept" for two kept rounds, "refused" for one kept and one refused, "none" for a single refused one,
            "nothing" for a single round that found nothing.
    """
    rng = np.random.default_rng(3)
    labels = (np.arange(n) % c).astype(np.int32)
    flips = wrong(n)
    clean = np.where(flips, (labels + 1) % c, labels).astype(np.int32)
    shape = {"images": (n, 6, 5, 1), "features": (n, 70)}[inputs]
    data = make(
        rng.random(shape).astype(np.float32),
        labels,
        class_names=names or [f"class {k}" for k in range(c)],
        ids=ids,
        clean_labels=clean if truth else None,
        name="small",
    )
    found = evidence(n, c, by_loss=by_loss)
    flagged = found.info.votes >= found.info.required
    first = np.flatnonzero(flagged)
    second = np.flatnonzero(~flagged)[::9]
    plan = {
        "kept": [(first, True, 0.8), (second, True, 0.85)],
        "refused": [(first, True, 0.8), (second, False, 0.75)],
        "none": [(first, False, 0.55)],
        "nothing": [(first[:0], False, np.nan)],
    }[rounds]
    kept, before, records, removed_in = np.ones(n, bool), 0.6, [], np.zeros(n, np.int32)
    accuracies = {"original": {"validation": 0.6, "test": 0.58} if test else {"validation": 0.6}}
    for number, (rows, accepted, after) in enumerate(plan, 1):
        left = kept.copy()
        left[rows] = False
        known = truth and len(rows) > 0
        measures = {"test": after - 0.03} if test and np.isfinite(after) else {}
        records.append(
            RoundInfo(
                round=number,
                accepted=accepted,
                reason=f"Reason <{number}>.",
                removed=rows,
                accuracy_before=before,
                accuracy_after=after,
                kept=int(left.sum() if accepted else kept.sum()),
                noise_before=float(flips[kept].mean()) if truth else None,
                noise_after=float(flips[left if accepted else kept].mean()) if truth else None,
                precision=float(flips[rows].mean()) if known else None,
                recall=float(flips[rows].sum() / flips[kept].sum()) if known and flips[kept].any() else None,
                measures=measures,
                seconds={"find": 0.5, "train": 2.0},
            )
        )
        if accepted:
            kept, before = left, after
            removed_in[rows] = number
            accuracies[f"round {number}"] = {"validation": after, **measures}
    confidence = rng.uniform(0.6, 1, n).astype(np.float32)
    if anew:
        accuracies["trained anew"] = {"validation": 0.9, "test": 0.88} if test else {"validation": 0.9}
    new = np.where(rng.random(n) < 0.8, clean, (clean + 1) % c).astype(np.int32)
    return Repaired(
        dataset=data,
        method="small-loss" if by_loss else "influential-rank",
        labels=np.where(removed_in > 0, new, labels).astype(np.int32),
        used=confidence > 0.7 if anew else kept,
        removed_in=removed_in,
        confidence=confidence,
        scores=rng.normal(size=n) + flips,
        rounds=tuple(records),
        accuracies=accuracies,
        final=list(accuracies)[-1],
        evidence=found if seen else None,
        settings={"seed": 3, "gamma": 0.5},
        timings={"train": 2.5},
    )
