"""The matrix of influences as a file, written block by block."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from jaxnoisy import files
from jaxnoisy.curvature import rowwise
from jaxnoisy.influence.rows import Rows


def to_npy(path: files.PathLike) -> Callable[[Rows], np.ndarray]:
    """Write the matrix to an ``.npy`` file, which is there whole or not at all.

    Args:
        path: of the file. One that is there already is replaced once the new one is complete, and stays as it is if
            anything fails before.

    Returns:
        ``write(rows) -> (n, k)``, the file mapped into memory, for reading. Memory: two blocks of rows.

    Raises:
        ValueError: a path whose folder does not exist, or that is a folder itself.
        OSError: from ``write``: a folder that cannot be written to, or a full disk.
        TypeError: from ``write``, inside ``jit``.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> from jaxnoisy.influence import from_matrix
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = to_npy(os.path.join(folder, "influence.npy"))(from_matrix(np.ones((5, 2), np.float32)))
        ...     found.shape
        (5, 2)
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise ValueError(f"path: there is no folder {os.fspath(target.parent)!r} to write {target.name!r} to")
    if target.is_dir():
        raise ValueError(f"path: {os.fspath(target)!r} is a folder: give the name of a file")

    def write(rows: Rows) -> np.ndarray:
        found = rowwise.in_order(rows.of, rows.data, block_size=rows.block_size, names=rows.names)
        with files.whole_file(target) as file:
            # How many rows there are is known at the end, as they may come from a stream.
            begin = _header(file, 0, rows)
            n = 0
            for block in found:
                file.write(np.ascontiguousarray(block, rows.dtype).data)
                n += len(block)
            file.seek(0)
            if _header(file, n, rows) != begin:
                raise RuntimeError("the header of an .npy file grew with its number of rows")
        return files.read_npy(target, mmap=True)

    return write


def _header(file: IO[bytes], n: int, rows: Rows) -> int:
    """Write the header for n rows; returns where it ends."""
    described = {"descr": rows.dtype.str, "fortran_order": False, "shape": (n, rows.columns)}
    np.lib.format.write_array_header_1_0(file, described)
    return file.tell()
