"""A labelled data set on the host: inputs, given labels, and what is known about them."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from jaxnoisy import check

MAX_UNNAMED_CLASSES = 1_000_000
"""Labels at or above this are taken for a mistake (a date, a hash) unless class names are given."""


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Examples with the labels they were given. Checked once, when it is made; never changed after.

    Attributes:
        inputs: (n, d) float features; (n, height, width, channels) images, uint8 in 0..255 or float; or clips of them,
            (n, frames, height, width, channels). May be a memory map: nothing here copies it.
        labels: (n,) int32 given labels, 0 <= label < c.
        class_names: c names, in the order of the labels.
        ids: (n,) text, one unique name per example; by default the row number.
        clean_labels: (n,) int32 true labels where they are known (benchmarks), else None. Only metrics read them.
        name: what reports call the data set.
        skipped: inputs that a loader left out, with the reason, for the report.
        flow: of clips, the flow around each frame, (n, frames, h, w, 2 L) for L displacements, where it was asked for.
    """

    inputs: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    ids: np.ndarray
    clean_labels: np.ndarray | None = None
    name: str = "data"
    skipped: tuple[str, ...] = ()
    flow: np.ndarray | None = None

    def __post_init__(self) -> None:
        n, c = len(self.labels), len(self.class_names)
        check.labels(self.labels, num_classes=c)
        if self.inputs.ndim not in (2, 4, 5):
            raise ValueError(
                f"inputs must have shape (n, d) for features, (n, height, width, channels) for images, or "
                f"(n, frames, height, width, channels) for clips, but have shape {self.inputs.shape}"
            )
        if len(self.inputs) != n:
            raise ValueError(f"there are {len(self.inputs)} inputs for {n} labels: give one label per example")
        if 0 in self.inputs.shape:
            raise ValueError(f"inputs of shape {self.inputs.shape} hold no values")
        if not (self.inputs.dtype == np.uint8 or np.issubdtype(self.inputs.dtype, np.floating)):
            raise TypeError(f"inputs must be uint8 or floating point, but have dtype {self.inputs.dtype}")
        check.finite(self.inputs, name="inputs")
        if self.flow is not None:
            if self.flow.ndim != 5 or self.flow.shape[:2] != self.inputs.shape[:2] or not self.is_clips:
                raise ValueError(
                    f"flow must have shape (n, frames, h, w, 2 L) for clips of as many frames, but has shape "
                    f"{self.flow.shape} for inputs of shape {self.inputs.shape}"
                )
            check.finite(self.flow, name="flow")
        if self.clean_labels is not None:
            check.labels(self.clean_labels, num_classes=c, n=n, name="clean_labels")
        if self.ids.shape != (n,):
            raise ValueError(f"ids must have shape ({n},), one per example, but have shape {self.ids.shape}")
        names, counts = np.unique(self.ids, return_counts=True)
        if len(names) != n:
            raise ValueError(f"ids must be unique, but {str(names[counts.argmax()])!r} stands {counts.max()} times")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """c, the number of classes."""
        return len(self.class_names)

    @property
    def is_images(self) -> bool:
        """Whether an example is made of pixels, an image or a clip, rather than a row of features."""
        return self.inputs.ndim >= 4

    @property
    def is_clips(self) -> bool:
        """Whether an example is a clip: several images that share its label."""
        return self.inputs.ndim == 5

    @property
    def flips(self) -> np.ndarray | None:
        """(n,) bool, where the given label differs from the clean one; None where truth is not known."""
        return None if self.clean_labels is None else self.labels != self.clean_labels

    def with_labels(self, labels: np.ndarray, *, clean_labels: np.ndarray | None = None) -> "Dataset":
        """The same examples under other labels, (n,) integers in 0..c-1; true labels too where they are given."""
        checked = check.labels(labels, num_classes=self.num_classes, n=len(self))
        clean = self.clean_labels
        if clean_labels is not None:
            clean = check.labels(clean_labels, num_classes=self.num_classes, n=len(self), name="clean_labels")
        return dataclasses.replace(self, labels=checked, clean_labels=clean)

    def take(self, rows: np.ndarray) -> "Dataset":
        """The examples at ``rows`` ((k,) indices or (n,) bool), with all classes kept in their numbering."""
        clean, flow = (None if a is None else a[rows] for a in (self.clean_labels, self.flow))
        return dataclasses.replace(
            self, inputs=self.inputs[rows], labels=self.labels[rows], ids=self.ids[rows], clean_labels=clean, flow=flow
        )

    def of_flow(self) -> "Dataset":
        """The same clips, with their flow in the place of their frames."""
        if self.flow is None:
            raise ValueError(f"{self.name!r} holds no flow: read it with the clips (flow=True)")
        return dataclasses.replace(self, inputs=self.flow, flow=None)

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with the ids, the labels, the classes or the inputs.

        Of large inputs 4,096 evenly spaced examples are hashed, so that a memory map of millions is not read whole.
        Flow is left out: it says nothing that the frames do not.
        """
        digest = hashlib.sha256()
        digest.update(repr((self.inputs.shape, self.inputs.dtype.str, self.class_names)).encode())
        digest.update(np.ascontiguousarray(self.labels, np.int32).tobytes())
        digest.update("\0".join(map(str, self.ids)).encode())
        step = max(1, len(self) // 4096)
        digest.update(np.ascontiguousarray(self.inputs[::step]).tobytes())
        return digest.hexdigest()[:16]


def make(
    inputs: np.ndarray,
    labels: np.ndarray,
    *,
    class_names: Sequence[str] | None = None,
    ids: np.ndarray | None = None,
    clean_labels: np.ndarray | None = None,
    name: str = "data",
    skipped: Sequence[str] = (),
    clips: bool = False,
    flow: np.ndarray | None = None,
) -> Dataset:
    """Build a :class:`Dataset` from arrays, filling in what is not given.

    Args:
        inputs: (n, ...) numbers. Two or four axes are kept ((n, height, width) becomes one-channel images); integers
            other than uint8 become float32, float64 too; anything else is flattened to features (n, d).
        labels: (n,) integers.
        class_names: c names; by default the numbers 0..c-1, c being one more than the largest label.
        ids: (n,) names; by default the row numbers.
        clean_labels: (n,) integers, where the truth is known.
        name: what reports call the data set.
        skipped: what a loader left out, with the reason.
        clips: whether five axes are clips (n, frames, height, width, channels), and kept as they are.
        flow: (n, frames, h, w, 2 L), of clips.

    Raises:
        ValueError, TypeError: for anything that :class:`Dataset` refuses.

    Example:
        >>> import numpy as np
        >>> data = make(np.eye(3, dtype=np.float32), np.array([0, 1, 1]))
        >>> data.class_names, data.ids.tolist()
        (('0', '1'), ['0', '1', '2'])
    """
    checked = check.labels(labels)
    clean = None if clean_labels is None else check.labels(clean_labels, n=len(checked), name="clean_labels")
    if class_names is None:
        highest = max(int(checked.max()), int(clean.max()) if clean is not None else 0)
        if highest >= MAX_UNNAMED_CLASSES:
            raise ValueError(
                f"the largest label is {highest}: class numbers run from 0 to c - 1 without gaps; number the classes "
                f"anew (np.unique(labels, return_inverse=True)), or give class_names"
            )
        class_names = [str(k) for k in range(highest + 1)]
    return Dataset(
        inputs=_shaped(np.asarray(inputs) if not isinstance(inputs, np.memmap) else inputs, axes=5 if clips else 4),
        labels=checked,
        class_names=tuple(str(k) for k in class_names),
        ids=np.arange(len(checked)).astype(str) if ids is None else np.asarray(ids).astype(str),
        clean_labels=clean,
        name=name,
        skipped=tuple(skipped),
        flow=flow,
    )


def _shaped(inputs: np.ndarray, *, axes: int) -> np.ndarray:
    if inputs.dtype.kind not in "biuf":
        raise TypeError(f"inputs must be numbers, but have dtype {inputs.dtype}")
    if inputs.ndim < 2:
        raise ValueError(f"inputs must have shape (n, ...) with at least two axes, but have shape {inputs.shape}")
    if inputs.dtype != np.uint8 and inputs.dtype not in (np.dtype(np.float32), np.dtype(np.float16)):
        check.finite(inputs, name="inputs")
        with np.errstate(over="ignore"):
            narrow = inputs.astype(np.float32)
        if not np.isfinite(narrow).all():
            raise ValueError("inputs has values beyond the range of float32 (3.4e38): scale them")
        inputs = narrow
    if inputs.ndim == 3:
        return inputs[..., None]
    if inputs.ndim > axes:
        return inputs.reshape(len(inputs), -1)
    return inputs
