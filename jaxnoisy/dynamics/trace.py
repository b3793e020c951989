"""A finished trace: what was recorded of every example in every epoch, on the host and on disk."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from jaxnoisy import check, files
from jaxnoisy.dynamics.observation import FLOAT_FIELDS, Observation, class_dtype, observe

FORMAT = "jaxnoisy-trace-1"
HEADER_FILE = "trace-header.npz"  # what a trace spilled to a folder keeps beside its field files
MODES = ("train", "eval", "unknown")


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """Training dynamics of n examples over t epochs. Arrays may be memory maps.

    Attributes:
        labels: (n,) int32, the labels given while the trace was taken.
        seen: :class:`~jaxnoisy.dynamics.observation.Observation` with fields of shape (n, t).
        num_classes: c.
        mean_probs: (n, c) floats, mean class probabilities over the recorded epochs, or None; float32 when recorded.
        mode: "train" (from the training step's own logits, augmentation and all), "eval" (an extra pass in evaluation
            mode), or "unknown".
        fingerprint: of the data set it was taken on, so that a trace is not read against other data; "" if unknown.
    """

    labels: np.ndarray
    seen: Observation
    num_classes: int
    mean_probs: np.ndarray | None = None
    mode: str = "unknown"
    fingerprint: str = ""

    def __post_init__(self) -> None:
        check.labels(self.labels, num_classes=self.num_classes)
        check.one_of(self.mode, MODES, name="mode")
        n = len(self.labels)
        shape = self.seen.argmax.shape
        if len(shape) != 2 or shape[0] != n or shape[1] < 1:
            raise ValueError(f"a trace of {n} labels needs fields of shape ({n}, epochs), but argmax has shape {shape}")
        for name in FLOAT_FIELDS:
            field = getattr(self.seen, name)
            if field.shape != shape:
                raise ValueError(f"trace field {name} has shape {field.shape}, but argmax has {shape}")
        if self.mean_probs is not None and self.mean_probs.shape != (n, self.num_classes):
            raise ValueError(f"mean_probs must have shape ({n}, {self.num_classes}), but has {self.mean_probs.shape}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def epochs(self) -> int:
        """t, the number of recorded columns."""
        return int(self.seen.argmax.shape[1])

    @property
    def recorded(self) -> np.ndarray:
        """(n, t) bool, where an entry was recorded."""
        return self.seen.argmax >= 0

    def take(self, rows: Any) -> "Trace":
        """The examples at ``rows``: a slice, (k,) indices, or (n,) bool."""
        seen = Observation(*(field[rows] for field in self.seen))
        probs = None if self.mean_probs is None else self.mean_probs[rows]
        return dataclasses.replace(self, labels=self.labels[rows], seen=seen, mean_probs=probs)

    def until(self, epoch: int) -> "Trace":
        """The first ``epoch`` columns, as if recording had stopped there. Mean probabilities are left out."""
        if check.positive_int(epoch, name="epoch") > self.epochs:
            raise ValueError(f"epoch must be at most {self.epochs}, the epochs of the trace, but is {epoch}")
        return dataclasses.replace(self, seen=Observation(*(f[:, :epoch] for f in self.seen)), mean_probs=None)

    def per_example(self, statistic: Callable[["Trace"], np.ndarray], *, block: int = 1 << 16) -> np.ndarray:
        """Apply ``statistic(trace) -> (k,) or (k, ...)`` to blocks of examples and join the results.

        Signals are (n, t) temporaries; by blocks a spilled trace of millions is read once and never held whole.
        """
        return np.concatenate([statistic(self.take(slice(i, i + block))) for i in range(0, len(self), block)])

    def header(self) -> dict[str, np.ndarray]:
        """What a file says of the trace besides its arrays: format, mode, num_classes, fingerprint."""
        values = {"format": FORMAT, "mode": self.mode, "num_classes": self.num_classes, "fingerprint": self.fingerprint}
        return {name: np.asarray(value) for name, value in values.items()}

    def save(self, path: files.PathLike) -> None:
        """Write the trace as an ``.npz`` (plain arrays, no pickle), whole or not at all."""
        arrays = {**self.header(), "labels": self.labels, **self.seen._asdict()}
        if self.mean_probs is not None:
            arrays["mean_probs"] = self.mean_probs
        files.write_npz(path, arrays)


def load(path: files.PathLike) -> Trace:
    """Read a trace: a file that :meth:`Trace.save` wrote, or a folder that a spilling recorder filled (memory-mapped).

    Raises:
        ValueError: not a trace, another version, truncated, or fields that do not fit each other.
    """
    folder = Path(path)
    if folder.is_dir():
        if not (folder / HEADER_FILE).exists():
            raise ValueError(f"{path!s} is a folder without {HEADER_FILE}: it holds no finished spilled trace")
        arrays = files.read_npz(folder / HEADER_FILE)
        arrays |= {name: files.read_npy(folder / f"{name}.npy", mmap=True).T for name in Observation._fields}
    else:
        arrays = files.read_npz(path)
    found = str(arrays.get("format", "none"))
    if found != FORMAT:
        raise ValueError(f"{path!s} is not a trace of this version (format {found!r}, expected {FORMAT!r})")
    missing = sorted({*Observation._fields, "mode", "num_classes", "fingerprint", "labels"} - set(arrays))
    if missing:
        raise ValueError(f"{path!s} lacks the arrays {', '.join(missing)}: it is not a whole trace")
    return Trace(
        labels=arrays["labels"],
        seen=Observation(**{name: arrays[name] for name in Observation._fields}),
        num_classes=int(arrays["num_classes"]),
        mean_probs=arrays.get("mean_probs"),
        mode=str(arrays["mode"]),
        fingerprint=str(arrays["fingerprint"]),
    )


def from_probabilities(pred_probs: np.ndarray, labels: np.ndarray) -> Trace:
    """A trace of one epoch from class probabilities, so that detectors on traces also read ``pred_probs``.

    Args:
        pred_probs: (n, c) probabilities, out of sample if they are to mean anything for a model that memorises.
        labels: (n,) given labels.
    """
    probs = check.probabilities(pred_probs)
    given = check.labels(labels, num_classes=probs.shape[1], n=len(probs))
    with np.errstate(divide="ignore"):
        logits = np.log(probs.astype(np.float32))
    # Zero probabilities would make losses infinite; the smallest normal float32 stands for them.
    column = observe(np.maximum(logits, np.log(np.finfo(np.float32).tiny)), given)
    seen = Observation(*(cast(np.ndarray, field)[:, None] for field in column))
    seen = seen._replace(argmax=probs.argmax(axis=1)[:, None].astype(class_dtype(probs.shape[1])))
    return Trace(given, seen, probs.shape[1], mean_probs=probs)


def mean_probabilities(prob_sum: np.ndarray | None, argmax: np.ndarray) -> np.ndarray | None:
    """(n, c) mean over the recorded epochs from their sum; rows never recorded become uniform."""
    if prob_sum is None:
        return None
    count = (argmax >= 0).sum(axis=1)[:, None]
    return np.where(count > 0, prob_sum / np.maximum(count, 1), 1 / prob_sum.shape[1]).astype(np.float32)


def same_labels(trace: Trace, labels: np.ndarray) -> None:
    """Refuse a trace that was taken under other labels than ``labels``."""
    labels = check.labels(labels)
    if len(trace) != len(labels):
        raise ValueError(
            f"the trace holds {len(trace)} examples, but there are {len(labels)} labels: is it of this data?"
        )
    different = trace.labels != labels
    if different.any():
        raise ValueError(
            f"the trace was taken under other labels: {int(different.sum())} of {len(labels)} differ, "
            f"the first at row {int(different.argmax())}"
        )


def flips(trace: Trace, clean_labels: np.ndarray) -> np.ndarray:
    """(n,) bool, where the trace's given label differs from the clean one."""
    clean = check.labels(clean_labels, num_classes=trace.num_classes, n=len(trace), name="clean_labels")
    return trace.labels != clean
