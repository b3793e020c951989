"""A learned detector as one file: its arrays, what it reads, and its card, without pickle."""

import json

import numpy as np

from jaxnoisy import files
from jaxnoisy.detect.lstm_detector import LSTMDetector
from jaxnoisy.detect.lstm_network import LSTMWeights
from jaxnoisy.recurrence import LSTMLayer

FORMAT = "jaxnoisy-lstm-detector-1"


def save_detector(path: files.PathLike, detector: LSTMDetector) -> None:
    """Write a detector as an ``.npz`` of plain arrays, whole or not at all. Its ``info`` is not kept.

    Raises:
        TypeError: a card with values that are not text, numbers, lists, mappings or None.
        OSError: the file cannot be written.

    Example:
        >>> import tempfile, jax
        >>> from pathlib import Path
        >>> from jaxnoisy.detect import lstm_network
        >>> weights = lstm_network.init(jax.random.key(0), signals=1, hidden=4, layers=2)
        >>> path = Path(tempfile.mkdtemp()) / "detector.npz"
        >>> save_detector(path, LSTMDetector(weights, ("probability",), 20, {"about": "drawn, not trained"}))
        >>> load_detector(path).card["about"]
        'drawn, not trained'
    """
    layers = {
        f"layer{i}_{name}": np.asarray(array, np.float32)
        for i, layer in enumerate(detector.weights.layers)
        for name, array in layer._asdict().items()
    }
    header = {
        "format": np.array(FORMAT),
        "signals": np.array(detector.signals),
        "epochs": np.array(detector.epochs),
        "layers": np.array(len(detector.weights.layers)),
        "card": np.array(json.dumps(files.plain(detector.card), allow_nan=False)),
    }
    head = {name: np.asarray(getattr(detector.weights, name), np.float32) for name in ("head", "offset")}
    files.write_npz(path, {**header, **layers, **head})


def load_detector(path: files.PathLike) -> LSTMDetector:
    """Read a detector that :func:`save_detector` wrote.

    Raises:
        ValueError: no such file, not a detector, another version, truncated, arrays that are missing, not floating
            point or of shapes that do not fit, values that are not finite, or signals that this version does not know.
    """
    arrays = files.read_npz(path)
    found = str(arrays.get("format", "none"))
    if found != FORMAT:
        raise ValueError(
            f"{path!s} is not a detector of this version (format {found!r}, expected {FORMAT!r}): "
            "train it anew, or read it with the version of jaxnoisy that wrote it"
        )
    try:
        count, epochs = (int(_taken(arrays, name)) for name in ("layers", "epochs"))
        layers = tuple(
            LSTMLayer(*(_floats(arrays, f"layer{i}_{name}") for name in LSTMLayer._fields)) for i in range(count)
        )
        weights = LSTMWeights(layers, _floats(arrays, "head"), _floats(arrays, "offset"))
        signals = tuple(str(name) for name in np.atleast_1d(_taken(arrays, "signals")))
        card = json.loads(str(_taken(arrays, "card")))
        if not isinstance(card, dict):
            raise ValueError("its card is not a JSON object")
        return LSTMDetector(weights, signals, epochs, card)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path!s} is not a whole detector: {error}") from error


def _taken(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"it lacks the array {name}")
    return arrays[name]


def _floats(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    array = _taken(arrays, name)
    if array.dtype != np.float32:
        raise ValueError(f"array {name} must be float32, but is {array.dtype}")
    return array
