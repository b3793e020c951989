"""CIFAR-10 and CIFAR-100 as 512 features that no label has touched, for benchmarks of methods on frozen features.

In the manner of Coates, Ng and Lee (2011): patches of 6 x 6 pixels, each less its mean and over its spread, are
whitened; k-means finds their centroids; an image is how much nearer than usual each centroid is to its patches
(max(0, mean distance - distance), their "triangle" activation), summed over each quarter of the image. Two things
differ: every second patch is looked at (196 an image), and the sums, standardised, are projected on their first 512
principal components and divided by one number so that the mean square is one.

Everything is learned from training images alone, so that noisy labels cannot be told from the features by what their
extractor saw. ``--work`` keeps ``cifar10-train.npy`` (50000, 512), ``cifar10-test.npy`` (10000, 512), both float32, and
``cifar10-train-labels.npy``, ``cifar10-test-labels.npy``, int32, and the same of CIFAR-100; :func:`load` reads them,
and makes them where they are missing. The accuracy of ridge regression on the true labels is a check of the features,
not part of them.
"""

import argparse
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import packs
from common import ROOT
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA

WORK = ROOT / "benchmarks" / "work" / "features"
SETS = ("cifar10", "cifar100")
FEATURES = 512

_PATCH, _STRIDE, _CENTROIDS, _SEEN, _BLOCK = 6, 2, 1024, 150_000, 200


class Features(NamedTuple):
    """A set as features (n, 512) float32 and the published labels (n,) int32."""

    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray


class Extractor(NamedTuple):
    """Whitening of patches, ``mean`` (108,) and ``whiten`` (108, 108), and ``centroids`` (k, 108) of whitened ones."""

    mean: np.ndarray
    whiten: np.ndarray
    centroids: np.ndarray


def load(name: str, work: Path) -> Features:
    """The features of ``name``, one of SETS, from the files in ``work``, made first where they are missing."""
    paths = _paths(name, work)
    if not all(path.is_file() for path in paths):
        made = make(name)
        work.mkdir(parents=True, exist_ok=True)
        for path, array in zip(paths, made):
            partial_file = path.with_suffix(".part")
            with open(partial_file, "wb") as file:
                np.save(file, array)
            partial_file.replace(path)
    return Features(*(np.load(path) for path in paths))


def _paths(name: str, work: Path) -> list[Path]:
    return [work / f"{name}-{part}.npy" for part in ("train", "test", "train-labels", "test-labels")]


def make(name: str) -> Features:
    """Learn the extractor from the training images of ``name`` and apply it to all: minutes on two cores."""
    train, train_labels = packs.images(name, "train")
    test, test_labels = packs.images(name, "test")
    extractor = learned(train, np.random.default_rng(0))
    pooled = pooled_activations(train, extractor)
    mean, spread = pooled.mean(axis=0), pooled.std(axis=0) + 1e-6
    pooled = (pooled - mean) / spread
    projection = PCA(FEATURES, svd_solver="covariance_eigh").fit(pooled)
    features = projection.transform(pooled)
    scale = np.sqrt(np.mean(features**2))
    held = projection.transform((pooled_activations(test, extractor) - mean) / spread)
    return Features(
        (features / scale).astype(np.float32),
        (held / scale).astype(np.float32),
        train_labels.astype(np.int32),
        test_labels.astype(np.int32),
    )


def learned(images: np.ndarray, rng: np.random.Generator) -> Extractor:
    """Whitening and centroids from random patches of ``images``."""
    pixels = images[rng.integers(len(images), size=_SEEN // 10)]
    patches = np.asarray(_patches(jnp.asarray(pixels[:, :30, :30], jnp.float32), stride=3))
    patches = patches.reshape(-1, patches.shape[-1])
    patches = patches[rng.permutation(len(patches))[:_SEEN]]
    mean = patches.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((patches - mean).T))
    whiten = ((vectors / np.sqrt(np.maximum(values, 0) + 0.1)) @ vectors.T).astype(np.float32)
    means = MiniBatchKMeans(_CENTROIDS, batch_size=4096, max_iter=8, n_init=1, init="random", random_state=0)
    centroids = means.fit((patches - mean) @ whiten).cluster_centers_
    return Extractor(mean, whiten, centroids.astype(np.float32))


def pooled_activations(images: np.ndarray, extractor: Extractor) -> np.ndarray:
    """(n, 4 k) triangle activations, summed over the quarters of each image."""
    activate = jax.jit(partial(_activations, extractor=Extractor(*map(jnp.asarray, extractor))))
    blocks = range(0, len(images), _BLOCK)
    return np.concatenate([np.asarray(activate(images[start : start + _BLOCK])) for start in blocks])


def _activations(images: jax.Array, *, extractor: Extractor) -> jax.Array:
    whitened = (_patches(images.astype(jnp.float32), stride=_STRIDE) - extractor.mean) @ extractor.whiten
    centroids = extractor.centroids
    lengths = jnp.sum(whitened**2, axis=-1, keepdims=True) + jnp.sum(centroids**2, axis=-1)
    distances = jnp.sqrt(jnp.maximum(lengths - 2 * whitened @ centroids.T, 0))
    triangle = jnp.maximum(distances.mean(axis=-1, keepdims=True) - distances, 0)
    n, side, _, k = triangle.shape
    quarters = triangle.reshape(n, 2, side // 2, 2, side // 2, k).sum(axis=(2, 4))
    return quarters.reshape(n, 4 * k)


def _patches(images: jax.Array, *, stride: int) -> jax.Array:
    """(n, side, side, 108): patches of images, each less its mean and over its spread."""
    starts = range(0, images.shape[1] - _PATCH + 1, stride)
    side = len(starts)
    reach = stride * (side - 1) + 1
    flat = jnp.concatenate(
        [images[:, i : i + reach : stride, j : j + reach : stride] for i in range(_PATCH) for j in range(_PATCH)],
        axis=-1,
    )
    flat = flat - flat.mean(axis=-1, keepdims=True)
    return flat / jnp.sqrt(flat.var(axis=-1, keepdims=True) + 10)


def ridge_accuracy(features: Features) -> float:
    """Share of the test set that ridge regression to one-hot labels, learned from the true ones, gets right."""
    train, test = (np.pad(x, ((0, 0), (0, 1)), constant_values=1) for x in features[:2])
    targets = np.eye(features.train_labels.max() + 1, dtype=np.float32)[features.train_labels]
    weights = np.linalg.solve(train.T @ train + 10 * np.eye(train.shape[1]), train.T @ targets)
    return float(np.mean((test @ weights).argmax(axis=1) == features.test_labels))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--work", type=Path, default=WORK, help="where the features are kept")
    options.add_argument("--sets", default=",".join(SETS), help=f"some of {','.join(SETS)}")
    args = options.parse_args()
    for name in args.sets.split(","):
        started = time.perf_counter()
        features = load(name, args.work)
        seconds = time.perf_counter() - started
        accuracy = ridge_accuracy(features)
        print(f"{name}: {features.train.shape} in {seconds:.0f} s, ridge regression {accuracy:.3f} of the test set")


if __name__ == "__main__":
    main()
