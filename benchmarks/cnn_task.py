"""A trained convolutional network to explain, and its images, as arrays that every framework reads."""

from pathlib import Path

import common
import numpy as np
import packs

DAMPING = 0.01
MODELS = {"cnn": {"widths": (32, 48, 72), "batch_norm": False}, "resnet20": {}}
"""Name -> options of :func:`jaxnoisy.models.build`: 47,346 and 272,474 parameters."""

_NAMES = ("images", "labels", "query_images", "query_labels", "logits")


def make(folder: Path, *, model: str, n: int, queries: int, epochs: int, seed: int) -> None:
    """Train the library's network on the first n images of CIFAR-10 and write everything; further images are queries.

    Arrays: ``images`` float32 (n, 32, 32, 3), normalised; ``labels`` int32; the same for ``query_``; ``logits`` (n, 10)
    of the network in evaluation mode; and its weights, ``weight-00`` and on, in the order of the layers: kernels of
    convolutions (h, w, in, out) with their biases if any, scales, biases, means and variances of batch norm, and the
    last layer's kernel (in, out) and bias.
    """
    pixels, labels = packs.cifar10(n + queries)
    mean, deviation = pixels[:n].mean((0, 1, 2)) / 255, pixels[:n].std((0, 1, 2)) / 255
    images = ((pixels / 255 - mean) / deviation).astype(np.float32)
    labels = labels.astype(np.int32)
    weights, logits = common.in_own_process(_train, model, images[:n], labels[:n], epochs, seed)
    for name, array in zip(_NAMES, (images[:n], labels[:n], images[n:], labels[n:], logits), strict=True):
        np.save(folder / f"{name}.npy", array)
    for i, array in enumerate(weights):
        np.save(folder / f"weight-{i:02d}.npy", array)


def load(folder: Path) -> dict[str, np.ndarray]:
    """The arrays beside the weights."""
    return {name: np.load(folder / f"{name}.npy") for name in _NAMES}


def weights(folder: Path) -> list[np.ndarray]:
    """The weights in order."""
    return [np.load(path) for path in sorted(folder.glob("weight-*.npy"))]


def _train(model: str, images: np.ndarray, labels: np.ndarray, epochs: int, seed: int):
    import cnn_jax

    return cnn_jax.train(model, images, labels, epochs=epochs, seed=seed)
