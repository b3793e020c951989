"""The time and memory of Influential Rank's scores at a linear head, beside an epoch of training below it."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from memory import Peak

from jaxnoisy.curvature import last_layer
from jaxnoisy.data import make
from jaxnoisy.detect import influential_rank
from jaxnoisy.influence import head_overfitting
from jaxnoisy.models import build
from jaxnoisy.training import TrainConfig, fit

DAMPING = 0.01
_FEW = 4096
_BATCH, _STEPS = 128, 4
_SIDE = 32


def measured(n: int, features: int, classes: int, validation: int, model: str) -> dict[str, Any]:
    """Score ``n`` examples whose random features lie in a file, and time some steps of training ``model``."""
    with tempfile.TemporaryDirectory() as folder:
        train, clean = _head_data(Path(folder), n, features, classes), _clean(validation, features, classes)
        # Blocks have one shape, so that a few of them compile the programs; the rest is seconds of the run itself.
        first, _ = _timed(lambda: _score(tuple(a[:_FEW] for a in train), clean))
        with Peak() as peak:
            seconds, parts = _timed(lambda: _score(train, clean))
        size = os.path.getsize(Path(folder) / "features.npy")
    return (
        {"seconds": seconds, "parts": parts, "first_seconds": first, "features_bytes": size}
        | peak.bytes
        | _epoch(model, n)
    )


def _score(train: tuple[np.ndarray, ...], clean: tuple[np.ndarray, ...]) -> dict[str, float]:
    parts = {}
    parts["factorise"], factor = _timed(lambda: last_layer.factorise(*train[:2], damping=DAMPING))
    parts["score"], (scores, _) = _timed(lambda: head_overfitting()(factor, train, clean))
    parts["select"], _ = _timed(lambda: influential_rank()(scores))
    return parts


def _head_data(folder: Path, n: int, d: int, c: int) -> tuple[np.ndarray, ...]:
    """Features as after a ReLU, mapped from a file; logits that are unsure of some examples; labels at random."""
    random = np.random.default_rng(0)
    path = folder / "features.npy"
    features = np.lib.format.open_memmap(path, "w+", np.float32, (n, d))
    for start in range(0, n, _FEW):
        rows = features[start : start + _FEW]
        rows[:] = np.maximum(random.standard_normal(rows.shape, np.float32), 0)
    features.flush()
    logits = 2 * random.standard_normal((n, c), np.float32)
    return np.load(path, mmap_mode="r"), logits, random.integers(0, c, n).astype(np.int32)


def _clean(k: int, d: int, c: int) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(1)
    features = np.maximum(random.standard_normal((k, d), np.float32), 0)
    return features, 2 * random.standard_normal((k, c), np.float32), (np.arange(k) % c).astype(np.int32)


def _epoch(name: str, n: int) -> dict[str, Any]:
    """Seconds of an epoch of the network on n images, from a few steps of the library's loop in its second epoch."""
    random = np.random.default_rng(2)
    images = random.integers(0, 256, (_STEPS * _BATCH, _SIDE, _SIDE, 3), np.uint8)
    data = make(images, (np.arange(len(images)) % 10).astype(np.int32))
    model = build(name, input_shape=images.shape[1:], num_classes=10, key=jax.random.key(0))
    done = fit(model, data, TrainConfig(epochs=2, batch_size=_BATCH, record="none"))
    step = done.history[-1].seconds / _STEPS
    steps = -(-n // _BATCH)
    return {"model": name, "steps_timed": _STEPS, "step_seconds": step, "epoch_seconds": step * steps}


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    found = jax.block_until_ready(work())
    return time.perf_counter() - started, found
