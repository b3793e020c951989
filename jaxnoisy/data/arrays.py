"""A data set from the arrays of one ``.npz`` file."""

from pathlib import Path

import numpy as np

from jaxnoisy import files
from jaxnoisy.data.dataset import Dataset, make
from jaxnoisy.data.errors import about

REQUIRED = ("inputs", "labels")
OPTIONAL = ("clean_labels", "class_names", "ids")


def read_arrays(path: files.PathLike) -> Dataset:
    """Read a data set from an ``.npz`` file with the arrays ``inputs`` and ``labels``.

    Args:
        path: a file as ``np.savez(path, inputs=..., labels=...)`` writes it. ``inputs`` is (n, ...) numbers, see
            :func:`jaxnoisy.data.make`; ``labels`` is (n,) integers from 0. ``clean_labels`` (n,), ``class_names``
            (c,) and ``ids`` (n,) may stand beside them; ids are the row numbers otherwise. Other arrays are left
            unread.

    Returns:
        The data set, named after the file.

    Raises:
        ValueError, TypeError: not an ``.npz`` file, pickled objects in it, an array missing, or one that does not
            fit the others. The message names the file.

    Example:
        >>> import numpy as np, tempfile
        >>> path = tempfile.mkdtemp() + "/train.npz"
        >>> np.savez(path, inputs=np.eye(3), labels=np.array([0, 1, 0]))
        >>> len(read_arrays(path))
        3
    """
    with about(path):
        pack = files.read_npz(path)
        missing = [name for name in REQUIRED if name not in pack]
        if missing:
            raise ValueError(
                f"there is no array {missing[0]!r}, only {', '.join(sorted(pack)) or 'nothing'}: save the data set "
                f"as np.savez(file, inputs=..., labels=...); {', '.join(OPTIONAL)} are optional"
            )
        return make(
            pack["inputs"],
            pack["labels"],
            class_names=_text(pack, "class_names"),
            ids=pack.get("ids"),
            clean_labels=pack.get("clean_labels"),
            name=Path(path).stem,
        )


def _text(pack: dict[str, np.ndarray], name: str) -> list[str] | None:
    if name not in pack:
        return None
    if pack[name].ndim != 1:
        raise ValueError(f"{name} must have shape (c,), but has shape {pack[name].shape}")
    return [str(x) for x in pack[name].tolist()]
