"""What it brings to train again: without the labels that a detector suspects, or with those replaced.

Removed is what scores highest, as much as is wrong, and what the LSTM detector flags by itself; Standard keeps all,
Oracle removes what is wrong. As in the paper the batch shrinks with what is left. Debugging replaces the labels of the
most suspicious 5 and 10 % by true ones (a person who looks), or by those that a network gives which was trained without
the flagged examples, and trains on all.
"""

from typing import Any

import numpy as np
from lstm_traces import Run, Traces

from jaxnoisy.data import Dataset
from jaxnoisy.detect import LSTMDetector, aum, lstm, ranking, rules
from jaxnoisy.training import predict

SHARES = (0.05, 0.10)


def retrained(traces: Traces, detector: LSTMDetector, run: Run) -> dict[str, Any]:
    """Accuracy on examples apart after removal."""
    taken = traces(run)
    data, flips = traces.data(run)
    rule = rules.top_fraction(float(flips.mean()))
    removed = {
        "Oracle": flips,
        "lstm, as many as are wrong": lstm(detector, rule=rule)(taken.trace).flagged,
        "lstm, above 0.5": lstm(detector)(taken.trace).flagged,
        "AUM, as many as are wrong": aum(rule=rule)(taken.trace).flagged,
    }
    accuracy = {"Standard": taken.test_accuracy}
    accuracy |= {name: _without(traces, run, data, gone) for name, gone in removed.items()}
    left = {
        name: {"removed": float(gone.mean()), "wrong": float(flips[~gone].mean())} for name, gone in removed.items()
    }
    return {"accuracy": accuracy, "left": left}


def debugged(traces: Traces, detector: LSTMDetector, run: Run) -> dict[str, Any]:
    """Accuracy on examples apart after the labels of a few were replaced."""
    taken = traces(run)
    data, _ = traces.data(run)
    assert data.clean_labels is not None
    detection = lstm(detector)(taken.trace)
    order = ranking(detection)
    done = traces.trained(run, data, keep=~detection.flagged, batch=float((~detection.flagged).mean()), record="none")
    logits = predict(done.network, done.state.params, done.state.rest, done.scale, data.inputs)
    sources = {"true": data.clean_labels, "the network's": logits.argmax(axis=1).astype(np.int32)}
    accuracy = {"Standard": taken.test_accuracy, "without what is flagged": traces.accuracy(run, done)}
    right = {}
    for share in SHARES:
        top = order[: round(share * len(data))]
        for source, labels in sources.items():
            replaced = data.labels.copy()
            replaced[top] = labels[top]
            name = f"{share:.0%}, {source}"
            right[name] = float((replaced[top] == data.clean_labels[top]).mean())
            again = traces.trained(run, data.with_labels(replaced), record="none")
            accuracy[name] = traces.accuracy(run, again)
    return {"accuracy": accuracy, "right": right}


def _without(traces: Traces, run: Run, data: Dataset, gone: np.ndarray) -> float:
    if gone.all():
        return float("nan")
    return traces.accuracy(run, traces.trained(run, data, keep=~gone, batch=float((~gone).mean()), record="none"))
