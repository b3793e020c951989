"""What detectors found in a data set: the record that reports, tables and notebooks read."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxnoisy.data.dataset import Dataset
from jaxnoisy.detect import TRACE_METHODS, Detection, Detector, estimated_noise_rate, margin_mixture
from jaxnoisy.dynamics.trace import Trace
from jaxnoisy.dynamics.votes import vote_block, vote_counts
from jaxnoisy.metrics import DetectionMetrics, detection_metrics
from jaxnoisy.timing import timed


@dataclasses.dataclass(frozen=True, eq=False)
class Findings:
    """Every detector's word on one trace.

    Attributes:
        trace: the dynamics (or the one "epoch" of given probabilities) that the detectors read.
        detections: by method name, in the order asked for.
        primary: the method that ``issues.csv`` and the report's gallery follow.
        noise_rate: estimated share of wrong labels.
        dataset: the examples, or None when only a trace or probabilities were given.
        flips: (n,) bool, known wrong labels; None where the truth is not known.
        settings: what was run, for the summary: plain values only.
        timings: seconds by stage.
    """

    trace: Trace
    detections: Mapping[str, Detection]
    primary: str
    noise_rate: float
    dataset: Dataset | None = None
    flips: np.ndarray | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    timings: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.trace)

    @property
    def labels(self) -> np.ndarray:
        """(n,) int32 given labels."""
        return self.trace.labels

    @property
    def class_names(self) -> tuple[str, ...]:
        """The c class names; numbers where no data set is attached."""
        return self.dataset.class_names if self.dataset else tuple(str(k) for k in range(self.trace.num_classes))

    @property
    def ids(self) -> np.ndarray:
        """(n,) example names; row numbers where no data set is attached."""
        return self.dataset.ids if self.dataset else np.arange(len(self)).astype(str)

    def suggested(self, method: str | None = None) -> np.ndarray:
        """(n,) int32 label that each example might rather have, see :func:`suggested_labels`."""
        return suggested_labels(self.trace, self.detections[method or self.primary].flagged)

    def metrics(self) -> dict[str, DetectionMetrics]:
        """Each method measured against the known flips; empty where the truth is not known."""
        if self.flips is None:
            return {}
        return {name: detection_metrics(d.scores, d.flagged, self.flips) for name, d in self.detections.items()}


def find(
    trace: Trace,
    methods: Sequence[str],
    *,
    detectors: Mapping[str, Detector] | None = None,
    others: Mapping[str, Detection] | None = None,
    dataset: Dataset | None = None,
    flips: np.ndarray | None = None,
    settings: Mapping[str, Any] | None = None,
    timings: Mapping[str, float] | None = None,
) -> Findings:
    """Let detectors read a trace.

    Args:
        trace: n examples, t epochs.
        methods: names from :data:`jaxnoisy.detect.TRACE_METHODS` or ``others``, in the order to report them; the first
            is the primary one.
        detectors: detectors in the place of the table's, by name, such as ``{"lstm": lstm(load_detector(path))}``.
        others: detections that were made elsewhere, by name.
        dataset: the examples, if at hand.
        flips: (n,) bool, known wrong labels.
        settings: what was run, for the summary.
        timings: seconds of earlier stages; those of the detectors are added.

    Returns:
        :class:`Findings`; its noise rate is :func:`estimated_share`.
    """
    seconds = dict(timings or {})
    detections: dict[str, Detection] = {}
    for name in methods:
        if others and name in others:
            detections[name] = others[name]
            continue
        with timed(seconds, f"detect {name}"):
            detect = detectors[name] if detectors and name in detectors else TRACE_METHODS[name]()
            detections[name] = detect(trace)
    with timed(seconds, "estimate noise rate"):
        share = estimated_share(trace)
    return Findings(trace, detections, methods[0], share, dataset, flips, dict(settings or {}), seconds)


def estimated_share(trace: Trace) -> float:
    """The estimated share of wrong labels, whatever methods were asked for.

    Of training dynamics, the share that the margin mixture flags: confident learning's estimate takes probabilities
    out of sample for granted, and comes out too low on those of a model in training, which learns wrong labels too. Of
    a single column of probabilities (``from_probabilities``), confident learning's estimate.
    """
    if trace.epochs == 1 and trace.mean_probs is not None:
        return estimated_noise_rate(trace.labels, trace.mean_probs)
    return float(margin_mixture()(trace).flagged.mean())


def suggested_labels(trace: Trace, flagged: np.ndarray) -> np.ndarray:
    """Vote over the recorded predictions of each example.

    For an example that is kept, the class predicted in most epochs. For a flagged one the given label's votes do not
    count, since a model that memorised it votes for it in every late epoch; where no other class was ever predicted,
    the class with the largest mean probability besides the given one stands in if probabilities were recorded,
    otherwise the given label stays. Ties go to the smaller class number.

    Args:
        trace: n examples, t epochs.
        flagged: (n,) bool.

    Returns:
        (n,) int32. Cost O(n t) time and O(n + c) memory beyond a block of votes.
    """
    votes = trace.per_example(_votes, block=vote_block(trace))
    kept, other = votes[:, 0], votes[:, 1]
    return np.where(flagged, other, kept).astype(np.int32)


def _votes(part: Trace) -> np.ndarray:
    """(k, 2): the most predicted class, and the most predicted class besides the given label."""
    rows, labels, counts = np.arange(len(part)), part.labels, vote_counts(part)
    kept = np.where(counts.any(axis=1), counts.argmax(axis=1), labels)
    counts[rows, labels] = 0
    runner_up = labels
    if part.mean_probs is not None:
        probs = np.array(part.mean_probs, np.float32)
        probs[rows, labels] = -1
        runner_up = probs.argmax(axis=1)
    other = np.where(counts.any(axis=1), counts.argmax(axis=1), runner_up)
    return np.stack([kept, other], axis=1)
