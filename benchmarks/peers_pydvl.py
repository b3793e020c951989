"""Influence by pyDVL."""

import time
from pathlib import Path
from typing import Any

import cnn_task
import head_task
import peers_cnn
import torch
from memory import Peak
from pydvl.influence import torch as pydvl
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

HEAD = (
    "DirectInfluence: the dense Hessian by torch.func.hessian over batches, and torch.linalg.solve anew for each block "
    "of 5,000 training examples, in float32"
)

CNN = (
    "CgInfluence on the Hessian (its Gauss-Newton matrix is the empirical Fisher) + damping I: conjugate gradient "
    "query by query, from x = b, stopped after 10 steps, as its own limit of 10 p steps would not be reached in days"
)

_BATCH = 500  # of the Hessian: all p directions are carried at once, p x batch x c numbers
_BLOCK = 5000


def exact(folder: Path) -> dict[str, Any]:
    """All of :data:`head_task.QUANTITIES` of a linear head; norms and forms from the factors it gives."""
    with Peak() as peak:
        task = {name: torch.from_numpy(array) for name, array in head_task.load(folder).items()}
        model = torch.nn.Linear(*task["kernel"].shape)
        with torch.no_grad():
            model.weight.copy_(task["kernel"].T)
            model.bias.copy_(task["bias"])
        x, y = task["features"], task["labels"].long()
        started = time.perf_counter()
        influence = pydvl.DirectInfluence(model, functional.cross_entropy, regularization=head_task.DAMPING)
        influence = influence.fit(DataLoader(TensorDataset(x, y), batch_size=_BATCH))
        queries = influence.influence_factors(task["query_features"], task["query_labels"].long())
        found: dict[str, list[torch.Tensor]] = {name: [] for name in head_task.QUANTITIES}
        for i in range(0, len(x), _BLOCK):
            part = x[i : i + _BLOCK], y[i : i + _BLOCK]
            factors = influence.influence_factors(*part)
            found["norms"].append(torch.linalg.norm(factors, dim=1))
            found["forms"].append(_forms(influence, factors, part))
            found["pairwise"].append(influence.influences_from_factors(queries, *part).T)
        seconds = time.perf_counter() - started
        head_task.save(folder, "pyDVL", **{name: torch.cat(parts).numpy() for name, parts in found.items()})
    return {"seconds": seconds, "computes": HEAD, "threads": torch.get_num_threads(), **peak.bytes}


def _forms(influence: Any, factors: torch.Tensor, part: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """The diagonal of what influences_from_factors gives, a few hundred examples at a time."""
    size = 250
    return torch.cat(
        [
            influence.influences_from_factors(factors[i : i + size], *(a[i : i + size] for a in part)).diagonal()
            for i in range(0, len(factors), size)
        ]
    )


def cnn(folder: Path, *, name: str, some: int) -> dict[str, Any]:
    """Solve for the gradients of ``some`` queries."""

    def solve(model: torch.nn.Module, task: dict[str, torch.Tensor]) -> torch.Tensor:
        influence = pydvl.CgInfluence(
            model, functional.cross_entropy, regularization=cnn_task.DAMPING, maxiter=10, warn_on_max_iteration=False
        )
        influence = influence.fit(DataLoader(TensorDataset(task["images"], task["labels"]), batch_size=_BATCH))
        return influence.influence_factors(task["query_images"], task["query_labels"])

    return {"computes": CNN, **peers_cnn.timed_solve(folder, name, some, solve, matrix="hessian")}
