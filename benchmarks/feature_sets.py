"""Labelled feature sets to choose defaults on: scikit-learn's own, and CIFAR-10 as a frozen extractor would hand it on.

Two extractors, both fixed before any label of the sets is seen: random patches of whitened pixels as convolution
filters (Coates, Ng and Lee 2011), and the hidden layer of a perceptron trained on such features of other images.
"""

import itertools
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import packs
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from jaxnoisy.data import Dataset, make

LEARNED, HELD = 12_000, 10_000
"""CIFAR-10 images that the extractor learns from, and those after them that the sets are drawn from."""

EASY = (0, 1, 6, 7)
"""Airplane, automobile, frog and horse: four classes that simple features tell apart."""

_PATCH, _FILTERS, _BLOCK = 6, 256, 500


class Shape(NamedTuple):
    """A set drawn from CIFAR-10: ``n`` examples of ``classes``, ``d`` features of one of the extractors."""

    kind: str
    n: int
    d: int
    classes: tuple[int, ...] = tuple(range(10))

    @property
    def name(self) -> str:
        """What results call the set."""
        return f"{self.kind} n={self.n} d={self.d} c={len(self.classes)}"


class Filters(NamedTuple):
    """ZCA-whitened patches: ``weights`` (108, filters) on patches less ``mean`` (108,)."""

    mean: np.ndarray
    weights: np.ndarray


def bundled(name: str, n: int | None = None) -> Dataset:
    """One of scikit-learn's own sets, or ``n`` of its examples, drawn with a fixed seed."""
    loaders = {
        "digits": datasets.load_digits,
        "wine": datasets.load_wine,
        "breast_cancer": datasets.load_breast_cancer,
        "iris": datasets.load_iris,
    }
    inputs, labels = loaders[name](return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(labels))[:n] if n else np.arange(len(labels))
    return make(
        inputs[rows].astype(np.float32), labels[rows].astype(np.int32), name=name if n is None else f"{name} n={n}"
    )


def cifar() -> Callable[[Shape], Dataset]:
    """CIFAR-10 under both extractors: ``draw(Shape("trained", 1000, 512))``, rows and projections by a fixed seed."""
    images, labels = packs.cifar10(LEARNED + HELD)
    rng = np.random.default_rng(0)
    filters = _filters(images[:LEARNED], rng)
    pooled = _pooled(images, filters)
    scaler = StandardScaler().fit(pooled[:LEARNED])
    pooled = scaler.transform(pooled).astype(np.float32)
    spaces = {"random": pooled[LEARNED:], "trained": _hidden(pooled, labels)}
    held = labels[LEARNED:].astype(np.int32)

    def draw(shape: Shape) -> Dataset:
        rng = np.random.default_rng([shape.n, shape.d, len(shape.classes)])
        rows = rng.permutation(np.flatnonzero(np.isin(held, shape.classes)))[: shape.n]
        features = spaces[shape.kind]
        if shape.d < features.shape[1]:
            features = PCA(shape.d, whiten=False, random_state=0).fit(features).transform(features)
        numbers = np.searchsorted(shape.classes, held[rows]).astype(np.int32)
        return make(features[rows].astype(np.float32), numbers, name=shape.name)

    return draw


def _patches(images: np.ndarray) -> np.ndarray:
    """(k, 27, 27, 108) patches, each less its mean and over its spread."""
    windows = np.lib.stride_tricks.sliding_window_view(images.astype(np.float32), (_PATCH, _PATCH), axis=(1, 2))
    flat = windows.reshape(*windows.shape[:3], -1)
    flat = flat - flat.mean(axis=-1, keepdims=True)
    return flat / np.sqrt(flat.var(axis=-1, keepdims=True) + 10)


def _filters(images: np.ndarray, rng: np.random.Generator) -> Filters:
    some = _patches(images[rng.permutation(len(images))[:400]])
    seen = some.reshape(-1, some.shape[-1])[rng.permutation(400 * 27 * 27)[:50_000]]
    mean = seen.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((seen - mean).T))
    zca = (vectors / np.sqrt(np.maximum(values, 0) + 0.1)) @ vectors.T
    chosen = (seen[rng.permutation(len(seen))[:_FILTERS]] - mean) @ zca
    chosen /= np.linalg.norm(chosen, axis=1, keepdims=True)
    return Filters(mean, (zca @ chosen.T).astype(np.float32))


def _pooled(images: np.ndarray, filters: Filters) -> np.ndarray:
    """(n, 1024): how strongly each filter answers, summed over the quarters of the image."""
    parts = []
    for start in range(0, len(images), _BLOCK):
        answers = np.maximum((_patches(images[start : start + _BLOCK]) - filters.mean) @ filters.weights - 0.5, 0)
        half = answers.shape[1] // 2
        corners = itertools.product((slice(half), slice(half, None)), repeat=2)
        parts.append(np.concatenate([answers[:, rows, columns].mean(axis=(1, 2)) for rows, columns in corners], axis=1))
    return np.concatenate(parts)


def _hidden(pooled: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(HELD, 512) activations of a perceptron that learned from the other images."""
    model = MLPClassifier((512,), alpha=1e-2, batch_size=256, max_iter=8, random_state=0)
    with warnings.catch_warnings():
        # Eight passes are few on purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(pooled[:LEARNED], labels[:LEARNED])
    return np.maximum(pooled[LEARNED:] @ model.coefs_[0] + model.intercepts_[0], 0)
