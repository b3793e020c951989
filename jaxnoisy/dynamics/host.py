"""The recorder's twin on the host: NumPy arrays in, from any framework's loop, in memory or spilled to disk."""

import operator
import os
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxnoisy import check, files
from jaxnoisy.dynamics.observation import FLOAT_FIELDS, Observation, class_dtype, observe
from jaxnoisy.dynamics.trace import HEADER_FILE, MODES, Trace, mean_probabilities


class HostRecorder:
    """Collect training dynamics from NumPy logits.

    Buffers are epoch-major, so that an epoch spilled to disk is one contiguous write; the trace shows them as (n, t).

    Args:
        labels: (n,) given labels.
        epochs: t.
        num_classes: c; by default one more than the largest label.
        directory: where to keep the buffers as memory-mapped ``.npy`` files; by default they stay in memory. The folder
            must not hold a trace already. Read it back with ``jaxnoisy.dynamics.load(directory)``.
        resume: go on filling the buffers that ``directory`` holds, if it holds them all; otherwise begin anew. Not with
            ``probabilities``, whose sum is not on disk.
        dtype: storage of the float fields, as for the device recorder.
        probabilities: also keep the mean class probabilities, (n, c) float32 in memory. Each example may then be
            recorded once per epoch only.
        mode: "train" or "eval", how the logits are taken.
        fingerprint: of the data set, kept in the trace.

    Raises:
        ValueError, TypeError: labels, sizes or dtype out of range; a directory that holds a trace.

    Example:
        >>> import numpy as np
        >>> recorder = HostRecorder(np.array([0, 1, 1]), epochs=2)
        >>> recorder.record(0, np.array([2, 0]), np.array([[0.0, 1.0], [2.0, 0.0]]))
        >>> recorder.trace().recorded.tolist()
        [[True, False], [False, False], [True, False]]
    """

    def __init__(
        self,
        labels: Any,
        epochs: int,
        *,
        num_classes: int | None = None,
        directory: files.PathLike | None = None,
        resume: bool = False,
        dtype: Any = np.float32,
        probabilities: bool = False,
        mode: str = "train",
        fingerprint: str = "",
    ) -> None:
        self._labels = check.labels(labels, num_classes=num_classes)
        check.positive_int(epochs, name="epochs")
        self._num_classes = num_classes or int(self._labels.max()) + 1
        check.positive_int(self._num_classes, name="num_classes", minimum=2)
        if not np.issubdtype(np.dtype(dtype), np.floating):
            raise TypeError(f"dtype must be a floating point type, but is {dtype}")
        check.one_of(mode, MODES, name="mode")
        if resume and probabilities:
            raise ValueError(
                "the sum of probabilities is held in memory and ended with the run before: resume without probabilities"
            )
        self._mode, self._fingerprint = mode, fingerprint
        self._directory = None if directory is None else Path(directory)
        self._resume = False
        if self._directory is not None:
            self._resume = resume and all((self._directory / f"{name}.npy").exists() for name in Observation._fields)
            _prepare(self._directory, resume=resume)
        shape = (epochs, len(self._labels))
        floats = {name: self._buffer(name, shape, np.dtype(dtype), np.nan) for name in FLOAT_FIELDS}
        self._seen = Observation(**floats, argmax=self._buffer("argmax", shape, class_dtype(self._num_classes), -1))
        self._prob_sum = np.zeros((len(self._labels), self._num_classes), np.float32) if probabilities else None

    def _buffer(self, name: str, shape: tuple[int, int], dtype: np.dtype, fill: float) -> np.ndarray:
        if self._directory is None:
            return np.full(shape, fill, dtype)
        path = self._directory / f"{name}.npy"
        if self._resume:
            buffer = np.lib.format.open_memmap(path, mode="r+")
            if (buffer.shape, buffer.dtype) != (shape, dtype):
                raise ValueError(f"{path} holds {buffer.dtype}{buffer.shape}, not {dtype}{shape}: it is of another run")
            return buffer
        buffer = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        buffer[:] = fill
        return buffer

    def __len__(self) -> int:
        return len(self._labels)

    def record(self, epoch: int, indices: Any, logits: Any) -> None:
        """Write one batch: ``indices`` (b,) rows of the examples, ``logits`` (b, c) as any array NumPy understands.

        A PyTorch tensor is passed as ``logits.detach().float().cpu().numpy()``.

        Raises:
            ValueError: shapes that do not fit, rows or epochs out of range, logits that are not finite.
            TypeError: indices or an epoch that are not whole numbers, logits that are not floating point.
        """
        rows, z = np.asarray(indices), np.asarray(logits)
        if not jnp.issubdtype(z.dtype, jnp.floating):
            raise TypeError(f"logits must be floating point, but have dtype {z.dtype}")
        if rows.ndim != 1 or z.shape != (len(rows), self._num_classes):
            raise ValueError(
                f"logits must have shape ({len(rows)}, {self._num_classes}) for {len(rows)} indices, but have {z.shape}"
            )
        if len(rows) == 0:
            return
        if not np.issubdtype(rows.dtype, np.integer):
            raise TypeError(
                f"indices must be whole numbers, but have dtype {rows.dtype}: give np.flatnonzero of a mask"
            )
        if rows.min() < 0 or rows.max() >= len(self._labels):
            raise ValueError(f"indices must lie in 0..{len(self._labels) - 1}, but reach {rows.min()} and {rows.max()}")
        check.finite(z, name="logits")
        column = observe(z, self._labels[rows])
        self._write(epoch, rows, column)
        if self._prob_sum is not None:
            wide = z.astype(np.float32)
            np.add.at(self._prob_sum, rows, np.exp(wide - np.asarray(column.log_normalizer, np.float32)[:, None]))

    def write_epoch(self, epoch: int, column: Observation) -> None:
        """Write a whole epoch, fields (n,), as the device recorder holds it: the spill to disk."""
        self._write(epoch, slice(None), column)

    def add_probabilities(self, prob_sum: Any) -> None:
        """Take over the (n, c) sum of class probabilities that the device recorder kept."""
        self._prob_sum = np.asarray(prob_sum, np.float32)

    def _write(self, epoch: int, rows: Any, column: Observation) -> None:
        epochs, epoch = self._seen.argmax.shape[0], operator.index(epoch)
        if not 0 <= epoch < epochs:
            raise ValueError(f"epoch must lie in 0..{epochs - 1}, but is {epoch}: make the recorder with more epochs")
        for buffer, values in zip(self._seen, column):
            buffer[epoch, rows] = values

    def trace(self) -> Trace:
        """The trace so far. Fields are views of the buffers, not copies."""
        seen = Observation(*(field.T for field in self._seen))
        trace = Trace(
            labels=self._labels,
            seen=seen,
            num_classes=self._num_classes,
            mean_probs=mean_probabilities(self._prob_sum, seen.argmax),
            mode=self._mode,
            fingerprint=self._fingerprint,
        )
        if self._directory is not None:
            for buffer in self._seen:
                buffer.flush()
            extra = {} if trace.mean_probs is None else {"mean_probs": trace.mean_probs}
            files.write_npz(self._directory / HEADER_FILE, {**trace.header(), "labels": self._labels, **extra})
        return trace


def _prepare(directory: Path, *, resume: bool) -> None:
    if not resume and ((directory / HEADER_FILE).exists() or (directory / "argmax.npy").exists()):
        raise ValueError(f"{os.fspath(directory)!r} holds a trace already: choose another folder, or remove it")
    directory.mkdir(parents=True, exist_ok=True)
