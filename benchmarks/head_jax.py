"""Exact influence on a linear head by this library, and the matrix products that its operation count amounts to."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import head_task
import jax
import jax.numpy as jnp
import numpy as np
from memory import Peak

from jaxnoisy.curvature import last_layer, symmetric_products

_FEW = 4096

COMPUTES = "the damped Hessian in closed form, its inverse and its square, exactly, in float32"


def exact(folder: Path, *, mapped: bool = False) -> dict[str, Any]:
    """All of :data:`head_task.QUANTITIES`, twice: the first call compiles.

    ``mapped`` leaves the features on disk and reads them by blocks; its first call is for the first few blocks only.
    """
    with Peak() as peak:
        task = head_task.load(folder, *(name for name in head_task.ARRAYS if name != "features"))
        task |= head_task.load(folder, "features", mapped=mapped)
        few = {name: array[:_FEW] for name, array in task.items()} if mapped else task
        first, found = _timed(lambda: _influence(few))
        seconds, found = _timed(lambda: _influence(task))
        head_task.save(folder, "jaxnoisy", **found)
    return {"seconds": seconds, "first_seconds": first, "computes": COMPUTES, **peak.bytes}


def _influence(task: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    features, logits = task["features"], task["logits"]
    residuals = np.asarray(last_layer.residuals(jnp.asarray(logits), task["labels"]))
    factor = last_layer.factorise(features, logits, damping=head_task.DAMPING)
    of_queries = last_layer.residuals(jnp.asarray(task["query_logits"]), task["query_labels"])
    solved, info = last_layer.solve(factor, last_layer.gradients(jnp.asarray(task["query_features"]), of_queries))
    if not bool(info.converged.all()):
        raise RuntimeError(f"queries were not solved: residuals up to {float(info.residual.max())}")
    inverse = last_layer.invert(factor)
    del factor
    return {
        "forms": last_layer.quadratic_forms(inverse, features, residuals),
        "norms": last_layer.inverse_norms(inverse, features, residuals),
        "pairwise": last_layer.inner_products(solved, features, residuals),
    }


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    found = jax.block_until_ready(work())
    return time.perf_counter() - started, found


def operations(n: int, d: int, c: int, k: int) -> float:
    """What :func:`_influence` takes: the sums of its matrix products, and LAPACK's counts for the rest."""
    size, m = d + 1, (c - 1) * (d + 1)
    panels = sum(end * (end - start) for start, end in symmetric_products.edges(size))
    sums = 3 * n * c * (c - 1) * panels  # the Hessian and two forms
    return sums + m**3 * (1 / 3 + 2 / 3 + 1) + 6 * k * m**2 + 2 * n * k * c * size


def products(n: int, d: int, c: int, k: int) -> dict[str, Any]:
    """Seconds for as many operations in square matrix products of float32, from the median of several of them."""
    side, repeats, count = 4096, 7, operations(n, d, c, k)
    a = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    b = jnp.asarray(a)
    product = jax.jit(lambda x: jnp.matmul(x, x, precision="highest"))
    ways: dict[str, Callable[[], Any]] = {"NumPy": lambda: a @ a, "JAX": lambda: product(b).block_until_ready()}
    seconds = {}
    for name, way in ways.items():
        times = [_timed(way)[0] for _ in range(repeats)]
        seconds[name] = float(np.median(times[1:])) * count / (2 * side**3)
    return {"product_seconds": seconds, "operations": count}
