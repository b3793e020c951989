"""``detections.npz``: every detector's word on every example, to be read back."""

import numpy as np

from jaxnoisy import files
from jaxnoisy.detect.detection import Detection
from jaxnoisy.findings import Findings

_PARTS = ("scores", "flagged", "threshold")


def write_detections(path: files.PathLike, findings: Findings) -> None:
    """Write ``ids`` and, per method, ``<method>/scores``, ``<method>/flagged`` and ``<method>/threshold``.

    The rows stand in the order of the data set. A threshold that is not one number is NaN. Where the truth is known,
    ``flips`` says which labels are wrong.
    """
    arrays = {"ids": findings.ids}
    if findings.flips is not None:
        arrays["flips"] = np.asarray(findings.flips, bool)
    for name, found in findings.detections.items():
        arrays[f"{name}/scores"] = np.asarray(found.scores, np.float64)
        arrays[f"{name}/flagged"] = np.asarray(found.flagged, bool)
        arrays[f"{name}/threshold"] = np.asarray(np.nan if found.threshold is None else found.threshold, np.float64)
    files.write_npz(path, arrays)


def read_detections(path: files.PathLike) -> tuple[np.ndarray, dict[str, Detection]]:
    """Read what :func:`write_detections` wrote.

    Returns:
        The ids, (n,) text, and the detections by method; their ``info`` is None, since it is not stored.

    Raises:
        ValueError: not such a file, or not a whole one.
    """
    arrays = files.read_npz(path)
    names = [key.removesuffix("/scores") for key in arrays if key.endswith("/scores")]
    missing = [key for key in ("ids", *(f"{name}/{part}" for name in names for part in _PARTS)) if key not in arrays]
    if missing or not names:
        raise ValueError(f"{path!s} lacks {', '.join(missing) or 'any scores'}: it is not a whole detections.npz")
    found = {}
    for name in names:
        threshold = float(arrays[f"{name}/threshold"])
        found[name] = Detection(
            arrays[f"{name}/scores"], arrays[f"{name}/flagged"], None if np.isnan(threshold) else threshold
        )
    return arrays["ids"], found


def read_flips(path: files.PathLike) -> np.ndarray | None:
    """Which labels are wrong, (n,) bool, or None where the truth was not known when :func:`write_detections` wrote."""
    return files.read_npz(path).get("flips")
