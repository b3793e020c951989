"""Clips as data sets: a few frames of each, and the motion around them."""

import dataclasses
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


@dataclasses.dataclass(frozen=True, eq=False)
class Clips:
    """n clips in two streams, or one.

    Attributes:
        rgb: (n, m, h, w, ch) frames.
        flow: (n, m, h, w, 2 L) motion around the same frames, under the same labels and ids; None where it is not
            wanted.
    """

    rgb: Dataset
    flow: Dataset | None

    def __post_init__(self) -> None:
        for name, data in self.streams.items():
            if not data.is_clips:
                raise ValueError(
                    f"{name} must be clips (n, frames, height, width, channels), but has inputs of shape "
                    f"{data.inputs.shape}"
                )
            if not np.array_equal(data.ids, self.rgb.ids) or not np.array_equal(data.labels, self.rgb.labels):
                raise ValueError("rgb and flow must hold the same clips in the same order under the same labels")

    def __len__(self) -> int:
        return len(self.rgb)

    @property
    def streams(self) -> dict[str, Dataset]:
        """The data sets by name, "rgb" and "flow"."""
        return {"rgb": self.rgb} if self.flow is None else {"rgb": self.rgb, "flow": self.flow}

    def take(self, rows: np.ndarray) -> "Clips":
        """The clips at ``rows``, (k,) indices or (n,) bool."""
        return Clips(self.rgb.take(rows), None if self.flow is None else self.flow.take(rows))

    def with_labels(self, labels: np.ndarray, *, clean_labels: np.ndarray | None = None) -> "Clips":
        """The same clips under other labels; see :meth:`Dataset.with_labels`."""
        rgb = self.rgb.with_labels(labels, clean_labels=clean_labels)
        return Clips(rgb, None if self.flow is None else self.flow.with_labels(labels, clean_labels=clean_labels))


def read_clips(
    path: files.PathLike,
    *,
    frames: int = FRAMES,
    key: Key | None = None,
    size: Size = None,
    skip_broken: bool = False,
) -> Dataset:
    """Read some frames of every clip: :func:`read_streams` without the motion.

    Args:
        path: as for :func:`read_streams`, and the others too.
        frames: m.
        key: of the draw.
        size: of frames.
        skip_broken: leave out clips that cannot be read.

    Returns:
        (n, m, h, w, ch) frames under the clips' labels.
    """
    return read_streams(path, frames=frames, flow_length=0, key=key, size=size, skip_broken=skip_broken).rgb


def read_streams(
    path: files.PathLike,
    *,
    frames: int = FRAMES,
    flow_length: int = motion.LENGTH,
    key: Key | None = None,
    size: Size = None,
    skip_broken: bool = False,
) -> Clips:
    """Read some frames of every clip, one of each of ``frames`` equal parts, and the motion around each of them.

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
        flow_length: L, pairs of neighbouring frames in each stack of flow; 0 for no flow.
        key: draws each frame at random within its part; without it, it is the middle one.
        size: (height, width) to which frames of a folder are brought; without it, all must have one size.
        skip_broken: leave out clips of which a frame that is needed cannot be read, and list them in
            ``Dataset.skipped``.

    Returns:
        :class:`Clips`; ids are ``CLASS/CLIP``. Only frames that are needed are decoded: m of each clip, and up to L + 1
        around each for flow that is computed.

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
        >>> clips = read_streams(path, frames=3)
        >>> clips.rgb.inputs.shape, clips.flow.inputs.shape
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
        return Clips(
            _dataset(source, pixels, kept, broken), None if stacks is None else _dataset(source, stacks, kept, broken)
        )


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


def _dataset(source: ClipSource, inputs: np.ndarray, kept: np.ndarray, broken: list[str]) -> Dataset:
    found = make(
        inputs,
        source.labels,
        class_names=source.class_names,
        ids=source.ids,
        clean_labels=source.clean_labels,
        name=source.name,
        skipped=(*source.skipped, *broken),
        clips=True,
    )
    if kept.all():
        return found
    found = found.take(kept)
    empty = np.flatnonzero(np.bincount(found.labels, minlength=found.num_classes) == 0)
    if len(empty):
        name = found.class_names[empty[0]]
        raise ValueError(f"class {name!r} holds no clip that can be read: repair its frames or remove it")
    return found
