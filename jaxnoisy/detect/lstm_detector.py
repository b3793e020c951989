"""A detector that learned from training dynamics: what it holds, and what it makes of sequences."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.lstm_network import LSTMWeights, scored
from jaxnoisy.dynamics.inputs import chosen_signals


@dataclasses.dataclass(frozen=True, eq=False)
class LSTMDetector:
    """A trained network and what it needs to read a trace as it read those it learned from.

    Attributes:
        weights: :class:`~jaxnoisy.detect.lstm_network.LSTMWeights`.
        signals: s names of :data:`jaxnoisy.dynamics.inputs.SIGNALS`, in the order of its inputs.
        epochs: t, the length of its sequences; traces of other lengths are resampled to it.
        card: plain values that say where it comes from: settings, numbers of examples, validation.
        info: :class:`~jaxnoisy.detect.lstm_fit.LSTMInfo` of its last training; None for one read from a file.
    """

    weights: LSTMWeights
    signals: tuple[str, ...]
    epochs: int
    card: Mapping[str, Any] = dataclasses.field(default_factory=lambda: MappingProxyType({}))
    info: Any = None

    def __post_init__(self) -> None:
        names = chosen_signals(self.signals)
        check.positive_int(self.epochs, name="epochs", minimum=2)
        _fitting(self.weights, len(names))

    def logits(self, values: np.ndarray) -> np.ndarray:
        """Score sequences.

        Args:
            values: (n, t, s) floats, as :func:`jaxnoisy.dynamics.inputs.sequences` reads them for these signals and
                this number of epochs.

        Returns:
            (n,) float32 log odds of being mislabeled.

        Raises:
            ValueError: another shape, or values that are not finite.
        """
        shape = (self.epochs, len(self.signals))
        values = np.asarray(values, np.float32)
        if values.ndim != 3 or values.shape[1:] != shape or len(values) == 0:
            raise ValueError(
                f"this detector reads sequences of shape (n, {shape[0]}, {shape[1]}) with n >= 1, but was given "
                f"{values.shape}: read the trace with sequences(trace, signals={self.signals}, epochs={self.epochs})"
            )
        check.finite(values, name="sequences")
        return scored(self.weights, values)


def _fitting(weights: LSTMWeights, signals: int) -> None:
    """Refuse arrays that do not belong to one network."""
    if not weights.layers:
        raise ValueError("the detector has no layers")
    hidden = int(np.shape(weights.head)[0]) if np.ndim(weights.head) == 1 else -1
    expected = {"head": (hidden,), "offset": ()}
    found = {"head": np.shape(weights.head), "offset": np.shape(weights.offset)}
    for i, layer in enumerate(weights.layers):
        expected |= {
            f"layer {i} kernel": (hidden if i else signals, 4 * hidden),
            f"layer {i} recurrent": (hidden, 4 * hidden),
            f"layer {i} bias": (4 * hidden,),
        }
        found |= {f"layer {i} {name}": np.shape(array) for name, array in layer._asdict().items()}
    for name, shape in expected.items():
        if found[name] != shape:
            raise ValueError(
                f"array {name} must have shape {shape} in a network for {signals} signals, but has {found[name]}"
            )
    for array in (weights.head, weights.offset, *(array for layer in weights.layers for array in layer)):
        check.finite(array, name="an array of the detector")
