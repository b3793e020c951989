"""The data sets of the LSTM detector: what it learns from, what its settings are chosen on, what it is reported on.

CIFAR-10 and CIFAR-100 are the label-free features of ``patch_features.py``. CIFAR-100's training images are cut in
five: the detector learns from the dynamics of the first fifth, choices are made on the second, the third is reported.
Nothing is chosen on what is reported: digits, CIFAR-10 with drawn and human labels, and LabelMe's crowd labels.
"""

import functools
from pathlib import Path

import feature_sets
import numpy as np
import packs
import patch_features
from common import ROOT

from jaxnoisy import files
from jaxnoisy.data import Dataset, load, make

WORK = ROOT / "benchmarks" / "work"
"""Where traces and features are kept by default."""

PART = 10_000
"""Images of a fifth."""

LEARNED = "cifar100 learned"
CHOSEN_ON = ("cifar100 chosen", "cifar100 coarse", "cifar100 ten", "breast_cancer", "wine")
REPORTED = ("digits", "cifar10", "cifar100", "labelme")

_FIFTH = {
    **dict.fromkeys((LEARNED, "cifar100 coarse learned"), 0),
    **dict.fromkeys(("cifar100 ten learned", "cifar100 ten learned 2", "cifar100 ten learned 7"), 0),
    **{"cifar100 chosen": 1, "cifar100 coarse": 1, "cifar100 ten": 1},
    **{"cifar100": 2, "cifar10": 0, "cifar10 few": 1},
}
_FEW = 3000
_TEN = {"cifar100 ten learned": 0, "cifar100 ten learned 2": 2, "cifar100 ten learned 7": 7, "cifar100 ten": 5}
"""Every tenth class from this one on, the others left out."""

HUMAN = {"cifar10": ("aggre", "random1", "worst"), "labelme": ("majority", "one_annotator")}
"""Labels given by people, which stand where others have a kind of noise."""


def data_set(name: str, features: Path) -> Dataset:
    """A set under its true labels. ``features`` is where ``patch_features.py`` keeps its files."""
    if name in _FIFTH:
        return _cifar(name, features)
    if name == "labelme":
        pack = files.read_npz(packs.needed("labelme") / "labelme.npz")
        return make(pack["train_features"], pack["train_clean"], name=name)
    return load("digits") if name == "digits" else feature_sets.bundled(name)


def human_labels(name: str, noise: str) -> np.ndarray:
    """The labels that people gave to the examples of a set."""
    if name == "labelme":
        return files.read_npz(packs.needed("labelme") / "labelme.npz")[f"train_{noise}"]
    return files.read_npz(packs.needed("cifar10n") / "cifar10n.npz")[noise][_rows(name)]


def test_set(name: str, features: Path) -> Dataset | None:
    """Examples apart, under true labels, where the studies need them."""
    if name not in ("cifar10", "cifar100"):
        return None
    loaded = _loaded(name, features)
    return make(loaded.test, loaded.test_labels, name=f"{name} test")


def is_features_of_patches(name: str) -> bool:
    """Whether the inputs are on a scale of their own, and not to be standardised."""
    return name in _FIFTH


@functools.cache
def superclasses() -> np.ndarray:
    """(100,) the superclass of each class of CIFAR-100."""
    pack = files.read_npz(packs.needed("cifar100-test") / "cifar100-test.npz")
    groups = np.zeros(100, np.int32)
    groups[pack["labels"]] = pack["coarse_labels"]
    return groups


def _rows(name: str) -> slice:
    return slice(_FIFTH[name] * PART, (_FIFTH[name] + 1) * PART)


def _cifar(name: str, features: Path) -> Dataset:
    loaded, rows = _loaded(name.split()[0], features), _rows(name)
    inputs, labels = loaded.train[rows], loaded.train_labels[rows]
    if name in ("cifar100 coarse", "cifar100 coarse learned"):
        labels = superclasses()[labels]
    if name in _TEN:
        ten = np.arange(_TEN[name], 100, 10)
        kept = np.isin(labels, ten)
        inputs, labels = inputs[kept], np.searchsorted(ten, labels[kept])
    if name == "cifar10 few":
        inputs, labels = inputs[:_FEW], labels[:_FEW]
    return make(inputs, labels.astype(np.int32), name=name)


@functools.cache
def _loaded(name: str, features: Path) -> patch_features.Features:
    return patch_features.load(name, features)
