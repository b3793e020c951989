"""Where clips come from: folders of frames, or arrays. Both answer for any frames and any displacements of a clip."""

import abc
import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxnoisy import check, files
from jaxnoisy.data.errors import about
from jaxnoisy.data.folders import EXTENSIONS
from jaxnoisy.data.images import read_images

VIDEO_EXTENSIONS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
"""File names that are taken for videos, which have to be taken apart into frames first."""

Size = tuple[int, int] | None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ClipSource(abc.ABC):
    """n clips, read as far as they are asked for.

    Attributes:
        lengths: (n,) frames of each clip, at least 1.
        labels: (n,) integers.
        class_names: c names, or None for numbers.
        ids: (n,) names, or None for row numbers.
        clean_labels: (n,), or None.
        name: what reports call the data set.
        skipped: files that were passed over, with the reason.
    """

    lengths: np.ndarray
    labels: np.ndarray
    class_names: Sequence[str] | None
    ids: np.ndarray | None
    clean_labels: np.ndarray | None = None
    name: str
    skipped: tuple[str, ...] = ()

    @property
    @abc.abstractmethod
    def gives_flow(self) -> bool:
        """Whether :meth:`flow` can answer."""

    @abc.abstractmethod
    def frames(self, clip: int, numbers: np.ndarray) -> np.ndarray:
        """(k, h, w, ch) frames of a clip; raises UnreadableError where one cannot be read."""

    @abc.abstractmethod
    def flow(self, clip: int, pairs: np.ndarray) -> np.ndarray:
        """(k, h, w, 2) displacements from frame ``pairs[j]`` to the next, to the right and down.

        Float ones are in pixels; uint8 ones are scaled, see :func:`jaxnoisy.data.flow.scaled`.
        """

    def called(self, clip: int) -> str:
        """The name of a clip, for messages."""
        return repr(str(clip if self.ids is None else self.ids[clip]))


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ClipArrays(ClipSource):
    """Clips as arrays.

    Attributes:
        inputs: (n, t, h, w, ch).
        displacements: (n, t - 1, h, w, 2), or None.
    """

    inputs: np.ndarray
    displacements: np.ndarray | None

    @property
    def gives_flow(self) -> bool:
        """Whether displacements are given."""
        return self.displacements is not None

    def frames(self, clip: int, numbers: np.ndarray) -> np.ndarray:
        """Read frames."""
        return self.inputs[clip, numbers]

    def flow(self, clip: int, pairs: np.ndarray) -> np.ndarray:
        """Read displacements."""
        assert self.displacements is not None
        return self.displacements[clip, pairs]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ClipFolders(ClipSource):
    """Clips as folders of images, ``ROOT/CLASS/CLIP/``, and their flow in ``ROOT_flow`` where that exists.

    Attributes:
        root: the folder.
        files: for each clip the names of its frames.
        size: (height, width) to which frames are brought, or None.
    """

    root: Path
    files: list[list[str]]
    size: Size

    @property
    def flow_root(self) -> Path:
        """Where flow images lie if there are any."""
        return self.root.with_name(self.root.name + "_flow")

    @property
    def gives_flow(self) -> bool:
        """Whether there is a folder of flow."""
        return self.flow_root.is_dir()

    def frames(self, clip: int, numbers: np.ndarray) -> np.ndarray:
        """Read frames."""
        return self._read(self.root, clip, [self.files[clip][k] for k in numbers])

    def flow(self, clip: int, pairs: np.ndarray) -> np.ndarray:
        """Read the images ``flow_x*`` and ``flow_y*``, numbered by the natural order of their names."""
        place, parts = self.flow_root / self._folder(clip), []
        found = sorted(os.listdir(place), key=natural) if place.is_dir() else []
        for axis in ("flow_x", "flow_y"):
            names = [name for name in found if name.startswith(axis) and name.lower().endswith(EXTENSIONS)]
            if len(names) != self.lengths[clip] - 1:
                raise ValueError(
                    f"{self.called(clip)} has {len(names)} images {axis}* in {self.flow_root.name!r} for "
                    f"{self.lengths[clip]} frames: give one for each pair of neighbouring frames, or remove "
                    f"{self.flow_root.name!r} to have flow computed"
                )
            parts.append(self._read(self.flow_root, clip, [names[k] for k in pairs])[..., :1])
        return np.concatenate(parts, axis=-1)

    def _folder(self, clip: int) -> str:
        assert self.ids is not None
        return str(self.ids[clip])

    def _read(self, root: Path, clip: int, names: list[str]) -> np.ndarray:
        once = sorted(set(names))
        places = [f"{self._folder(clip)}/{name}" for name in once]
        images, _, _ = read_images([root / place for place in places], places, size=self.size)
        return images[[once.index(name) for name in names]]


def open_clips(path: files.PathLike, *, size: Size = None) -> ClipSource:
    """The clips of a folder or an ``.npz`` file; see :func:`jaxnoisy.data.read_clips` for what they hold."""
    where = Path(path)
    if where.is_dir():
        with about(where):
            return _folders(where, size)
    if not where.exists():
        raise ValueError(f"clips: {os.fspath(path)!r} does not exist: give a folder of clips, or an .npz file")
    if size is not None:
        raise ValueError(f"size is for folders of frames, and has no meaning for {os.fspath(path)!r}: leave it out")
    with about(where):
        return _arrays(files.read_npz(where), where.stem)


def natural(name: str) -> list[tuple[str, int]]:
    """A key to sort names by, in which numbers count as numbers: 2 comes before 10.

    Example:
        >>> sorted(["10.png", "2.png", "a"], key=natural)
        ['2.png', '10.png', 'a']
    """
    return [(text, int(digits or 0)) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", name)[:-1]] + [(name, 0)]


def _arrays(pack: dict[str, np.ndarray], name: str) -> ClipArrays:
    for required in ("inputs", "labels"):
        if required not in pack:
            raise ValueError(
                f"there is no array {required!r}, only {', '.join(sorted(pack)) or 'nothing'}: save clips as "
                "np.savez(file, inputs=..., labels=...); flow, lengths, clean_labels, class_names, ids are optional"
            )
    inputs, flow = pack["inputs"], pack.get("flow")
    if inputs.ndim != 5 or 0 in inputs.shape:
        raise ValueError(f"inputs must be clips (n, frames, height, width, channels), but have shape {inputs.shape}")
    n, t = inputs.shape[:2]
    labels = check.labels(pack["labels"], n=n)
    lengths = pack.get("lengths", np.full(n, t))
    if lengths.shape != (n,) or lengths.dtype.kind not in "iu" or lengths.min() < 1 or lengths.max() > t:
        raise ValueError(f"lengths must be ({n},) whole numbers from 1 to {t}, the frames that each clip has")
    if flow is not None:
        if flow.shape != (n, t - 1, *inputs.shape[2:4], 2):
            raise ValueError(
                f"flow must have shape {(n, t - 1, *inputs.shape[2:4], 2)}, a displacement (right, down) from each "
                f"frame to the next, but has shape {flow.shape}"
            )
        if flow.dtype != np.uint8 and not np.issubdtype(flow.dtype, np.floating):
            raise TypeError(f"flow must be floating point, in pixels, or uint8, scaled, but has dtype {flow.dtype}")
        check.finite(flow, name="flow")
    names = pack.get("class_names")
    return ClipArrays(
        inputs=inputs,
        lengths=lengths.astype(np.int64),
        displacements=flow,
        labels=labels,
        class_names=None if names is None else [str(x) for x in names.ravel().tolist()],
        ids=pack.get("ids"),
        clean_labels=pack.get("clean_labels"),
        name=name,
    )


def _folders(root: Path, size: Size) -> ClipFolders:
    names = [x for x in _visible(root) if (root / x).is_dir()]
    if not names:
        raise ValueError("holds no class folders: put each clip's frames into CLASS/CLIP/, a folder of its own")
    skipped = [f"{x}: lies outside the class folders" for x in _visible(root) if x not in names]
    ids: list[str] = []
    labels: list[int] = []
    frames: list[list[str]] = []
    for label, name in enumerate(names):
        count = len(ids)
        for entry in sorted(_visible(root / name), key=natural):
            place = f"{name}/{entry}"
            if not (root / place).is_dir():
                video = entry.lower().endswith(VIDEO_EXTENSIONS)
                advice = ": take it apart into frames first" if video else ""
                skipped.append(f"{place}: lies outside the clip folders{advice}")
                continue
            inside = sorted(_visible(root / place), key=natural)
            found = [x for x in inside if x.lower().endswith(EXTENSIONS)]
            skipped += [f"{place}/{x}: not an image by its extension" for x in inside if x not in set(found)]
            if not found:
                raise ValueError(f"clip {place!r} holds no images ({', '.join(EXTENSIONS)}): add some or remove it")
            ids.append(place)
            labels.append(label)
            frames.append(found)
        if len(ids) == count:
            last = f"; {skipped[-1]}" if skipped else ""
            raise ValueError(
                f"class folder {name!r} holds no clips: put the frames of each into a folder of its own{last}"
            )
    lengths = np.array([len(found) for found in frames])
    return ClipFolders(
        root=root,
        files=frames,
        size=size,
        lengths=lengths,
        labels=np.array(labels),
        class_names=names,
        ids=np.array(ids),
        name=root.resolve().name,
        skipped=tuple(skipped),
    )


def _visible(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
