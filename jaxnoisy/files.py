"""Files that are written whole or not at all, and arrays that are read without running anything."""

import contextlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxnoisy import check

PathLike = str | os.PathLike[str]


@contextlib.contextmanager
def whole_file(path: PathLike) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path``; it takes that name only if the block ends without an error.

    A full disk, an exception or a kill leaves whatever stood at ``path`` as it was.
    """
    target = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def write_text(path: PathLike, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with whole_file(path) as file:
        file.write(text.encode())


def write_json(path: PathLike, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all. NaN becomes ``null``: JSON has no other way to say it."""
    write_text(path, json.dumps(plain(value), indent=2, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """What JSON gives back for ``value``: lists, text keys, Python numbers, None for what is not finite."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def read_json(path: PathLike) -> Any:
    """Read a JSON file."""
    p = check.existing_file(path, name="JSON file")
    try:
        return json.loads(Path(p).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{p!r} is not readable JSON: {error}") from error


def write_npz(path: PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as an uncompressed ``.npz``, whole or not at all. Arrays of Python objects are refused."""
    for name, a in arrays.items():
        if np.asarray(a).dtype.hasobject:
            raise TypeError(f"array {name!r} holds Python objects, which cannot be stored without pickle")
    with whole_file(path) as file:
        np.savez(file, **{k: np.asarray(v) for k, v in arrays.items()})  # type: ignore[arg-type]


def read_npz(path: PathLike) -> dict[str, np.ndarray]:
    """Read every array of an ``.npz`` file. Pickled objects are refused, not loaded."""
    p = check.existing_file(path, name="array file")
    try:
        # Opened here: of a damaged archive that it opens itself, np.load leaves the file open.
        with open(p, "rb") as file:
            pack = np.load(file, allow_pickle=False)
            if not isinstance(pack, np.ndarray):
                with pack:
                    return {name: pack[name] for name in pack.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"{p!r} is not a readable .npz file, or is truncated: {error}") from error
    except ValueError as error:
        raise ValueError(_refusal(p, error)) from error
    raise ValueError(f"{p!r} holds a single array (.npy): expected an .npz with named arrays")


def read_npy(path: PathLike, *, mmap: bool = False) -> np.ndarray:
    """Read the array of an ``.npy`` file, or map it into memory. Pickled objects are refused, not loaded."""
    p = check.existing_file(path, name="array file")
    try:
        a = np.load(p, allow_pickle=False, mmap_mode="r" if mmap else None)
    except (EOFError, OSError) as error:
        raise ValueError(f"{p!r} is not a readable .npy file, or is truncated: {error}") from error
    except ValueError as error:
        raise ValueError(_refusal(p, error)) from error
    if not isinstance(a, np.ndarray):
        a.close()
        raise ValueError(f"{p!r} is an .npz file with several arrays: expected an .npy with one")
    return a


def read_named(spec: str, name: str) -> np.ndarray:
    """Read one array from ``FILE`` or ``npy:FILE``: an ``.npy``, or the array called ``name`` in an ``.npz``."""
    path = spec.removeprefix("npy:")
    if not path.endswith(".npz"):
        return read_npy(path)
    arrays = read_npz(path)
    if name not in arrays:
        raise ValueError(f"{path!r} has no array {name!r}, but {', '.join(sorted(arrays)) or 'none'}")
    return arrays[name]


def _refusal(path: str, error: ValueError) -> str:
    with open(path, "rb") as file:
        magic = file.read(6)
    if not magic.startswith((b"\x93NUMPY", b"PK")):  # NumPy takes whatever it does not know for a pickle
        return f"{path!r} is neither an .npy nor an .npz file"
    if "allow_pickle" in str(error) or "pickled" in str(error):
        return f"{path!r} holds pickled Python objects, which are never loaded: save plain numeric or text arrays"
    return f"{path!r} cannot be read as arrays: {error}"
