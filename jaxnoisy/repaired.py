"""What a repair came to: the record that reports, tables and notebooks read."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxnoisy.data.dataset import Dataset
from jaxnoisy.detect.influential_rank import InfluentialRankInfo
from jaxnoisy.repair.posttrain import RoundInfo


class Evidence(NamedTuple):
    """What the first round saw in n training examples and c classes of validation examples.

    Attributes:
        losses: (n,) float32, cross entropy of the given labels under the original model, in nats.
        osm: (n,) overfitting score on the model, in standard deviations from the mean.
        osd: (n, c) overfitting score on the data of each class.
        queries: (c,) validation examples per class.
        info: which examples were candidates, the classes' votes, and the mixtures fitted to the columns of ``osd``.
        shown_class: the class that ``spread`` is about.
        spread_rows: (r,) training examples, flagged ones and others.
        spread: (r, k) float32 influence of each of them on the loss of the k validation examples of the class shown.
        embedded_rows: (s,) training examples that are embedded.
        before: (s, 2) float32, t-SNE of what the last layer reads, under the original model.
        after: (s, 2) float32, the same under the last model.
    """

    losses: np.ndarray
    osm: np.ndarray
    osd: np.ndarray
    queries: np.ndarray
    info: InfluentialRankInfo
    shown_class: int
    spread_rows: np.ndarray
    spread: np.ndarray
    embedded_rows: np.ndarray
    before: np.ndarray
    after: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Repaired:
    """A data set with cleaned labels, and how it came to them.

    Attributes:
        dataset: the n training examples under their given labels.
        method: what found the examples to drop.
        labels: (n,) int32 cleaned labels: new ones for examples that were dropped, the given ones for the others.
        used: (n,) bool, the examples that the last model was trained on.
        removed_in: (n,) int32, the round in which an example was dropped for good; 0 = never.
        confidence: (n,) float32 probability of the cleaned label under the classifier that relabelled.
        scores: (n,) suspicion from the last round that scored the example; higher = more suspicious.
        rounds: a record of each round.
        accuracies: by model ("original", "round 1", ..., "trained anew"), then by data ("validation", "test").
        final: the model among these that the repair ends with.
        evidence: what figures show, or None where it was not collected.
        settings: what was run, for the summary: plain values only.
        timings: seconds by stage.
    """

    dataset: Dataset
    method: str
    labels: np.ndarray
    used: np.ndarray
    removed_in: np.ndarray
    confidence: np.ndarray
    scores: np.ndarray
    rounds: tuple[RoundInfo, ...]
    accuracies: Mapping[str, Mapping[str, float]]
    final: str
    evidence: Evidence | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    timings: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def removed(self) -> np.ndarray:
        """(n,) bool, examples that were dropped for good in some round."""
        return self.removed_in > 0

    @property
    def changed(self) -> np.ndarray:
        """(n,) bool, examples whose cleaned label is not the given one."""
        return self.labels != self.dataset.labels

    @property
    def cleaned(self) -> Dataset:
        """The examples that are used, under their cleaned labels."""
        return self.dataset.with_labels(self.labels).take(self.used)

    @property
    def noise_before(self) -> float | None:
        """Share of wrong labels among all examples; None where the truth is not known."""
        flips = self.dataset.flips
        return None if flips is None else float(flips.mean())

    @property
    def noise_after(self) -> float | None:
        """Share of wrong labels among the cleaned ones that are used; None where the truth is not known."""
        clean = self.dataset.clean_labels
        return None if clean is None or not self.used.any() else float((self.labels != clean)[self.used].mean())

    def by_suspicion(self) -> np.ndarray:
        """(n,) rows: dropped examples first, by round, then the others; each by score, ties in their order."""
        last = np.iinfo(np.int32).max
        return np.lexsort((-self.scores, np.where(self.removed, self.removed_in, last)))
