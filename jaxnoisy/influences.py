"""Which training examples made a model say what it says: the record that reports, tables and notebooks read."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxnoisy.curvature import SolveInfo, describe
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.influence import Rows, Top


class Answer(NamedTuple):
    """One query.

    Attributes:
        label: its given class number.
        prediction: the class number that the model gives it.
        loss: cross entropy of the given label, in nats.
        helpful: (count,) rows of the training examples that lower this loss most, the most helpful first; -1 where
            fewer influences than that are defined.
        helps: (count,) their influences, rising from the most negative.
        harmful: (count,) rows of those that raise it most, the most harmful first.
        harms: (count,) their influences, falling.
        residual: relative residual of the solution that the influences come from.
    """

    label: int
    prediction: int
    loss: float
    helpful: np.ndarray
    helps: np.ndarray
    harmful: np.ndarray
    harms: np.ndarray
    residual: float


@dataclasses.dataclass(frozen=True, eq=False)
class Influences:
    """The influence of n training examples on the losses of k queries.

    The influence of example i on a query is the derivative of the query's loss by the weight of i in the mean training
    loss (Koh and Liang 2017, eq. 2). Below 0 the example helps: more weight on it lowers the loss. Above 0 it harms.
    Leaving it out changes the loss by about -1/n of its influence.

    Attributes:
        dataset: the n training examples.
        queries: the k queries, in the classes of the training examples.
        query_rows: (k,) which training examples the queries are, or None where they are others.
        losses: (k,) float32, cross entropy of each query's given label, in nats.
        predictions: (k,) int32, the class that the model gives each query.
        top: the most helpful and the most harmful examples of each query.
        solution: how the systems for the k queries were solved, as NumPy arrays.
        self_influence: (n,) float32, g_i^T (A + damping I)^-1 g_i: how much more weight on an example lowers its own
            loss. Wrong labels are often high.
        train_predictions: (n,) int32, the class that the model gives each training example.
        rows: all influences, (n, k), as a recipe for the functions of :mod:`jaxnoisy.influence`; nothing of it is held.
        settings: what was run, for the summary: plain values only.
        timings: seconds by stage.
    """

    dataset: Dataset
    queries: Dataset
    query_rows: np.ndarray | None
    losses: np.ndarray
    predictions: np.ndarray
    top: Top
    solution: SolveInfo
    self_influence: np.ndarray
    train_predictions: np.ndarray
    rows: Rows
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    timings: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def count(self) -> int:
        """How many helpful and how many harmful examples there are of each query."""
        return int(np.shape(self.top.largest_at)[1])

    @property
    def class_names(self) -> tuple[str, ...]:
        """The c class names."""
        return self.dataset.class_names

    @property
    def convergence(self) -> str:
        """How the systems were solved, in words."""
        return describe(self.solution)

    def answer(self, query: int) -> Answer:
        """Everything about one query, by its number."""
        return Answer(
            label=int(self.queries.labels[query]),
            prediction=int(self.predictions[query]),
            loss=float(self.losses[query]),
            helpful=np.asarray(self.top.smallest_at[query]),
            helps=np.asarray(self.top.smallest[query]),
            harmful=np.asarray(self.top.largest_at[query]),
            harms=np.asarray(self.top.largest[query]),
            residual=float(np.asarray(self.solution.residual)[query]),
        )

    def by_self_influence(self) -> np.ndarray:
        """(n,) rows of the training examples, the highest self-influence first; ties in their order."""
        return np.argsort(-self.self_influence, kind="stable")
