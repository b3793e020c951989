"""The real data of the benchmarks: found beside the checkout, never part of it."""

import io
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import ROOT
from PIL import Image

from jaxnoisy import files
from jaxnoisy.data import Dataset
from jaxnoisy.data import make as make_dataset


def folder(*names: str) -> Path | None:
    """Where the packs ``NAME.npz`` lie: ``$JAXNOISY_DATA``, else ``../shared/data``; None where one is missing."""
    path = Path(os.environ.get("JAXNOISY_DATA") or ROOT.parent / "shared" / "data")
    return path if all((path / f"{name}.npz").is_file() for name in names) else None


def needed(*names: str) -> Path:
    """The folder that holds the packs. Without them the benchmark has nothing to do: it says so and ends well."""
    path = folder(*names)
    if path is None:
        wanted = ", ".join(f"{name}.npz" for name in names)
        print(f"skipped: needs {wanted} in the folder that JAXNOISY_DATA names, or in ../shared/data")
        raise SystemExit(0)
    return path


def _decode(path: Path, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """The first ``limit`` images of a pack, uint8 (k, 32, 32, 3), and their labels (k,)."""
    pack = files.read_npz(path)
    ends = pack["offsets"][: limit + 1].tolist()
    blob = pack["webp"][: ends[-1]].tobytes()
    pixels = [np.asarray(Image.open(io.BytesIO(blob[a:b])).convert("RGB")) for a, b in itertools.pairwise(ends)]
    return np.stack(pixels), pack["labels"][:limit]


def images(name: str, part: str, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 (n, 32, 32, 3), and labels (n,) of "cifar10" or "cifar100", in the order of the published batches.

    ``part`` is "train" (50,000) or "test" (10,000); ``limit`` keeps the first. CIFAR-100 has its fine labels.
    """
    names = (f"{name}-train-0", f"{name}-train-1") if part == "train" else (f"{name}-{part}",)
    path, left, parts = needed(*names), limit or 50_000, []
    for pack in names:
        parts.append(_decode(path / f"{pack}.npz", left))
        left -= len(parts[-1][0])
        if left <= 0:
            break
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*parts))
    return pixels, labels


def cifar10(limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10's training images and labels: see :func:`images`."""
    return images("cifar10", "train", limit)


def cifar10n(limit: int | None = None) -> Callable[[str], Dataset]:
    """CIFAR-10 under human labels: ``dataset("worst")``, with the published labels as the clean ones."""
    path = needed("cifar10n")
    images, clean = cifar10(limit)
    human = files.read_npz(path / "cifar10n.npz")
    if not np.array_equal(human["clean"][: len(clean)], clean):
        raise SystemExit("cifar10n.npz is not in the order of the images")

    def dataset(noise: str) -> Dataset:
        return make_dataset(images, human[noise][: len(clean)], clean_labels=clean, name=f"cifar10n-{noise}")

    return dataset


def labelme() -> Callable[[str], Dataset]:
    """LabelMe's 1,000 training images as 512 features: ``dataset("majority")`` or ``dataset("one_annotator")``."""
    pack = files.read_npz(needed("labelme") / "labelme.npz")

    def dataset(noise: str) -> Dataset:
        return make_dataset(
            pack["train_features"], pack[f"train_{noise}"], clean_labels=pack["train_clean"], name=f"labelme-{noise}"
        )

    return dataset
