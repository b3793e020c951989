"""The convolutional network of :mod:`cnn_task` in PyTorch, and how far solutions for it are from solving anything."""

import time
from collections.abc import Callable
from pathlib import Path

import cnn_task
import numpy as np
import torch
import torch_models
from memory import Peak
from torch import nn
from torch.nn import functional

_BATCH = 250


class _Fold(nn.Module):
    """Patches of 2x2 pixels become channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        return x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(n, 4 * c, h // 2, w // 2)


class _Highest(nn.Module):
    """The maximum over pixels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.amax(dim=(2, 3))


def _cnn() -> nn.Sequential:
    first, second, third = cnn_task.MODELS["cnn"]["widths"]
    return nn.Sequential(
        *(_Fold(), nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(12, first, 2), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(first, second, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(second, third, 3, padding=1), _Highest(), nn.ReLU(), nn.Linear(third, 10)),
    )


def load(folder: Path, name: str) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """The network in evaluation mode, and the task's arrays, images as (n, 3, 32, 32).

    Raises:
        RuntimeError: its logits are not those that the other framework gave.
    """
    model = _cnn() if name == "cnn" else torch_models.resnet20()
    left = cnn_task.weights(folder)
    with torch.no_grad():
        for layer in model.modules():
            for slot in _slots(layer):
                array = left.pop(0)
                turned = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[array.ndim]
                slot.copy_(torch.from_numpy(array.transpose(turned).copy()))
    model.eval()
    task = {key: torch.from_numpy(array) for key, array in cnn_task.load(folder).items()}
    for key in ("images", "query_images"):
        task[key] = task[key].permute(0, 3, 1, 2).contiguous()
    for key in ("labels", "query_labels"):
        task[key] = task[key].long()
    with torch.no_grad():
        off = (model(task["images"][:_BATCH]) - task["logits"][:_BATCH]).abs().max()
    if left or not off < 1e-3:
        raise RuntimeError(f"the networks are not the same: logits differ by {off}, {len(left)} weights are left over")
    return model, task


def _slots(layer: nn.Module) -> list[torch.Tensor]:
    if isinstance(layer, nn.BatchNorm2d):
        return [layer.weight, layer.bias, layer.running_mean, layer.running_var]
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        return [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
    return []


def gradients(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(k, p), the gradients of the losses of a few examples, parameters in the order of ``model.parameters()``."""
    found = []
    for one, label in zip(x, y):
        parts = torch.autograd.grad(functional.cross_entropy(model(one[None]), label[None]), list(model.parameters()))
        found.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(found)


def residuals(
    model: nn.Module, task: dict[str, torch.Tensor], x: torch.Tensor, *, matrix: str, damping: float
) -> np.ndarray:
    """(k,) ||g - (A + damping I) x|| / ||g|| of solutions (k, p), with A the "hessian" or "gauss_newton" matrix."""
    rhs = gradients(model, task["query_images"], task["query_labels"])
    params = {name: p.detach() for name, p in model.named_parameters()}
    product = {"hessian": _hessian, "gauss_newton": _gauss_newton}[matrix]
    moved = torch.zeros_like(rhs)
    n = len(task["labels"])
    for i in range(0, n, _BATCH):
        some = task["images"][i : i + _BATCH], task["labels"][i : i + _BATCH]
        for j in range(len(rhs)):
            moved[j] += product(model, params, *some, x[j]) / n
    left = rhs - moved - damping * x
    return (torch.linalg.norm(left, dim=1) / torch.linalg.norm(rhs, dim=1)).numpy()


def _split(params: dict[str, torch.Tensor], v: torch.Tensor) -> dict[str, torch.Tensor]:
    parts = v.split([p.numel() for p in params.values()])
    return {name: part.reshape(p.shape) for (name, p), part in zip(params.items(), parts)}


def _flat(parts: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([part.flatten() for part in parts.values()])


def _hessian(model: nn.Module, params, x: torch.Tensor, y: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    def loss(p):
        return functional.cross_entropy(torch.func.functional_call(model, p, x), y, reduction="sum")

    return _flat(torch.func.jvp(torch.func.grad(loss), (params,), (_split(params, v),))[1])


def _gauss_newton(model: nn.Module, params, x: torch.Tensor, y: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    def outputs(p):
        return torch.func.functional_call(model, p, x)

    z, moved = torch.func.jvp(outputs, (params,), (_split(params, v),))
    probabilities = functional.softmax(z, dim=1)
    bent = probabilities * (moved - (probabilities * moved).sum(1, keepdim=True))
    return _flat(torch.func.vjp(outputs, params)[1](bent)[0])


def timed_solve(
    folder: Path,
    name: str,
    some: int,
    solve: Callable[[nn.Module, dict[str, torch.Tensor]], torch.Tensor],
    *,
    matrix: str,
) -> dict[str, object]:
    """Run a package's solver for the first queries; the residuals of what it returns are those in its own system.

    ``seconds`` is for all queries: their number over ``some`` times what was measured.
    """
    with Peak() as peak:
        model, task = load(folder, name)
        queries = len(task["query_labels"])
        task |= {key: task[key][:some] for key in ("query_images", "query_labels")}
        started = time.perf_counter()
        x = solve(model, task)
        seconds = time.perf_counter() - started
    left = residuals(model, task, x.detach(), matrix=matrix, damping=cnn_task.DAMPING)
    return {
        "seconds": seconds * queries / len(left),
        "measured": {"queries": len(left), "seconds": seconds},
        "matrix": matrix,
        "worst_residual": float(left.max()),
        "median_residual": float(np.median(left)),
        "threads": torch.get_num_threads(),
        **peak.bytes,
    }
