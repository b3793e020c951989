"""Influence by curvlinops."""

from pathlib import Path
from typing import Any

import cnn_task
import peers_cnn
import torch
from curvlinops import CGInverseLinearOperator, GGNLinearOperator
from curvlinops.examples import IdentityLinearOperator

CNN = (
    "CGInverseLinearOperator on GGNLinearOperator + damping I: conjugate gradient for all queries at once, at its "
    "default stop, a mean residual below 1 after ten steps"
)

_BATCH = 100  # images whose products with all queries are held at once


def cnn(folder: Path, *, name: str, some: int) -> dict[str, Any]:
    """Solve for the gradients of ``some`` queries."""
    return {"computes": CNN, **peers_cnn.timed_solve(folder, name, some, _solve, matrix="gauss_newton")}


def _solve(model: torch.nn.Module, task: dict[str, torch.Tensor]) -> torch.Tensor:
    data = list(zip(task["images"].split(_BATCH), task["labels"].split(_BATCH)))
    params = [p for p in model.parameters() if p.requires_grad]
    matrix = GGNLinearOperator(model, torch.nn.CrossEntropyLoss(), params, data, check_deterministic=False)
    shapes = [p.shape for p in params]
    damped = matrix + cnn_task.DAMPING * IdentityLinearOperator(shapes, task["images"].device, task["images"].dtype)
    rhs = peers_cnn.gradients(model, task["query_images"], task["query_labels"])
    return (CGInverseLinearOperator(damped) @ rhs.T.contiguous()).T
