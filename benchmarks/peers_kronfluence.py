"""Influence by kronfluence: EK-FAC."""

import tempfile
import time
from pathlib import Path
from typing import Any

import cnn_task
import head_task
import numpy as np
import peers_cnn
import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from memory import Peak
from torch.nn import functional
from torch.utils.data import TensorDataset

HEAD = (
    "EK-FAC, an approximation (labels drawn from the model, as by default): pairwise influence of all queries and the "
    "self-influence of all examples; it has no norms"
)
CNN = (
    "EK-FAC of convolutional and linear layers (labels drawn from the model, as by default), without the parameters of "
    "batch norm: factors, and the self-influence of all examples"
)


class Classification(Task):
    """Cross entropy on a pair (inputs, labels), summed over the batch."""

    def compute_train_loss(self, batch, model, sample=False):
        """The loss at the given labels, or at labels drawn from the model."""
        x, y = batch
        logits = model(x)
        if sample:
            y = torch.multinomial(functional.softmax(logits.detach(), dim=-1), 1).flatten()
        return functional.cross_entropy(logits, y, reduction="sum")

    def compute_measurement(self, batch, model):
        """The loss of the queries."""
        return self.compute_train_loss(batch, model)


def exact(folder: Path) -> dict[str, Any]:
    """Pairwise and self-influence of a linear head."""
    with Peak() as peak:
        task = {name: torch.from_numpy(array) for name, array in head_task.load(folder).items()}
        model = torch.nn.Sequential(torch.nn.Linear(*task["kernel"].shape))
        with torch.no_grad():
            model[0].weight.copy_(task["kernel"].T)
            model[0].bias.copy_(task["bias"])
        train = TensorDataset(task["features"], task["labels"].long())
        queries = TensorDataset(task["query_features"], task["query_labels"].long())
        timed, found = scores(model, train, queries, damping=head_task.DAMPING)
        head_task.save(folder, "kronfluence", **{name: x.numpy() for name, x in found.items()})
    return {"computes": HEAD, "threads": torch.get_num_threads(), **timed, **peak.bytes}


def cnn(folder: Path, *, name: str) -> dict[str, Any]:
    """Self-influence of the training images of a convolutional network, into ``kronfluence-NAME.npy``."""
    with Peak() as peak:
        model, task = peers_cnn.load(folder, name)
        train = TensorDataset(task["images"], task["labels"])
        timed, found = scores(model, train, None, damping=cnn_task.DAMPING, batch_size=250)
        np.save(folder / f"kronfluence-{name}.npy", found["forms"].numpy())
    return {"computes": CNN, "threads": torch.get_num_threads(), **timed, **peak.bytes}


def scores(
    model: torch.nn.Module,
    train: TensorDataset,
    queries: TensorDataset | None,
    *,
    damping: float,
    batch_size: int = 1000,
) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Seconds in all and of the parts; self-influence as ``forms`` (n,) and, for queries, ``pairwise`` (n, k)."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        marks = [time.perf_counter()]
        model = prepare_model(model, Classification())
        analyzer = Analyzer("run", model, Classification(), cpu=True, disable_tqdm=True, output_dir=folder)
        analyzer.fit_all_factors(
            "ekfac", train, per_device_batch_size=batch_size, factor_args=FactorArguments(strategy="ekfac")
        )
        marks.append(time.perf_counter())
        options = {"factors_name": "ekfac", "train_dataset": train, "per_device_train_batch_size": batch_size}
        options["score_args"] = ScoreArguments(damping_factor=damping)
        analyzer.compute_self_scores("self", **options)
        forms = analyzer.load_self_scores("self")["all_modules"]
        marks.append(time.perf_counter())
        found = {"forms": forms}
        if queries is not None:
            analyzer.compute_pairwise_scores(
                "pairwise", query_dataset=queries, per_device_query_batch_size=len(queries), **options
            )
            found["pairwise"] = analyzer.load_pairwise_scores("pairwise")["all_modules"].T
            marks.append(time.perf_counter())
    parts = dict(zip(("factor_seconds", "self_seconds", "pairwise_seconds"), np.diff(marks).tolist()))
    return {"seconds": marks[-1] - marks[0], **parts}, found
