"""Clips as a data set: a few frames of each, and the flow around them."""

from collections.abc import Callable

import jax
import numpy as np

from jaxnoisy import check, files
from jaxnoisy.data import flow as motion
from jaxnoisy.data.clip_sources import ClipSource, Size, open_clips
from jaxnoisy.data.dataset import Dataset, make
from jaxnoisy.data.errors import UnreadableError, about
from jaxnoisy.types import Key

FRAMES = 8
"""Frames of each clip that are read unless told otherwise."""


def read_clips(
    path: files.PathLike,
    *,
    frames: int = FRAMES,
    flow_length: int = 0,
    key: Key | None = None,
    size: Size = None,
    skip_broken: bool = False,
) -> Dataset:
    """Read some frames of every clip, one of each of ``frames`` equal parts, and perhaps the flow around each of them.

    Wang et al. 2016, "Temporal segment networks", sections 3.1 and 3.2. A clip of fewer frames gives some repeatedly.

    A folder has ``CLASS/CLIP/`` with the frames of one clip as images, in the natural order of their names (2 before
    10). Flow that has been computed lies beside the folder ``DIR`` in ``DIR_flow``: of a clip of t frames t - 1 gray
    images ``CLASS/CLIP/flow_x*`` and as many ``flow_y*``, in which 0..255 stands for -20..20 pixels. Otherwise it is
    computed here. An ``.npz`` file has ``inputs`` (n, t, h, w, ch) and ``labels`` (n,), and may have ``lengths`` (n,),
    where clips end before t; ``flow`` (n, t - 1, h, w, 2), to the right and down, in pixels if floating point, scaled
    as above if uint8; ``class_names``, ``ids`` and ``clean_labels``.

    Args:
        path: the folder or the file.
        frames: m.
        flow_length: L, pairs of neighbouring frames in each stack of flow, 5 in the paper; 0 for no flow.
        key: draws each frame at random within its part; without it, it is the middle one.
        size: (height, width) to which frames of a folder are brought; without it, all must have one size.
        skip_broken: leave out clips of which a frame that is needed cannot be read, and list them in
            ``Dataset.skipped``.

    Returns:
        Frames as ``inputs`` (n, m, h, w, ch) and stacks of flow as ``flow`` (n, m, h, w, 2 L) uint8, see
        :mod:`jaxnoisy.data.flow`; ids are ``CLASS/CLIP``. Only frames that are needed are decoded: m of each clip, and
        up to L + 1 around each for flow that is computed.

    Raises:
        ValueError: folders or arrays of another shape, frames that cannot be read or differ in size, a clip of one
            frame where flow is wanted; the message names the clip.
        TypeError: arrays of a wrong kind, a key that is no typed key.
        ImportError: flow has to be computed, and the extra ``jaxnoisy[video]`` is not installed.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/clips.npz"
        >>> x, motion = np.zeros((2, 9, 4, 4, 3), np.uint8), np.zeros((2, 8, 4, 4, 2), np.float32)
        >>> np.savez(path, inputs=x, labels=np.array([0, 1]), flow=motion)
        >>> clips = read_clips(path, frames=3, flow_length=5)
        >>> clips.inputs.shape, clips.flow.shape
        ((2, 3, 4, 4, 3), (2, 3, 4, 4, 10))
    """
    check.positive_int(flow_length, name="flow_length", minimum=0)
    source = open_clips(path, size=size)
    with about(path):
        numbers = segment_frames(source.lengths, frames=frames, key=key)
        kept = np.ones(len(numbers), bool)
        broken: list[str] = []

        def gathered(read: Callable[[int], np.ndarray]) -> np.ndarray:
            return _gathered(read, source, kept, broken, skip_broken)

        pixels = gathered(lambda i: source.frames(i, numbers[i]))
        stacks = None
        if flow_length:
            stacked = motion.reader(source, length=flow_length)
            stacks = gathered(lambda i: stacked(i, numbers[i]))
        return _dataset(source, pixels, stacks, kept, broken)


def segment_frames(lengths: np.ndarray, *, frames: int, key: Key | None = None) -> np.ndarray:
    """Frame numbers, one in each of ``frames`` equal parts of a clip: the middle, or with a key a random one.

    Args:
        lengths: (n,) frames of each clip.
        frames: m.
        key: a typed key.

    Returns:
        (n, m) integers, not falling along a row.

    Example:
        >>> segment_frames(np.array([9, 2]), frames=3).tolist()
        [[1, 4, 7], [0, 1, 1]]
    """
    check.positive_int(frames, name="frames")
    shape = len(lengths), frames
    within = np.full(shape, 0.5)
    if key is not None:
        check.typed_key(key)
        within = np.asarray(jax.random.uniform(key, shape), np.float64)
    place = np.floor((np.arange(frames) + within) * lengths[:, None] / frames).astype(np.int64)
    return np.minimum(place, lengths[:, None] - 1)


def _gathered(
    read: Callable[[int], np.ndarray], source: ClipSource, kept: np.ndarray, broken: list[str], skip_broken: bool
) -> np.ndarray:
    """(n, ...) of what is read of each clip; strikes out of ``kept`` those that cannot be read."""
    found: np.ndarray | None = None
    first = ""
    for i in np.flatnonzero(kept).tolist():
        try:
            values = read(i)
        except UnreadableError as error:
            if not skip_broken:
                raise
            kept[i] = False
            broken.append(str(error))
            continue
        if found is None:
            found, first = np.empty((len(kept), *values.shape), values.dtype), source.called(i)
        if values.shape[1:-1] != found.shape[2:-1]:
            here, there = (f"{shape[1]} x {shape[0]}" for shape in (values.shape[1:3], found.shape[2:4]))
            raise ValueError(
                f"clip {source.called(i)} has frames of {here} pixels (width x height), but {first} of {there}: bring "
                "all to one size first, or in Python pass size=(height, width)"
            )
        if values.shape[-1] > found.shape[-1]:
            found = np.repeat(found, values.shape[-1], axis=-1)
        found[i] = values
    if found is None:
        raise ValueError(f"none of the {len(kept)} clips can be read; the first: {broken[0]}")
    return found


def _dataset(
    source: ClipSource, inputs: np.ndarray, flow: np.ndarray | None, kept: np.ndarray, broken: list[str]
) -> Dataset:
    found = make(
        inputs,
        source.labels,
        class_names=source.class_names,
        ids=source.ids,
        clean_labels=source.clean_labels,
        name=source.name,
        skipped=(*source.skipped, *broken),
        clips=True,
        flow=flow,
    )
    if kept.all():
        return found
    found = found.take(kept)
    empty = np.flatnonzero(np.bincount(found.labels, minlength=found.num_classes) == 0)
    if len(empty):
        name = found.class_names[empty[0]]
        raise ValueError(f"class {name!r} holds no clip that can be read: repair its frames or remove it")
    return found
