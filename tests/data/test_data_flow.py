"""Optical flow of a known motion, and what is needed to compute it."""

import sys

import numpy as np
import pytest

from jaxnoisy.data import read_clips
from jaxnoisy.data.flow import displacements, scaled

SIZE = 32


def texture(x, y):
    """A smooth pattern without end, at any point of the plane."""
    waves = [(0.45, 0.15, 0.0), (-0.2, 0.5, 1.0), (0.3, 0.35, 2.0), (0.1, -0.6, 3.0)]
    return 127.5 + 30 * sum(np.sin(a * x + b * y + c) for a, b, c in waves)


def moving(right, down, frames):
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.rint(np.stack([texture(x - right * k, y - down * k) for k in range(frames)]))


@pytest.mark.parametrize(("right", "down"), [(1.0, 0.0), (0.0, -1.5), (2.0, 1.0)])
def test_the_flow_of_a_known_shift_is_found(right, down):
    before, after = moving(right, down, 2).astype(np.uint8)
    inside = displacements(before, after)[6:-6, 6:-6]
    np.testing.assert_allclose(np.median(inside, axis=(0, 1)), [right, down], atol=0.1)
    assert np.abs(inside - [right, down]).mean() < 0.25


@pytest.mark.parametrize("kind", ["bytes", "floats", "colours"])
def test_flow_is_computed_from_frames_of_any_kind(tmp_path, kind):
    gray = moving(1.5, -1.0, 6)[None, ..., None]
    x = {
        "bytes": gray.astype(np.uint8),
        "floats": (gray / 255 - 0.5).astype(np.float32),
        "colours": np.repeat(gray, 3, axis=4).astype(np.uint8),
    }[kind]
    np.savez(tmp_path / "clips.npz", inputs=np.concatenate([x, x[:, ::-1]]), labels=np.array([0, 1]))
    found = read_clips(tmp_path / "clips.npz", frames=2, flow_length=4).flow
    assert found.shape == (2, 2, SIZE, SIZE, 8)
    there, back = np.median(found[:, :, 6:-6, 6:-6], axis=(1, 2, 3)).reshape(2, 4, 2)
    np.testing.assert_allclose(there, np.tile(scaled(np.array([1.5, -1.0])), (4, 1)), atol=1)
    np.testing.assert_allclose(back, np.tile(scaled(np.array([-1.5, 1.0])), (4, 1)), atol=1)


def test_without_opencv_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxnoisy\[video\]'"):
        displacements(np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.uint8))
