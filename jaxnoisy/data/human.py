"""Labels that people gave: CIFAR-10N and CIFAR-100N on top of the CIFAR images, with the order checked.

Wei et al., "Learning with Noisy Labels Revisited" (ICLR 2022). The ``.pt`` files follow the order of the python
batches (torchvision's); the ``*_ordered.npy`` files follow the order in which TFDS reads CIFAR, and entry j of them
belongs to image ``image_order[j]`` of the python batches. A wrong order would turn 10 % noise into 90 %, so the clean
labels that each file carries are compared with the data set's, position by position. Only 10 % (or 1 %) would agree
by chance.
"""

import re
from pathlib import Path

import numpy as np

from jaxnoisy import check, files
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.data.errors import about
from jaxnoisy.data.pickled_files import read_pickled_dict

AGREEMENT = 0.999
"""The fraction of clean labels that must agree; in the published files all do."""

_CLEAN = ("clean", "clean_label")
_NAMES = {
    "cifar10n": {
        "aggre": (("aggre", "aggre_label"), _CLEAN),
        "random1": (("random1", "random_label1"), _CLEAN),
        "random2": (("random2", "random_label2"), _CLEAN),
        "random3": (("random3", "random_label3"), _CLEAN),
        "worst": (("worst", "worse_label", "worse", "worst_label"), _CLEAN),
    },
    "cifar100n": {
        "noisy": (("noisy", "noisy_label", "noise_label"), _CLEAN),
        "coarse": (("coarse", "noisy_coarse_label"), ("clean_coarse", "clean_coarse_label")),
    },
}
_ORDER_FILES = {"cifar10n": "image_order_c10.npy", "cifar100n": "image_order_c100.npy"}


def human_labels(path: files.PathLike, name: str, dataset: Dataset, *, scheme: str = "cifar10n") -> np.ndarray:
    """Read one of the published label vectors, in the order of ``dataset``.

    The order is settled by the clean labels in the file, which are compared with ``dataset.clean_labels`` where they
    are known and with ``dataset.labels`` otherwise. Tried in turn are the file's own order, the ids of the data set
    where they say which image of the python batches it is (TFDS: ``train_00042``), and the published index file
    (``image_order_c10.npy`` or ``image_order_c100.npy``) beside ``path``, in either direction.

    Args:
        path: ``CIFAR-10_human.pt``, ``CIFAR-10_human_ordered.npy`` or their CIFAR-100 counterparts, or an ``.npz``
            with arrays of the names below and ``clean``.
        name: for ``cifar10n`` "aggre", "random1", "random2", "random3" or "worst"; for ``cifar100n`` "noisy", or
            "coarse" for the 20 superclasses. The names inside the files, such as "worse_label", are understood too.
        dataset: n examples of CIFAR, all of them, or with TFDS ids any part of them.
        scheme: "cifar10n" or "cifar100n".

    Returns:
        (n,) int32 labels.

    Raises:
        ValueError: no such labels in the file, the order does not fit (the message says how many clean labels agree
            and what to provide), or the file is not plain arrays.

    Example:
        >>> import tempfile
        >>> from jaxnoisy.data import make
        >>> path = tempfile.mkdtemp() + "/pack.npz"
        >>> np.savez(path, clean=np.array([0, 1, 1]), worst=np.array([0, 0, 1]))
        >>> human_labels(path, "worst", make(np.eye(3), np.array([0, 1, 1])))
        array([0, 0, 1], dtype=int32)
    """
    label_keys, clean_keys = _keys(name, scheme)
    with about(path):
        pack = files.read_npz(path) if Path(path).suffix == ".npz" else read_pickled_dict(path)
        given = _vector(pack, label_keys, dataset.num_classes)
        clean = _vector(pack, clean_keys, dataset.num_classes)
        if len(given) != len(clean):
            raise ValueError(f"has {len(given)} labels {name!r} for {len(clean)} clean ones")
        return given[_order(Path(path), clean, dataset, _ORDER_FILES[scheme])]


def with_human_labels(dataset: Dataset, path: files.PathLike, name: str, *, scheme: str = "cifar10n") -> Dataset:
    """Put human labels on ``dataset``; the labels it had, which are CIFAR's own, become ``clean_labels``.

    See :func:`human_labels` for the arguments and errors.
    """
    given = human_labels(path, name, dataset, scheme=scheme)
    return dataset.with_labels(given, clean_labels=_truth(dataset))


def _truth(dataset: Dataset) -> np.ndarray:
    return dataset.labels if dataset.clean_labels is None else dataset.clean_labels


def _keys(name: str, scheme: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = _NAMES[check.one_of(scheme, tuple(_NAMES), name="scheme")]
    for short, (label_keys, clean_keys) in names.items():
        if name == short or name in label_keys:
            return label_keys, clean_keys
    raise ValueError(f"{scheme} has no labels named {name!r}: choose one of {', '.join(names)}")


def _vector(pack: dict, keys: tuple[str, ...], num_classes: int) -> np.ndarray:
    found = next((key for key in keys if key in pack), None)
    if found is None:
        raise ValueError(f"there are no labels {' or '.join(map(repr, keys))} in it, only {', '.join(sorted(pack))}")
    values = np.asarray(pack[found])
    # Some of the published vectors have shape (n, 1).
    return check.labels(values.reshape(-1) if values.shape[1:] == (1,) else values, num_classes=num_classes, name=found)


def _order(path: Path, clean: np.ndarray, dataset: Dataset, index_name: str) -> np.ndarray:
    """Rows of the file for each example of the data set, under which the clean labels agree."""
    truth = _truth(dataset)
    n = len(truth)
    best = 0.0
    tried = []

    def agrees(rows: np.ndarray) -> bool:
        nonlocal best
        agreement = float(np.mean(clean[rows] == truth))
        best = max(best, agreement)
        return agreement >= AGREEMENT

    if len(clean) == n:
        own = np.arange(n)
        tried.append("its own order")
        if agrees(own):
            return own
    python_rows = _python_rows(dataset.ids, len(clean))
    if python_rows is not None:
        tried.append("the order that the ids give")
        if agrees(python_rows):
            return python_rows
    index_path = path.with_name(index_name)
    if index_path.is_file():
        index = _permutation(index_path, len(clean))
        inverse = np.argsort(index)
        tried.append(f"{index_name} in both directions")
        # From python order to TFDS order the file is gathered by the index, back by its inverse.
        candidates = [index, inverse] if len(clean) == n else []
        if python_rows is not None:
            candidates.append(inverse[python_rows])
        for rows in candidates:
            if agrees(rows):
                return rows
    if not tried:
        raise ValueError(
            f"there are {len(clean)} labels in it for {n} examples: load the whole training split, or read it from "
            "TFDS with ids such as 'train_00042', which say where each image stands"
        )
    mend = (
        "check that both are the same data set and split, and that the data set's labels are CIFAR's own"
        if index_path.is_file()
        else f"if the one is in TFDS order and the other in the order of the python batches, put the published index "
        f"file {index_name} beside it"
    )
    raise ValueError(
        f"only {best:.2%} of its clean labels agree with the data set's ({AGREEMENT:.1%} are needed; tried "
        f"{', '.join(tried)}): the file is in another order; {mend}"
    )


def _python_rows(ids: np.ndarray, limit: int) -> np.ndarray | None:
    """Positions in the python batches, from ids such as ``train_00042``; None where ids are anything else."""
    matches = [re.fullmatch(r"train_(\d+)", str(text)) for text in ids]
    if not all(matches):
        return None
    rows = np.array([int(match[1]) for match in matches if match])
    return rows if rows.max() < limit else None


def _permutation(path: Path, n: int) -> np.ndarray:
    index = files.read_npy(path)
    if index.shape != (n,) or index.dtype.kind not in "iu" or not np.array_equal(np.sort(index), np.arange(n)):
        raise ValueError(f"index file {str(path)!r} must hold each of 0..{n - 1} once")
    return index
