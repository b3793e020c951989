"""Influence on a linear head in plain PyTorch: written by hand with care, and by its automatic derivatives."""

import time
from pathlib import Path
from typing import Any

import head_task
import torch
from memory import Peak
from torch.nn import functional

COMPUTES = {
    "by hand": "the dense Hessian block by block in closed form, its Cholesky factor, and a solution per training "
    "example by cholesky_solve, in chunks of 2,000, in float32",
    "autograd": "the dense Hessian by torch.func.hessian over batches of 500, its LU factors, and a solution per "
    "training example by lu_solve on gradients from vmap(grad), in chunks of 2,000, in float32",
}

_CHUNK = 2000
_FEW = 500  # where the Hessian carries all p directions at once, p x 500 x c numbers


def exact(folder: Path, *, way: str) -> dict[str, Any]:
    """All of :data:`head_task.QUANTITIES`, the Hessian and gradients made in one of the ways of :data:`COMPUTES`."""
    with Peak() as peak:
        task = {name: torch.from_numpy(array) for name, array in head_task.load(folder).items()}
        task |= {name: task[name].long() for name in ("labels", "query_labels")}
        started = time.perf_counter()
        with torch.no_grad():
            found = (_by_hand if way == "by hand" else _autograd)(task)
        seconds = time.perf_counter() - started
        head_task.save(folder, f"PyTorch, {way}", **{name: x.numpy() for name, x in found.items()})
    return {"seconds": seconds, "computes": COMPUTES[way], "threads": torch.get_num_threads(), **peak.bytes}


def _by_hand(task: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    h = _extended(task["features"])
    p = functional.softmax(task["logits"], dim=1)
    (n, size), c = h.shape, p.shape[1]
    matrix = torch.empty(c, size, c, size)
    for a in range(c):
        for b in range(a, c):
            weight = p[:, a] * (float(a == b) - p[:, b]) / n
            matrix[a, :, b] = (h * weight[:, None]).T @ h
            matrix[b, :, a] = matrix[a, :, b]
    matrix = matrix.reshape(c * size, c * size)
    matrix.diagonal().add_(head_task.DAMPING)
    lower = torch.linalg.cholesky(matrix)
    del matrix
    r = p - functional.one_hot(task["labels"], c)
    of_queries = functional.softmax(task["query_logits"], dim=1) - functional.one_hot(task["query_labels"], c)

    def gradients(h: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        return (r[:, :, None] * h[:, None, :]).reshape(len(h), -1)

    queries = gradients(_extended(task["query_features"]), of_queries)
    return _solved(
        lambda b: torch.cholesky_solve(b.T, lower).T,
        (gradients(h[i : i + _CHUNK], r[i : i + _CHUNK]) for i in range(0, n, _CHUNK)),
        queries,
    )


def _autograd(task: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    x, y = task["features"], task["labels"]
    n = len(x)
    params = torch.cat([task["kernel"], task["bias"][None]]).T.contiguous()  # (c, D)

    def loss(w: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(x @ w[:, :-1].T + w[:, -1], y, reduction="sum")

    p = params.numel()
    matrix = torch.zeros(p, p)
    for i in range(0, n, _FEW):
        matrix += torch.func.hessian(loss)(params, x[i : i + _FEW], y[i : i + _FEW]).reshape(p, p) / n
    matrix.diagonal().add_(head_task.DAMPING)
    factors = torch.linalg.lu_factor(matrix)
    del matrix
    one = torch.func.grad(lambda w, x, y: loss(w, x[None], y[None]))
    each = torch.func.vmap(one, in_dims=(None, 0, 0))
    return _solved(
        lambda b: torch.linalg.lu_solve(*factors, b.T).T,
        (each(params, x[i : i + _CHUNK], y[i : i + _CHUNK]).reshape(-1, p) for i in range(0, n, _CHUNK)),
        each(params, task["query_features"], task["query_labels"]).reshape(-1, p),
    )


def _extended(features: torch.Tensor) -> torch.Tensor:
    return torch.cat([features, torch.ones(len(features), 1)], dim=1)


def _solved(solve, chunks, queries: torch.Tensor) -> dict[str, torch.Tensor]:
    solved = solve(queries)
    norms, forms, pairwise = [], [], []
    for gradients in chunks:
        x = solve(gradients)
        norms.append(torch.linalg.norm(x, dim=1))
        forms.append((x * gradients).sum(dim=1))
        pairwise.append(gradients @ solved.T)
    return {"norms": torch.cat(norms), "forms": torch.cat(forms), "pairwise": torch.cat(pairwise)}
