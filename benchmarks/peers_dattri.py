"""Influence by dattri."""

import time
from pathlib import Path
from typing import Any

import cnn_task
import head_task
import peers_cnn
import torch
from dattri.algorithm.influence_function import IFAttributorCG
from dattri.task import AttributionTask
from memory import Peak
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

HEAD = (
    "IFAttributorCG with 10 steps, its default, from x = b and without looking at the residual: pairwise influence of "
    "all queries; norms and forms of a few training examples, from which its time for all is extrapolated"
)
CNN = (
    "IFAttributorCG on the Hessian (it has no Gauss-Newton matrix) + damping I: 10 steps, its default, from x = b and "
    "without looking at the residual"
)

_TOGETHER = 10


def exact(folder: Path, *, some: int) -> dict[str, Any]:
    """Pairwise influence of all queries, norms and forms of the first ``some`` training examples.

    ``seconds`` is for all n: what the pairwise part took, and n / ``some`` times what the others took.
    """
    with Peak() as peak, torch.no_grad():
        task = {name: torch.from_numpy(array) for name, array in head_task.load(folder).items()}
        model = torch.nn.Linear(*task["kernel"].shape)
        model.weight.copy_(task["kernel"].T)
        model.bias.copy_(task["bias"])
        train = TensorDataset(task["features"], task["labels"].long())
        queries = TensorDataset(task["query_features"], task["query_labels"].long())
        attributor = cg(model, regularization=head_task.DAMPING)
        # With several batches it would add up the solutions for the Hessian of each.
        attributor.cache(DataLoader(train, batch_size=len(train)))
        started = time.perf_counter()
        pairwise = attributor.attribute(
            DataLoader(train, batch_size=len(train)), DataLoader(queries, batch_size=len(queries))
        )
        pairwise_seconds = time.perf_counter() - started
        few = tuple(a[None, :some] for a in train.tensors)
        started = time.perf_counter()
        gradients = attributor.generate_train_rep(0, few)
        x = attributor.transform_test_rep(0, gradients)
        norms, forms = torch.linalg.norm(x, dim=1), (x * gradients).sum(dim=1)
        some_seconds = time.perf_counter() - started
        head_task.save(folder, "dattri", norms=norms.numpy(), forms=forms.numpy(), pairwise=pairwise.numpy())
    return {
        "seconds": pairwise_seconds + some_seconds * len(train) / some,
        "pairwise_seconds": pairwise_seconds,
        "measured": {"examples": some, "seconds": some_seconds},
        "computes": HEAD,
        "threads": torch.get_num_threads(),
        **peak.bytes,
    }


def cnn(folder: Path, *, name: str, some: int) -> dict[str, Any]:
    """Solve for the gradients of ``some`` queries, ten at a time, which bounds the memory."""

    def solve(model: torch.nn.Module, task: dict[str, torch.Tensor]) -> torch.Tensor:
        attributor = cg(model, regularization=cnn_task.DAMPING)
        train = TensorDataset(task["images"], task["labels"])
        attributor.cache(DataLoader(train, batch_size=len(train)))
        with torch.no_grad():
            return torch.cat(
                [
                    attributor.transform_test_rep(0, attributor.generate_test_rep(0, (x[None], y[None])))
                    for x, y in zip(task["query_images"].split(_TOGETHER), task["query_labels"].split(_TOGETHER))
                ]
            )

    return {"computes": CNN, **peers_cnn.timed_solve(folder, name, some, solve, matrix="hessian")}


def cg(model: torch.nn.Module, **options: Any) -> IFAttributorCG:
    """Its attributor by conjugate gradient for the cross entropy of a model."""

    def loss(params: dict[str, torch.Tensor], data: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x, y = data
        return functional.cross_entropy(torch.func.functional_call(model, params, x), y)

    return IFAttributorCG(AttributionTask(loss, model, model.state_dict()), **options)
