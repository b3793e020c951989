"""The look-ahead in PyTorch, by differentiating through the update, timed beside its plain step."""

from collections.abc import Callable
from typing import Any

import common
import numpy as np
import torch
import torch_models
from memory import Peak
from torch.func import functional_call
from torch.nn import functional

RATE, MOMENTUM, DECAY = 0.01, 0.9, 5e-4


class Steps:
    """A model, a batch and a clean batch, and both kinds of step on them."""

    def __init__(self, model: str, *, batch: int, seed: int) -> None:
        torch.manual_seed(seed)
        shape = (512,) if model == "mlp" else (3, 32, 32)
        self.model = torch_models.MODELS[model]().train()
        self.inputs = torch.randn(2, batch, *shape)
        self.labels = torch.randint(0, 10, (2, batch))
        self.weights = torch.full((batch,), 0.5)
        self.params = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.momentum = {name: torch.zeros_like(p) for name, p in self.params.items()}

    def _after(self, params: dict[str, torch.Tensor], weights: torch.Tensor, *, graph: bool) -> dict[str, torch.Tensor]:
        """Parameters after a step of SGD with momentum and weight decay on the weighted loss."""
        losses = functional.cross_entropy(
            functional_call(self.model, params, (self.inputs[0],)), self.labels[0], reduction="none"
        )
        loss = (weights * losses).sum() / weights.sum()
        found = torch.autograd.grad(loss, list(params.values()), create_graph=graph)
        moved = {}
        for (name, p), g in zip(params.items(), found):
            velocity = MOMENTUM * self.momentum[name] + g + DECAY * p
            self.momentum[name] = velocity.detach()
            moved[name] = p - RATE * velocity
        return moved

    def plain(self) -> None:
        """Take a step by the weights as they are."""
        params = {name: p.requires_grad_() for name, p in self.params.items()}
        moved = self._after(params, self.weights, graph=False)
        self.params = {name: p.detach() for name, p in moved.items()}

    def reverse(self) -> None:
        """Take a step, and move the weights by its derivative."""
        params = {name: p.requires_grad_() for name, p in self.params.items()}
        weights = self.weights.clone().requires_grad_()
        moved = self._after(params, weights, graph=True)
        logits = functional_call(self.model, moved, (self.inputs[1],))
        clean = functional.cross_entropy(logits, self.labels[1], reduction="sum")
        (gradient,) = torch.autograd.grad(clean, weights)
        self.params = {name: p.detach() for name, p in moved.items()}
        self.weights = (self.weights - 1e-4 * gradient).clip(0.1, 1)

    def loop(self, name: str, *, steps: int) -> Callable[[], None]:
        """``steps`` steps a call, from where the last call ended."""
        step = getattr(self, name.split(",")[0])

        def run() -> None:
            for _ in range(steps):
                step()

        return run


def step_cost(model: str, *, batch: int, steps: int, rounds: int, seed: int) -> dict[str, Any]:
    """Seconds a step of both kinds, and what the look-ahead takes beside the plain one, per round."""
    loops = {
        name: Steps(model, batch=batch, seed=seed).loop(name, steps=steps)
        for name in ("plain", "plain, again", "reverse")
    }
    seconds = common.interleaved(loops, rounds=rounds)
    each = {name: np.array(values) / steps for name, values in seconds.items()}
    return {
        "step_seconds": {name: common.spread(values) for name, values in each.items()},
        "ratio": {name: common.spread(values / each["plain"]) for name, values in each.items() if name != "plain"},
        "parameters": torch_models.parameters(torch_models.MODELS[model]()),
    }


def peak_memory(model: str, variant: str, *, batch: int, seed: int) -> dict[str, Any]:
    """Memory above what the process held when model and data were ready, over five steps."""
    run = Steps(model, batch=batch, seed=seed).loop(variant, steps=5)
    with Peak() as peak:
        run()
    return peak.bytes
