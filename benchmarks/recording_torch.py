"""What recording costs in one PyTorch loop: with the ``aum`` package, and with the library's recorder on the host."""

import tempfile
from collections.abc import Callable
from typing import Any

import aum
import common
import numpy as np
import torch
import torch_models
from torch.nn import functional

from jaxnoisy.dynamics import HostRecorder

Record = Callable[[int, torch.Tensor], None]
"""(number of the batch, its logits) -> None."""


def step_cost(model: str, n: int, *, columns: int, batch: int, steps: int, rounds: int, seed: int) -> dict[str, Any]:
    """Seconds a step of the loop alone and with each recorder, interleaved, and what each adds.

    The row numbers are handed over as each recorder likes them, so that none pays for a conversion.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(n)[: steps * batch].reshape(steps, batch)
    labels = rng.integers(0, 10, n)
    targets = torch.from_numpy(labels[rows])
    shape = (512,) if model == "mlp" else (3, 32, 32)
    inputs = torch.randn(steps, batch, *shape)

    with tempfile.TemporaryDirectory() as folder:
        calculator = aum.AUMCalculator(folder, compressed=True)
        recorder = HostRecorder(labels, columns, num_classes=10)
        names = [part.tolist() for part in rows]
        loops: dict[str, Callable[[], None]] = {}
        ways: dict[str, Record | None] = {
            "none": None,
            "none, again": None,
            "aum": lambda i, logits: calculator.update(logits.detach(), targets[i], names[i]) and None,
            "HostRecorder": lambda i, logits: recorder.record(0, rows[i], logits.detach().numpy()),
        }
        for name, record in ways.items():
            loops[name] = _loop(torch_models.MODELS[model](), inputs, targets, record)
        seconds = common.interleaved(loops, rounds=rounds)
    return {
        "step_seconds": {name: common.spread(np.array(values) / steps) for name, values in seconds.items()},
        "overhead": common.overheads(seconds, "none"),
        "parameters": torch_models.parameters(torch_models.MODELS[model]()),
    }


def _loop(
    model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor, record: Record | None
) -> Callable[[], None]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def run() -> None:
        for i, (x, y) in enumerate(zip(inputs, targets)):
            optimizer.zero_grad(set_to_none=True)
            logits = model(x)
            functional.cross_entropy(logits, y).backward()
            optimizer.step()
            if record is not None:
                record(i, logits)

    return run
