"""A linear head too large for a dense matrix: influence of queries by conjugate gradient, with what is left over."""

import time
from pathlib import Path
from typing import Any

import head_task
import jax
import jax.numpy as jnp
import numpy as np
from memory import Peak

from jaxnoisy import curvature
from jaxnoisy.types import Array, PyTree

TOLERANCE = 1e-3


def solve(folder: Path, *, together: int) -> dict[str, Any]:
    """Solve for every query, ``together`` at once, and give the influence of all examples on them.

    ``worst_residual`` is ||g - (H + damping I) x|| / ||g|| in float64, for the query whose solver reports the largest.
    """
    with Peak() as peak:
        task = head_task.load(folder)
        params = {"kernel": jnp.asarray(task["kernel"]), "bias": jnp.asarray(task["bias"])}
        data = jnp.asarray(task["features"]), jnp.asarray(task["labels"])
        started = time.perf_counter()
        matrix = curvature.gauss_newton(_logits, _cross_entropy)(params, data)
        gradients = jax.jit(jax.vmap(jax.grad(_loss), in_axes=(None, 0)))
        inverse = jax.jit(curvature.block_cg(damping=head_task.DAMPING, tolerance=TOLERANCE, max_steps=100))
        queries = task["query_features"], task["query_labels"]
        residuals, statuses, steps, worst = [], [], [], ()
        for i in range(0, len(queries[0]), together):
            rhs = gradients(params, tuple(jnp.asarray(a[i : i + together]) for a in queries))
            x, info = inverse(matrix, rhs)
            left = np.asarray(info.residual)
            if not residuals or left.max() > np.concatenate(residuals).max():
                worst = tuple(_one(block, int(left.argmax())) for block in (rhs, x))
            residuals.append(left)
            statuses += np.asarray(info.converged).tolist()
            steps.append(int(info.steps))
            del rhs, x
        seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "passes": steps,
        "converged": sum(statuses),
        "queries": len(statuses),
        "parameters": int(task["kernel"].size + task["bias"].size),
        "reported_residual": float(np.concatenate(residuals).max()),
        "worst_residual": _residual(task, *worst),
        **peak.bytes,
    }


def _one(block: PyTree, at: int) -> PyTree:
    return jax.tree.map(lambda a: np.asarray(a[at]), block)


def _logits(params: PyTree, x: Array) -> Array:
    return x @ params["kernel"] + params["bias"]


def _cross_entropy(logits: Array, label: Array) -> Array:
    return jax.nn.logsumexp(logits) - logits[label]


def _loss(params: PyTree, example: tuple[Array, Array]) -> Array:
    x, label = example
    return _cross_entropy(_logits(params, x), label)


def _residual(task: dict[str, np.ndarray], rhs: PyTree, x: PyTree) -> float:
    """What is left of one right-hand side, with the Hessian written out in NumPy and float64."""
    h = head_task.extended(task["features"].astype(np.float64))
    logits = h @ np.concatenate([task["kernel"], task["bias"][None]])
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    g, v = (np.concatenate([a["kernel"], a["bias"][None]]).astype(np.float64) for a in (rhs, x))
    moved = h @ v
    product = h.T @ (p * (moved - np.sum(p * moved, axis=1, keepdims=True))) / len(h)
    return float(np.linalg.norm(g - product - head_task.DAMPING * v) / np.linalg.norm(g))
