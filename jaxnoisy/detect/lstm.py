"""A detector that learned from training dynamics: what it holds, and how it reads a trace."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.detection import Detection, Detector
from jaxnoisy.detect.lstm_network import LSTMWeights, scored
from jaxnoisy.detect.reduce import decided, require_epochs
from jaxnoisy.detect.rules import Rule, above
from jaxnoisy.dynamics.inputs import chosen_signals, require_readable, sequences
from jaxnoisy.dynamics.trace import Trace


@dataclasses.dataclass(frozen=True, eq=False)
class LSTMDetector:
    """A trained network and what it needs to read a trace as it read those it learned from.

    Attributes:
        weights: :class:`~jaxnoisy.detect.lstm_network.LSTMWeights`.
        signals: s names of :data:`jaxnoisy.dynamics.inputs.READ`, in the order of its inputs.
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


def lstm(detector: LSTMDetector, *, rule: Rule | None = None) -> Detector:
    """The score is the probability of being mislabeled that a trained network gives to an example's dynamics.

    Jia et al. (2023), "Learning from training dynamics: identifying mislabeled data beyond manually designed features",
    section 3.2, step 3. The probability is calibrated for the noise rate that the detector was trained under; where
    another rate is known, ``rules.top_fraction`` flags by it.

    Args:
        detector: from :func:`~jaxnoisy.detect.lstm_training.train_detector` or a file.
        rule: how scores are flagged; above 0.5 by default.

    Returns:
        ``detect(trace) -> Detection``. A trace of another length is resampled to the detector's, and epochs in which an
        example was not recorded are interpolated. Cost: one forward pass of the network over n t steps.

    Raises:
        ValueError: from ``detect`` on a trace of one epoch, or when an example was never recorded.

    Example:
        >>> import jax, numpy as np
        >>> from jaxnoisy.detect import lstm, train_detector
        >>> from jaxnoisy.detect.lstm_config import LSTMConfig
        >>> rng, flips = np.random.default_rng(0), np.arange(40) % 4 == 0
        >>> values = np.where(flips[:, None], 0.1, 0.9) + rng.normal(0, 0.05, (40, 6))
        >>> config = LSTMConfig(hidden=4, layers=1, batch_size=8)
        >>> detector = train_detector(jax.random.key(0), values[..., None], flips, config)
        >>> bool((detector.logits(values[..., None])[flips].min() > detector.logits(values[..., None])[~flips]).all())
        True
    """
    if not isinstance(detector, LSTMDetector):
        raise TypeError(f"detector must be an LSTMDetector, from train_detector or load_detector, but is {detector!r}")

    def detect(trace: Trace) -> Detection:
        require_epochs(trace, "lstm")
        require_readable(trace, detector.signals)
        read = trace.per_example(
            lambda part: scored(detector.weights, sequences(part, signals=detector.signals, epochs=detector.epochs))
        )
        # In double precision, where confident examples do not all become 1 and tie.
        return decided(1 / (1 + np.exp(-read.astype(np.float64))), rule or above(0.5))

    return detect


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
