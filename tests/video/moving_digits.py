"""Clips of handwritten digits that move over a texture, each class in its own direction."""

from typing import NamedTuple

import numpy as np

from jaxnoisy.data import load

CLASSES, FRAMES, SIDE = 4, 8, 16


class MovingDigits(NamedTuple):
    """Pixels (n, t, h, w, 1) uint8, what they show, what they are labelled as, and which are half something else."""

    inputs: np.ndarray
    classes: np.ndarray
    labels: np.ndarray
    partly: np.ndarray


def moving_digits(n: int, *, wrong: float = 0.0, partly: float = 0.0, seed: int = 0) -> MovingDigits:
    """n clips, of which a share is mislabeled, and half of the frames of another share are of another class."""
    rng = np.random.default_rng(seed)
    digits = load("digits")
    classes = rng.permutation(np.arange(n) % CLASSES)
    shown = {k: np.flatnonzero(digits.labels == k) for k in range(CLASSES)}
    labels, half = classes.copy(), np.zeros(n, bool)
    chosen = rng.permutation(n)
    bad, half_bad = chosen[: round(wrong * n)], chosen[n - round(partly * n) :]
    labels[bad] = (classes[bad] + rng.integers(1, CLASSES, len(bad))) % CLASSES
    half[half_bad] = True
    clips = np.empty((n, FRAMES, SIDE, SIDE, 1), np.uint8)
    for i, k in enumerate(classes):
        clips[i, ..., 0] = _clip(rng, digits.inputs[rng.choice(shown[k]), ..., 0], k)
        if half[i]:
            other = (k + rng.integers(1, CLASSES)) % CLASSES
            second = _clip(rng, digits.inputs[rng.choice(shown[other]), ..., 0], other)
            clips[i, FRAMES // 2 :, ..., 0] = second[FRAMES // 2 :]
    return MovingDigits(clips, classes, labels, half)


def _clip(rng: np.random.Generator, digit: np.ndarray, k: int) -> np.ndarray:
    """(t, h, w) frames: the digit crosses the middle at one pixel per frame."""
    rough = rng.normal(size=(SIDE + 2, SIDE + 2))
    texture = sum(rough[i : i + SIDE, j : j + SIDE] for i in range(3) for j in range(3)) * 6 + 50
    angle = 2 * np.pi * k / CLASSES
    start = (SIDE - 8) / 2 - (FRAMES - 1) / 2 * np.array([np.sin(angle), np.cos(angle)]) + rng.uniform(-0.5, 0.5, 2)
    frames = np.repeat(texture[None], FRAMES, axis=0)
    for t in range(FRAMES):
        row, column = np.rint(start + t * np.array([np.sin(angle), np.cos(angle)])).astype(int)
        place = frames[t, row : row + 8, column : column + 8]
        ink = digit / 255
        place[:] = place * (1 - ink) + 255 * ink
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)
