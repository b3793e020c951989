"""``scores.npz``: what a repair went by, as arrays to be read back."""

import numpy as np

from jaxnoisy import files
from jaxnoisy.repaired import Evidence, Repaired


def write_scores(path: files.PathLike, found: Repaired) -> None:
    """Write the record's arrays under the names of its attributes, rows in the order of the training examples.

    Where there is evidence, its arrays follow, those of :class:`~jaxnoisy.detect.InfluentialRankInfo` among them; the
    mixtures stand as ``mixture_means``, ``mixture_variances`` and ``mixture_weights``, each (c, 2), with NaN for a
    class that cannot vote. :func:`jaxnoisy.files.read_npz` reads it all back.
    """
    arrays = {"ids": found.dataset.ids, "given": found.dataset.labels}
    arrays |= {name: getattr(found, name) for name in ("labels", "used", "removed_in", "confidence", "scores")}
    if found.evidence is not None:
        arrays |= _of_evidence(found.evidence)
    files.write_npz(path, arrays)


def _of_evidence(seen: Evidence) -> dict[str, np.ndarray]:
    arrays = {name: np.asarray(value) for name, value in seen._asdict().items() if name != "info"}
    arrays |= {name: np.asarray(getattr(seen.info, name)) for name in ("candidates", "votes", "required")}
    nothing = np.full(2, np.nan)
    for part in ("means", "variances", "weights"):
        rows = [nothing if mixture is None else getattr(mixture, part) for mixture in seen.info.mixtures]
        arrays[f"mixture_{part}"] = np.stack(rows)
    return arrays
