"""Optical flow of clips, stacked around single frames as the temporal stream of a two-stream network takes it.

Simonyan and Zisserman 2014, "Two-stream convolutional networks for action recognition in videos", section 3; Wang et
al. 2016, "Temporal segment networks", section 3.2, from which the numbers here are.
"""

from collections.abc import Callable

import numpy as np

from jaxnoisy import check
from jaxnoisy.data.clip_sources import ClipSource

LENGTH = 5
"""L, pairs of neighbouring frames in a stack."""

BOUND = 20.0
"""Pixels; larger displacements, mostly mistakes, are cut off there."""

_SMALLEST = 12  # pixels; the search by patches of 8 refuses images that leave them no room


def scaled(flow: np.ndarray) -> np.ndarray:
    """Displacements in pixels as uint8: -20..20 becomes 0..255, what lies beyond is cut off.

    No motion is 128, and one step is 40 / 255 of a pixel.

    Example:
        >>> scaled(np.array([-30.0, 0.0, 20.0])).tolist()
        [0, 128, 255]
    """
    inside = np.clip(np.asarray(flow, np.float32), -BOUND, BOUND)
    return np.rint((inside + BOUND) * (255 / (2 * BOUND))).astype(np.uint8)


def displacements(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where each pixel of one gray image lies in the next: dense inverse search (Kroeger et al. 2016), by OpenCV.

    Args:
        before: (h, w) uint8, at least 12 x 12.
        after: (h, w) uint8.

    Returns:
        (h, w, 2) float32, pixels to the right and down.

    Raises:
        ValueError: smaller images.
        ImportError: the extra ``jaxnoisy[video]`` is not installed.
    """
    cv2 = _opencv()
    if min(before.shape) < _SMALLEST:
        height, width = before.shape
        raise ValueError(
            f"optical flow is computed for frames of at least {_SMALLEST} x {_SMALLEST} pixels, but these have "
            f"{width} x {height}: enlarge them, give the flow, or read no flow (flow_length=0)"
        )
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0 if min(before.shape) < 64 else 1)  # half resolution loses what is small in small images
    return np.asarray(search.calc(before, after, None), np.float32)


def reader(source: ClipSource, *, length: int = LENGTH) -> Callable[[int, np.ndarray], np.ndarray]:
    """Make ``stacks(clip, numbers) -> (m, h, w, 2 L)``: the flow around frames of a clip, uint8 as :func:`scaled`.

    Channels are right, down, right, down, ... of pairs of neighbouring frames in their order, with the frame in the
    middle of them. At the ends of a clip the stack moves inwards; a clip of fewer pairs gives the last one repeatedly.
    The flow is the source's where it gives one, and otherwise computed from its frames in gray.
    """
    check.positive_int(length, name="flow_length")
    low, high = (0.0, 255.0) if source.gives_flow else _gray_range(source)

    def stacks(clip: int, numbers: np.ndarray) -> np.ndarray:
        if source.lengths[clip] < 2:
            raise ValueError(
                f"clip {source.called(clip)} has one frame, in which nothing moves: leave it out, or read no flow "
                "(flow_length=0)"
            )
        windows = windows_around(numbers, pairs=int(source.lengths[clip]) - 1, length=length)
        needed, place = np.unique(windows, return_inverse=True)
        flow = source.flow(clip, needed) if source.gives_flow else _computed(source, clip, needed, low, high)
        taken = (flow if flow.dtype == np.uint8 else scaled(flow))[place.reshape(windows.shape)]
        m, _, height, width, _ = taken.shape
        return taken.transpose(0, 2, 3, 1, 4).reshape(m, height, width, 2 * length)

    return stacks


def windows_around(numbers: np.ndarray, *, pairs: int, length: int) -> np.ndarray:
    """(m, L) pairs around frames; pair p leads from frame p to p + 1.

    Example:
        >>> windows_around(np.array([0, 4, 8]), pairs=8, length=3).tolist()
        [[0, 1, 2], [3, 4, 5], [5, 6, 7]]
    """
    start = np.clip(numbers - length // 2, 0, max(0, pairs - length))
    return np.minimum(start[:, None] + np.arange(length), pairs - 1)


def _computed(source: ClipSource, clip: int, pairs: np.ndarray, low: float, high: float) -> np.ndarray:
    needed = np.union1d(pairs, pairs + 1)
    gray = _gray(source.frames(clip, needed), low, high)
    first = np.searchsorted(needed, pairs)
    return np.stack([displacements(gray[k], gray[k + 1]) for k in first])


def _gray(frames: np.ndarray, low: float, high: float) -> np.ndarray:
    """(k, h, w) uint8 of (k, h, w, ch), the luma of three channels and the mean of any other number."""
    wide = frames.astype(np.float32)
    mean = wide @ np.array([0.299, 0.587, 0.114], np.float32) if frames.shape[-1] == 3 else wide.mean(axis=-1)
    return np.rint(np.clip((mean - low) * (255 / (high - low)), 0, 255)).astype(np.uint8)


def _gray_range(source: ClipSource) -> tuple[float, float]:
    """The values that stand for black and white: of floats the range of up to 64 clips."""
    first = source.frames(0, np.arange(1))
    if first.dtype == np.uint8:
        return 0.0, 255.0
    some = np.unique(np.linspace(0, len(source.lengths) - 1, 64).astype(int))
    seen = [source.frames(int(i), np.arange(source.lengths[i])) for i in some]
    low, high = float(min(a.min() for a in seen)), float(max(a.max() for a in seen))
    return (low, high) if low < high else (low, low + 1)


def _opencv():  # type: ignore[no-untyped-def]
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            "optical flow is computed by OpenCV, which is not installed: pip install 'jaxnoisy[video]', or give the "
            "flow beside the frames"
        ) from error
    return cv2
