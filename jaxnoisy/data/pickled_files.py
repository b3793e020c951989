"""Dictionaries of arrays from ``.pt`` and ``.npy`` files, whose pickles are interpreted and never executed."""

import io
import os
import sys
import zipfile
from typing import Any

import numpy as np

from jaxnoisy import check
from jaxnoisy.data import array_pickle
from jaxnoisy.data.array_pickle_names import STORAGE_DTYPES, Name, Storage
from jaxnoisy.data.errors import about

_NPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK\x03\x04"
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_TORCH_PROTOCOL = 1001


def read_pickled_dict(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a dictionary that ``torch.save``, ``np.save`` or a pickler wrote, as long as it holds plain arrays.

    Read are the two formats of ``torch.save`` (a zip archive, and the older row of pickles), an ``.npy`` file with a
    dictionary in it, and a bare pickle. Which one a file is shows in its first bytes, not in its name. Arrays and
    lists may be values; tensors too in the zip format.

    Args:
        path: the file. It is read into memory as a whole.

    Returns:
        The dictionary; tensors have become NumPy arrays.

    Raises:
        ValueError: the file holds anything that is not plain data, another object than a dictionary with text keys,
            or is truncated. The message names the file. Nothing in a file is ever run.

    Example:
        >>> import numpy as np, tempfile
        >>> path = tempfile.mkdtemp() + "/labels.npy"
        >>> np.save(path, {"clean_label": np.arange(3)})
        >>> read_pickled_dict(path)["clean_label"]
        array([0, 1, 2])
    """
    p = check.existing_file(path, name="label file")
    with about(p):
        with open(p, "rb") as file:
            data = file.read()
        if data.startswith(_NPY_MAGIC):
            value = _from_npy(data)
        elif data.startswith(_ZIP_MAGIC):
            value = _from_torch_zip(data)
        else:
            value = _from_pickles(data)
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise ValueError(f"holds a {type(value).__name__}: expected a dictionary of named label arrays")
        return value


def _from_npy(data: bytes) -> Any:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read_header:
        raise ValueError(f"is an .npy file of version {version}: expected 1.0 or 2.0")
    _, _, dtype = read_header[version](stream)
    if not dtype.hasobject:
        raise ValueError(f"holds one array of dtype {dtype}: expected a dictionary of named label arrays")
    return array_pickle.load(stream)


def _from_torch_zip(data: bytes) -> Any:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = {info.filename: info for info in archive.infolist()}
        roots = [name.removesuffix("data.pkl") for name in members if name.rpartition("/")[2] == "data.pkl"]
        if len(roots) != 1:
            raise ValueError("is a zip archive, but not one that torch.save wrote: there is no single data.pkl in it")
        # torch.save never compresses. An archive that does, or whose members overlap, can be far larger than its file.
        if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
            raise ValueError("is a compressed archive, which torch.save does not write")
        if sum(info.file_size for info in members.values()) > len(data):
            raise ValueError("is an archive with overlapping members")
        contents = {name.removeprefix(roots[0]): archive.read(info) for name, info in members.items()}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"is not a readable archive, or is truncated: {error}") from error
    swapped = (contents.get("byteorder") == b"big") != (sys.byteorder == "big")

    def storage(identifier: tuple[Any, ...]) -> Storage:
        if len(identifier) != 5 or identifier[0] != "storage" or not isinstance(identifier[1], Name):
            raise ValueError("refused a persistent id that is no tensor storage")
        _, kind, key, _, count = identifier
        raw = contents.get(f"data/{key}")
        dtype = STORAGE_DTYPES.get(kind.text)
        if dtype is None or raw is None or not isinstance(count, int) or count * dtype.itemsize != len(raw):
            raise ValueError(f"malformed tensor storage {key!r}")
        return Storage(np.frombuffer(raw, dtype.newbyteorder("S") if swapped else dtype))

    return array_pickle.loads(contents["data.pkl"], persistent=storage)


def _from_pickles(data: bytes) -> Any:
    stream = io.BytesIO(data)
    value = array_pickle.load(stream)
    if type(value) is not int or value != _TORCH_MAGIC:
        return value
    protocol = array_pickle.load(stream)
    if protocol != _TORCH_PROTOCOL:
        raise ValueError(f"is a torch file of protocol {protocol!r}: expected {_TORCH_PROTOCOL}")
    array_pickle.load(stream)  # What machine wrote it.
    try:
        return array_pickle.load(stream)
    except ValueError as error:
        if "persistent id" in str(error):
            raise ValueError(
                "holds tensors in torch's older format: save it again with a newer torch, or save NumPy arrays"
            ) from error
        raise
