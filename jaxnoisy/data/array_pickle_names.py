"""What the functions named in pickled arrays stand for: each builds an array from bytes, none is the function itself.

NumPy pickles an array as calls of ``_reconstruct``, ``dtype`` and ``__setstate__`` (protocols 0 to 4) or of
``_frombuffer`` (protocol 5); torch pickles a tensor as ``_rebuild_tensor_v2`` on a storage. The table at the end of
this file is the whole vocabulary.
"""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

Charge = Callable[[int], None]
"""Counts bytes that are copied, and refuses when they are more than the file has."""


@dataclasses.dataclass(frozen=True)
class Name:
    """A function or class that pickled arrays name, and what is built when the pickle calls it."""

    text: str
    build: Callable[[tuple[Any, ...], Charge], Any]

    def __str__(self) -> str:
        return self.text


@dataclasses.dataclass(eq=False)
class Unbuilt:
    """An array or dtype that waits for its state; ``memo_keys`` are where the pickle remembers it."""

    finish: Callable[[Any, Charge], Any]
    memo_keys: list[int] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        return "an array without contents"


@dataclasses.dataclass(frozen=True, eq=False)
class Arguments:
    """A tuple with names or unfinished objects in it: good as arguments, never as a value."""

    items: tuple[Any, ...]

    def __str__(self) -> str:
        return "function arguments"


@dataclasses.dataclass(frozen=True, eq=False)
class Storage:
    """The bytes of a torch tensor's storage, (numel,) of one dtype."""

    values: np.ndarray

    def __str__(self) -> str:
        return "a tensor's storage"


def is_internal(value: Any) -> bool:
    """Whether ``value`` is a part of the machinery and no value that a pickle may hold."""
    return isinstance(value, (Name, Unbuilt, Arguments, Storage))


def look_up(module: Any, name: Any) -> Name:
    """Return the stand-in for ``module.name``, or refuse it."""
    known = _NAMES.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
    if known is None:
        raise ValueError(
            f"refused {module}.{name}: only dictionaries, lists, text, numbers and NumPy arrays are read from pickles. "
            "If you trust the file, convert it to .npz with the program that wrote it"
        )
    return known


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(f"malformed pickle of an array: {what}")


def _not_callable(name: str) -> Callable[[tuple[Any, ...], Charge], Any]:
    def build(arguments: tuple[Any, ...], charge: Charge) -> Any:
        raise ValueError(f"refused to call {name} from a pickle")

    return build


def _raw(data: Any, charge: Charge) -> bytes | bytearray:
    if isinstance(data, str):  # Python 2 had one type for text and bytes.
        charge(len(data))
        return _latin1(data)
    _expect(isinstance(data, (bytes, bytearray)), f"contents of type {type(data).__name__}")
    return data


def _latin1(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError("malformed pickle of an array: bytes outside 0..255") from error


def _encode(arguments: tuple[Any, ...], charge: Charge) -> bytes:
    _expect(
        len(arguments) == 2 and isinstance(arguments[0], str) and arguments[1] in ("latin1", "latin-1"),
        "bytes in an unknown encoding",
    )
    charge(len(arguments[0]))
    return _latin1(arguments[0])


def _empty_bytes(arguments: tuple[Any, ...], charge: Charge) -> bytes:
    _expect(arguments == (), "bytes made from arguments")
    return b""


def _dtype(arguments: tuple[Any, ...], charge: Charge) -> Unbuilt:
    _expect(len(arguments) >= 1 and isinstance(arguments[0], str), "a dtype without a code")
    code = arguments[0]
    if not re.fullmatch(r"[biufcSU][0-9]{1,9}|O8?", code):
        raise ValueError(f"refused an array of dtype {code!r}: numbers and text are read")

    def finish(state: Any, charge: Charge) -> np.dtype:
        _expect(isinstance(state, tuple) and len(state) >= 5 and state[1] in ("<", ">", "|", "="), "a dtype's state")
        _expect(state[2] is None and state[3] is None and state[4] is None, "a dtype with fields")
        try:
            dtype = np.dtype(code)
        except TypeError as error:
            raise ValueError(f"malformed pickle of an array: dtype {code!r} does not exist") from error
        return dtype if state[1] == "|" else dtype.newbyteorder(state[1])

    return Unbuilt(finish)


def _refuse_objects(dtype: Any) -> None:
    _expect(isinstance(dtype, np.dtype), "an array without a dtype")
    if dtype.hasobject:
        raise ValueError("refused an array of Python objects: arrays of numbers and text are read")


def _array(raw: bytes | bytearray, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    _refuse_objects(dtype)
    _expect(order in ("C", "F"), f"memory order {order!r}")
    _expect(isinstance(shape, tuple) and all(type(k) is int and k >= 0 for k in shape), "the shape")
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"an array of shape {shape} and dtype {dtype} does not fit the {len(raw)} bytes given for it")
    try:
        return np.ndarray(shape, dtype, buffer=raw, order=order)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"malformed pickle of an array: {error}") from error


def _reconstruct(arguments: tuple[Any, ...], charge: Charge) -> Unbuilt:
    _expect(len(arguments) == 3 and arguments[0] is _NDARRAY, "an array of an unknown class")

    def finish(state: Any, charge: Charge) -> Any:
        _expect(isinstance(state, tuple) and len(state) == 5, "an array's state")
        _, shape, dtype, fortran, contents = state
        if isinstance(dtype, np.dtype) and dtype.hasobject and shape == () and isinstance(contents, list):
            # np.save wraps a dictionary in an array without axes; what is wrapped is built of plain values already.
            _expect(len(contents) == 1, "an object array without its object")
            return contents[0]
        _refuse_objects(dtype)
        return _array(_raw(contents, charge), dtype, shape, "F" if fortran else "C")

    return Unbuilt(finish)


def _frombuffer(arguments: tuple[Any, ...], charge: Charge) -> np.ndarray:
    _expect(len(arguments) in (4, 5), "a buffer's arguments")
    raw, dtype, shape, order = arguments[:4]
    if order != "K":
        return _array(_raw(raw, charge), dtype, shape, order)
    axes: Any = arguments[-1]
    _expect(len(arguments) == 5 and isinstance(shape, tuple) and isinstance(axes, tuple), "an axis order")
    _expect(all(type(k) is int for k in axes) and sorted(axes) == list(range(len(shape))), "an axis order")
    return _array(_raw(raw, charge), dtype, shape, "C").transpose(axes)


def _scalar(arguments: tuple[Any, ...], charge: Charge) -> Any:
    _expect(len(arguments) == 2, "a scalar's arguments")
    return _array(_raw(arguments[1], charge), arguments[0], (), "C")[()]


def _ordered_dict(arguments: tuple[Any, ...], charge: Charge) -> dict[Any, Any]:
    _expect(arguments == (), "an ordered dictionary made from arguments")
    return {}


def _tensor(arguments: tuple[Any, ...], charge: Charge) -> np.ndarray:
    _expect(len(arguments) >= 4 and isinstance(arguments[0], Storage), "a tensor without a storage")
    storage, offset, shape, stride = arguments[:4]
    _expect(type(offset) is int and offset >= 0, "a tensor's offset")
    _expect(isinstance(shape, tuple) and all(type(k) is int and k >= 0 for k in shape), "a tensor's shape")
    _expect(isinstance(stride, tuple) and len(stride) == len(shape), "a tensor's strides")
    _expect(all(type(k) is int for k in stride), "a tensor's strides")
    count = math.prod(shape)
    _expect(offset + count <= len(storage.values), "a tensor larger than its storage")
    # Row-major, column-major or any other order of the axes: what is refused are views that skip or repeat elements.
    axes = sorted(range(len(shape)), key=lambda i: (-stride[i], shape[i]))
    step = 1
    for i in reversed(axes):
        if count > 1 and shape[i] > 1 and stride[i] != step:
            raise ValueError("refused a tensor that is a strided view: save tensor.contiguous() instead")
        step *= shape[i]
    dense = storage.values[offset : offset + count].reshape([shape[i] for i in axes])
    return dense.transpose(np.argsort(axes)) if axes else dense


STORAGE_DTYPES = {
    f"torch.{name}Storage": np.dtype(code)
    for name, code in {
        "Bool": "?", "Byte": "u1", "Char": "i1", "Short": "i2", "Int": "i4", "Long": "i8",
        "Half": "f2", "Float": "f4", "Double": "f8",
    }.items()
}  # fmt: skip
"""The storage classes of torch whose values NumPy can hold."""

_NDARRAY = Name("numpy.ndarray", _not_callable("numpy.ndarray"))
_NAMES: dict[tuple[str, str], Name] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): Name("numpy.dtype", _dtype),
    ("_codecs", "encode"): Name("_codecs.encode", _encode),
    ("__builtin__", "bytes"): Name("bytes", _empty_bytes),
    ("builtins", "bytes"): Name("bytes", _empty_bytes),
    ("collections", "OrderedDict"): Name("collections.OrderedDict", _ordered_dict),
    ("torch._utils", "_rebuild_tensor_v2"): Name("torch._utils._rebuild_tensor_v2", _tensor),
}
for _core in ("numpy.core", "numpy._core"):  # NumPy 2 renamed the package.
    _NAMES[f"{_core}.multiarray", "_reconstruct"] = Name("numpy _reconstruct", _reconstruct)
    _NAMES[f"{_core}.multiarray", "scalar"] = Name("numpy scalar", _scalar)
    _NAMES[f"{_core}.numeric", "_frombuffer"] = Name("numpy _frombuffer", _frombuffer)
for _text in STORAGE_DTYPES:
    _module, _, _class = _text.partition(".")
    _NAMES[_module, _class] = Name(_text, _not_callable(_text))
