"""The sets that DynaCor is measured on: features that no wrong label has touched, under drawn and human labels."""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import packs
import patch_features

from jaxnoisy import files, noise
from jaxnoisy.data import Dataset, make
from jaxnoisy.data.digits import read_digits

DRAWN = (("symmetric", 0.6), ("asymmetric", 0.3), ("instance", 0.4))
HUMAN = {"cifar10": ("aggre", "worst"), "labelme": ("majority", "one_annotator")}
SETS = ("cifar10", "cifar100", "labelme", "digits")
SETTINGS: dict[str, tuple[str, str, float | None]] = {
    **{f"{name} {kind} {rate}": (name, kind, rate) for name in SETS for kind, rate in DRAWN},
    **{f"{name} {kind}": (name, kind, None) for name, kinds in HUMAN.items() for kind in kinds},
}


class Set(NamedTuple):
    """Features (n, d) float32, true labels (n,) int32, and what instance noise is drawn from: features or images."""

    features: np.ndarray
    labels: np.ndarray
    seen: np.ndarray
    num_classes: int


def read(name: str, count: int | None, work: Path) -> Set:
    """One of :data:`SETS`, or its first ``count`` examples.

    - "cifar10" and "cifar100": patch features, see patch_features.py.
    - "labelme": the images of all three parts of LabelMe, 2,688, as features of a VGG network that other images
      trained. The first 1,000 have labels of crowd workers.
    - "digits": scikit-learn's, whose 64 pixels are the features.
    """
    if name == "digits":
        data = read_digits()
        features = data.inputs.astype(np.float32).reshape(len(data), -1)[:count]
        return Set(features, data.labels[:count], features, 10)
    if name == "labelme":
        pack = files.read_npz(packs.needed("labelme") / "labelme.npz")
        parts = ("train", "valid", "test")
        features, labels = (np.concatenate([pack[f"{p}_{what}"] for p in parts]) for what in ("features", "clean"))
        features = features.astype(np.float32)[:count]
        return Set(features, labels[:count].astype(np.int32), features, 8)
    features = patch_features.load(name, work).train[:count]
    pixels, labels = packs.images(name, "train", count)
    return Set(features, labels.astype(np.int32), pixels, 100 if name == "cifar100" else 10)


def noisy(known: Set, setting: str, seed: int) -> Dataset:
    """A set under the noisy labels of a setting; under human ones, the examples that have any."""
    name, kind, rate = SETTINGS[setting]
    if rate is None:
        pack, prefix = ("cifar10n", "") if name == "cifar10" else (name, "train_")
        given = files.read_npz(packs.needed(pack) / f"{pack}.npz")[prefix + kind][: len(known.labels)]
        features, clean = known.features[: len(given)], known.labels[: len(given)]
        return make(features, given.astype(np.int32), clean_labels=clean, name=setting)
    key = jax.random.fold_in(jax.random.key(seed), 7)
    draw = getattr(noise, kind)(num_classes=known.num_classes, rate=rate)
    given = (draw(key, known.labels, known.seen) if kind == "instance" else draw(key, known.labels)).labels
    return make(known.features, np.asarray(given, np.int32), clean_labels=known.labels, name=setting)
