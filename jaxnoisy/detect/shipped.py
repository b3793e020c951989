"""The detector that comes with the package: trained already, and read when it is first asked for."""

import functools
from pathlib import Path

from jaxnoisy.detect.lstm_detector import LSTMDetector
from jaxnoisy.detect.lstm_file import load_detector

SHIPPED = Path(__file__).parent / "trained" / "lstm.npz"
"""Where it lies: in the package, as a file that :func:`~jaxnoisy.detect.lstm_file.save_detector` wrote."""


@functools.cache
def shipped_detector() -> LSTMDetector:
    """Read the trained detector of the package, once.

    Its ``card`` says what it learned from ("data", "noise", "model", "epochs", "seeds"), what it reached on what it had
    not seen ("metrics"), under which "licence" it stands, and the "command" that made it.

    Example:
        >>> detector = shipped_detector()
        >>> "margin" in detector.signals, detector.card["licence"].startswith("Apache-2.0")
        (True, True)
    """
    return load_detector(SHIPPED)
