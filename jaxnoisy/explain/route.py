"""What every way to influence takes and gives, so that one more is a function and a name."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import numpy as np

from jaxnoisy.curvature import SolveInfo
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.influence import Rows
from jaxnoisy.losses import cross_entropy
from jaxnoisy.training.trained import Pure
from jaxnoisy.types import Array, PyTree


class Task(NamedTuple):
    """What is asked.

    Attributes:
        model: the model apart.
        train: n examples.
        queries: k examples.
        damping: added to the diagonal, > 0.
        tolerance: relative residual up to which a system counts as solved.
        max_steps: the most passes of an iterative solver.
        timings: seconds by stage, to be added to.
    """

    model: Pure
    train: Dataset
    queries: Dataset
    damping: float
    tolerance: float
    max_steps: int
    timings: dict[str, float]


class Found(NamedTuple):
    """What a route gives.

    Attributes:
        rows: the (n, k) influences, as a recipe.
        solution: how the k systems were solved.
        self_influence: (n,).
        logits: (k, c) of the queries.
        train_predictions: (n,) int32.
        notes: plain values for the settings, such as how self-influence was approximated.
    """

    rows: Rows
    solution: SolveInfo
    self_influence: np.ndarray
    logits: np.ndarray
    train_predictions: np.ndarray
    notes: dict[str, object]


class Route(Protocol):
    """A way to influence."""

    def __call__(self, task: Task) -> Found:
        """Compute it."""


def example_model(model: Pure) -> Callable[[PyTree, Array], Array]:
    """``f(params, input) -> logits`` of one example as stored, in evaluation mode."""

    def of(params: PyTree, one: Array) -> Array:
        return model.logits(params, model.rest, one[None])[0]

    return of


def output_loss(logits: Array, label: Array) -> Array:
    """Cross entropy of one example."""
    return cross_entropy(logits[None], label[None])[0]


def example_loss(model: Pure) -> Callable[[PyTree, tuple[Array, Array]], Array]:
    """``loss(params, (input, label))`` of one example as stored."""
    logits = example_model(model)

    def loss(params: PyTree, example: tuple[Array, Array]) -> Array:
        return output_loss(logits(params, example[0]), example[1])

    return loss


def on_host(info: SolveInfo) -> SolveInfo:
    """The same as NumPy arrays."""
    return jax.tree.map(np.asarray, jax.device_get(info))
