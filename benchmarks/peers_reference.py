"""The exact influence on a linear head in float64, by dense algebra in NumPy and LAPACK, which others are held to."""

import time
from pathlib import Path
from typing import Any

import head_task
import numpy as np
from memory import Peak
from scipy import linalg, special

COMPUTES = "the dense Hessian (block by block), its Cholesky factor, and a solution per training example, in float64"

_BLOCK = 1000


def exact(folder: Path, *, some: int | None = None) -> dict[str, Any]:
    """All of :data:`head_task.QUANTITIES` into the folder, as "reference", for all or ``some`` of the examples."""
    with Peak() as peak:
        task = head_task.load(folder)
        started = time.perf_counter()
        found = _influence(task, some)
        seconds = time.perf_counter() - started
        head_task.save(folder, "reference", **found)
    return {"seconds": seconds, "computes": COMPUTES, **peak.bytes}


def _influence(task: dict[str, np.ndarray], some: int | None) -> dict[str, np.ndarray]:
    h = head_task.extended(task["features"].astype(np.float64))
    factor = linalg.cho_factor(hessian(h, task["logits"].astype(np.float64), head_task.DAMPING), overwrite_a=True)
    r = head_task.residuals(task["logits"].astype(np.float64), task["labels"])
    of_queries = head_task.residuals(task["query_logits"].astype(np.float64), task["query_labels"])
    queries = _gradients(head_task.extended(task["query_features"].astype(np.float64)), of_queries)
    solved = linalg.cho_solve(factor, queries.T)
    norms, forms, pairwise = [], [], []
    h, r = h[:some], r[:some]
    for start in range(0, len(h), _BLOCK):
        gradients = _gradients(h[start : start + _BLOCK], r[start : start + _BLOCK])
        x = linalg.cho_solve(factor, gradients.T).T
        norms.append(np.linalg.norm(x, axis=1))
        forms.append(np.sum(x * gradients, axis=1))
        pairwise.append(gradients @ solved)
    return {
        "norms": np.concatenate(norms),
        "forms": np.concatenate(forms),
        "pairwise": np.concatenate(pairwise),
    }


def hessian(h: np.ndarray, logits: np.ndarray, damping: float) -> np.ndarray:
    """(c D, c D), class by class: block (a, b) is the mean of p_a (1[a = b] - p_b) h h^T."""
    (n, size), c = h.shape, logits.shape[1]
    p = special.softmax(logits, axis=1)
    matrix = np.empty((c, size, c, size), h.dtype)
    for a in range(c):
        for b in range(a, c):
            weight = p[:, a] * ((a == b) - p[:, b]) / n
            matrix[a, :, b] = matrix[b, :, a] = (h * weight[:, None]).T @ h
    matrix = matrix.reshape(c * size, c * size)
    matrix[np.diag_indices(c * size)] += damping
    return matrix


def _gradients(h: np.ndarray, r: np.ndarray) -> np.ndarray:
    return (r[:, :, None] * h[:, None, :]).reshape(len(h), -1)
