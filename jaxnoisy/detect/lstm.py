"""The score that a learned detector gives: how it reads a trace."""

import functools

import numpy as np

from jaxnoisy.detect.detection import Detection, Detector
from jaxnoisy.detect.lstm_detector import LSTMDetector
from jaxnoisy.detect.lstm_network import scored
from jaxnoisy.detect.reduce import decided, require_epochs
from jaxnoisy.detect.rules import Rule, above
from jaxnoisy.detect.shipped import shipped_detector
from jaxnoisy.dynamics.inputs import by_block
from jaxnoisy.dynamics.trace import Trace


def lstm(detector: LSTMDetector | None = None, *, rule: Rule | None = None) -> Detector:
    """The score is the probability of being mislabeled that a trained network gives to an example's dynamics.

    Jia et al. (2023), "Learning from training dynamics: identifying mislabeled data beyond manually designed features",
    section 3.2, step 3. The probability is calibrated for the noise rate that the detector was trained under; where
    another rate is known, ``rules.top_fraction`` flags by it.

    Args:
        detector: from :func:`~jaxnoisy.detect.lstm_training.train_detector` or a file; by default the one that comes
            with the package, :func:`~jaxnoisy.detect.shipped.shipped_detector`.
        rule: how scores are flagged; above 0.5 by default.

    Returns:
        ``detect(trace) -> Detection``. A trace of another length is resampled to the detector's, and epochs in which an
        example was not recorded are interpolated. Cost: one forward pass of the network over n t steps.

    Raises:
        TypeError: something else than a detector.
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
    detector = shipped_detector() if detector is None else detector
    if not isinstance(detector, LSTMDetector):
        raise TypeError(f"detector must be an LSTMDetector, from train_detector or load_detector, but is {detector!r}")

    def detect(trace: Trace) -> Detection:
        require_epochs(trace, "lstm")
        score = functools.partial(scored, detector.weights)
        read = by_block(trace, score, signals=detector.signals, epochs=detector.epochs)
        # In double precision, where confident examples do not all become 1 and tie.
        return decided(1 / (1 + np.exp(-read.astype(np.float64))), rule or above(0.5))

    return detect
