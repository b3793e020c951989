"""A linear head to explain: features like those before the last layer of a network, noisy labels, a fitted head.

The arrays lie in a folder as .npy files, from which every method reads them in a process of its own, and into which it
writes what it found.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize, special, stats

ARRAYS = ("features", "logits", "labels", "query_features", "query_logits", "query_labels", "kernel", "bias")
QUANTITIES = ("norms", "forms", "pairwise")
"""||(H + damping I)^-1 g_i|| and g_i^T (H + damping I)^-1 g_i of (n,), and g_i^T (H + damping I)^-1 g_q of (n, k)."""

DAMPING = 0.01

_LATENT = 64  # dimensions in which classes differ; the features' spectrum decays beyond
_SHIFT = 0.6  # of the class means
_WRONG = 0.2  # share of labels replaced by another class
_PENALTY = 1e-3
_BLOCK = 20_000


def make(folder: Path, *, n: int, d: int, c: int, queries: int, seed: int, steps: int = 60) -> None:
    """Write the task's :data:`ARRAYS`, in float32 and int32. Features are written by blocks, so that n may be large.

    Args:
        folder: where to.
        n: examples.
        d: features; the head has a bias beside them.
        c: classes.
        queries: further examples, with right labels, whose losses are to be explained.
        seed: of everything.
        steps: of L-BFGS on the first 20,000 examples, which leave the head fitted but short of its optimum.
    """
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((_LATENT, d), dtype=np.float32) / np.float32(_LATENT**0.5)
    means = _SHIFT * rng.standard_normal((c, _LATENT), dtype=np.float32)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, c, count, dtype=np.int32)
        latent = means[labels] + rng.standard_normal((count, _LATENT), dtype=np.float32)
        noise = rng.standard_normal((count, d), dtype=np.float32)
        return np.maximum(latent @ mixing + np.float32(0.3) * noise, 0), labels

    features = np.lib.format.open_memmap(folder / "features.npy", "w+", np.float32, (n, d))
    labels = np.empty(n, np.int32)
    for start in range(0, n, _BLOCK):
        part, true = draw(min(_BLOCK, n - start))
        other = (true + rng.integers(1, c, len(true), dtype=np.int32)) % c
        features[start : start + len(part)] = part
        labels[start : start + len(part)] = np.where(rng.random(len(true)) < _WRONG, other, true)
    query_features, query_labels = draw(queries)
    kernel, bias = _fit(features[:_BLOCK], labels[:_BLOCK], c, steps)
    logits = np.concatenate([features[i : i + _BLOCK] @ kernel + bias for i in range(0, n, _BLOCK)])
    arrays = (logits, labels, query_features, query_features @ kernel + bias, query_labels, kernel, bias)
    for name, array in zip(ARRAYS[1:], arrays, strict=True):
        np.save(folder / f"{name}.npy", array)
    features.flush()


def _fit(features: np.ndarray, labels: np.ndarray, c: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    n, d = features.shape

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.astype(np.float32).reshape(d + 1, c)
        log_p = special.log_softmax(features @ w[:d] + w[d], axis=1)
        residual = np.exp(log_p)
        residual[np.arange(n), labels] -= 1
        gradient = np.concatenate([features.T @ residual, residual.sum(0)[None]]) / n + _PENALTY * w
        value = -log_p[np.arange(n), labels].mean() + _PENALTY / 2 * np.sum(w * w)
        return float(value), gradient.ravel().astype(np.float64)

    found = optimize.minimize(loss, np.zeros((d + 1) * c), jac=True, method="L-BFGS-B", options={"maxiter": steps})
    w = found.x.astype(np.float32).reshape(d + 1, c)
    return w[:d], w[d]


def load(folder: Path, *names: str, mapped: bool = False) -> dict[str, np.ndarray]:
    """The arrays that are named, or all; mapped into memory if asked for."""
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r" if mapped else None) for name in names or ARRAYS}


def extended(features: np.ndarray) -> np.ndarray:
    """Features with a last column of ones, for the bias."""
    return np.concatenate([features, np.ones((len(features), 1), features.dtype)], axis=1)


def residuals(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The gradients of the losses by the logits."""
    p = special.softmax(logits, axis=1)
    p[np.arange(len(p)), labels] -= 1
    return p


def save(folder: Path, method: str, **found: np.ndarray) -> None:
    """Write what a method found of :data:`QUANTITIES`."""
    for name, array in found.items():
        np.save(folder / f"{method}-{name}.npy", array)


def errors(folder: Path, method: str) -> dict[str, Any]:
    """How far what a method found is from the reference, for each of :data:`QUANTITIES` that it gives.

    Norms and forms: relative error of each example, the worst and the median. Pairwise: the length of the error of
    each query over that of the reference, the worst and the median, as single entries pass through 0. And the rank
    correlation over examples, for pairwise the lowest over queries. Compared are the examples that both have, from the
    first on.
    """
    found = {}
    for name in QUANTITIES:
        path = folder / f"{method}-{name}.npy"
        if not path.exists():
            continue
        given = np.load(path).astype(np.float64)
        truth = np.load(folder / f"reference-{name}.npy")
        count = min(len(given), len(truth))
        given, truth = given[:count], truth[:count]
        if name == "pairwise":
            off = np.linalg.norm(given - truth, axis=0) / np.linalg.norm(truth, axis=0)
            rank = min(stats.spearmanr(a, b).statistic for a, b in zip(given.T, truth.T))
        else:
            off = np.abs(given - truth) / truth
            rank = stats.spearmanr(given, truth).statistic
        found[name] = {"worst": off.max(), "median": np.median(off), "rank_correlation": rank, "examples": count}
    return found
