"""Reads pickles of arrays by interpreting their opcodes, without ever running what a pickle asks for.

A pickle is a program: the usual reader imports any function the file names and calls it. Label files are published
as pickles all the same. The reader here takes the program apart with ``pickletools.genops``, which disassembles and
never executes, and follows it with a stack of its own. It knows how to build dictionaries, lists, tuples, text,
bytes, numbers, ``None`` and NumPy arrays. The few functions an array is pickled with are stood in for by the entries
of :mod:`jaxnoisy.data.array_pickle_names`; every other name ends the reading with a ``ValueError``.
"""

import io
import pickletools
import re
from collections.abc import Callable
from typing import Any

from jaxnoisy.data.array_pickle_names import Arguments, Name, Unbuilt, is_internal, look_up

_VALUE_OPCODES = re.compile(
    "(BIN)?INT|BININT[12]|LONG[14]?|(BIN)?FLOAT|((SHORT_)?BIN)?STRING|UNICODE|(SHORT_)?BINUNICODE|BINUNICODE8|"
    "(SHORT_)?BINBYTES|BINBYTES8|BYTEARRAY8"
)
"""Opcodes whose argument, decoded by pickletools, is the value itself."""
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLE_LENGTHS = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()

Persistent = Callable[[tuple[Any, ...]], Any]
"""Gives the object that a persistent id stands for; torch refers to its storages in this way."""


def loads(data: bytes, *, persistent: Persistent | None = None) -> Any:
    r"""Build what one pickle in ``data`` describes, if it is made of plain values and arrays only.

    Args:
        data: a pickle of protocol 0 to 5; bytes after its end are left alone.
        persistent: what to do with persistent ids; without it they are refused.

    Returns:
        A dict, list, tuple, str, bytes, number, bool, None, NumPy scalar or array. Arrays are views of the bytes in
        ``data``, possibly read-only; sizes always agree with the bytes present, so memory stays within a small
        multiple of ``len(data)``.

    Raises:
        ValueError: the pickle names any function or class that arrays do not need (the message says which), holds
            arrays of objects, is truncated, or is not a pickle.

    Example:
        >>> loads(b"\x80\x02}X\x01\x00\x00\x00nK\x03s.")
        {'n': 3}
    """
    return load(io.BytesIO(data), persistent=persistent)


def load(stream: io.BytesIO, *, persistent: Persistent | None = None) -> Any:
    """Like :func:`loads`, from where ``stream`` stands; leaves it standing right after the pickle's end."""
    machine = _Machine(limit=len(stream.getbuffer()), persistent=persistent)
    steps = pickletools.genops(stream)
    while True:
        try:
            opcode, argument, position = next(steps)
        except StopIteration:
            return machine.result()
        except (ValueError, OverflowError, IndexError) as error:
            raise ValueError(f"not a pickle, or a truncated one: {error}") from error
        try:
            machine.step(opcode.name, argument)
        except ValueError as error:
            raise ValueError(f"{error} (at byte {position} of the pickle; nothing in it was run)") from error


class _Machine:
    """The stack and the memo of a pickle that is being followed."""

    def __init__(self, *, limit: int, persistent: Persistent | None) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._copied = 0
        self._limit = limit
        self._persistent = persistent

    def result(self) -> Any:
        if len(self._stack) != 1:
            raise ValueError(f"a pickle ends with one object, this one ends with {len(self._stack)}")
        return _plain(self._pop())

    def step(self, name: str, argument: Any) -> None:
        """Follow one opcode; ``argument`` is what it carries, decoded."""
        push = self._stack.append
        if _VALUE_OPCODES.fullmatch(name):
            push(argument)
        elif name in _CONSTANTS:
            push(_CONSTANTS[name])
        elif name in _TUPLE_LENGTHS:
            items = [self._pop() for _ in range(_TUPLE_LENGTHS[name])]
            push(_tuple(items[::-1]))
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            if argument not in self._memo:
                raise ValueError(f"memo entry {argument} is read before it is written")
            push(self._memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self._memoize(argument)
        else:
            method = getattr(self, f"_op_{name.lower()}", None)
            if method is None:
                raise ValueError(f"refused the pickle opcode {name}: arrays and plain values do not need it")
            method(argument)

    def _pop(self) -> Any:
        if not self._stack:
            raise ValueError("the pickle takes more from its stack than it put there")
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("the pickle uses a mark as a value")
        return value

    def _pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while self._stack:
            value = self._stack.pop()
            if value is _MARK:
                return items[::-1]
            items.append(value)
        raise ValueError("the pickle closes a group it did not open")

    def _memoize(self, key: int) -> None:
        value = self._pop()
        self._stack.append(value)
        self._memo[key] = value
        if isinstance(value, Unbuilt):
            value.memo_keys.append(key)

    def _charge(self, size: int) -> None:
        # One text can be encoded again and again by a few bytes of program: without this, memory could grow with the
        # square of the file.
        self._copied += size
        if self._copied > self._limit:
            raise ValueError("refused to build arrays larger than the file that holds them")

    def _op_proto(self, argument: int) -> None:
        if argument > 5:
            raise ValueError(f"pickle protocol {argument} is not known; protocols 0 to 5 are")

    def _op_frame(self, argument: int) -> None:
        pass

    def _op_stop(self, argument: None) -> None:
        pass

    def _op_mark(self, argument: None) -> None:
        self._stack.append(_MARK)

    def _op_pop(self, argument: None) -> None:
        if not self._stack:
            raise ValueError("the pickle takes more from its stack than it put there")
        self._stack.pop()

    def _op_pop_mark(self, argument: None) -> None:
        self._pop_to_mark()

    def _op_memoize(self, argument: None) -> None:
        self._memoize(len(self._memo))

    def _op_tuple(self, argument: None) -> None:
        self._stack.append(_tuple(self._pop_to_mark()))

    def _op_empty_list(self, argument: None) -> None:
        self._stack.append([])

    def _op_list(self, argument: None) -> None:
        self._stack.append([_plain(item) for item in self._pop_to_mark()])

    def _op_append(self, argument: None) -> None:
        self._extend([self._pop()])

    def _op_appends(self, argument: None) -> None:
        self._extend(self._pop_to_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._pop()
        if not isinstance(target, list):
            raise ValueError(f"the pickle appends to a {type(target).__name__}")
        target.extend(_plain(item) for item in items)
        self._stack.append(target)

    def _op_empty_dict(self, argument: None) -> None:
        self._stack.append({})

    def _op_dict(self, argument: None) -> None:
        items = self._pop_to_mark()
        self._stack.append({})
        self._update(items)

    def _op_setitem(self, argument: None) -> None:
        value = self._pop()
        self._update([self._pop(), value])

    def _op_setitems(self, argument: None) -> None:
        self._update(self._pop_to_mark())

    def _update(self, items: list[Any]) -> None:
        target = self._pop()
        if type(target) is not dict or len(items) % 2:
            raise ValueError(f"the pickle sets {len(items)} items of a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Hashing nested tuples that share their parts can take exponential time.
            if not (key is None or isinstance(key, (str, bytes, int, float))):
                raise ValueError(f"refused a dictionary key of type {type(key).__name__}")
            target[key] = _plain(value)
        self._stack.append(target)

    def _op_global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(look_up(module, name))

    def _op_stack_global(self, argument: None) -> None:
        name, module = self._pop(), self._pop()
        self._stack.append(look_up(module, name))

    def _op_reduce(self, argument: None) -> None:
        arguments, function = self._pop(), self._pop()
        if isinstance(arguments, Arguments):
            arguments = arguments.items
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise ValueError(f"refused to call a {type(function).__name__} from a pickle")
        self._stack.append(function.build(arguments, self._charge))

    def _op_build(self, argument: None) -> None:
        state, target = self._pop(), self._pop()
        if not isinstance(target, Unbuilt):
            raise ValueError(f"refused to set the state of a {type(target).__name__}")
        value = target.finish(state.items if isinstance(state, Arguments) else state, self._charge)
        for key in target.memo_keys:
            if self._memo[key] is target:
                self._memo[key] = value
        self._stack.append(value)

    def _op_binpersid(self, argument: None) -> None:
        identifier = self._pop()
        if isinstance(identifier, Arguments):
            identifier = identifier.items
        if self._persistent is None or not isinstance(identifier, tuple):
            raise ValueError("refused a persistent id: it refers to data outside the pickle")
        self._stack.append(self._persistent(identifier))


def _tuple(items: list[Any]) -> Any:
    return Arguments(tuple(items)) if any(is_internal(item) for item in items) else tuple(items)


def _plain(value: Any) -> Any:
    if value is _MARK or is_internal(value):
        raise ValueError(f"refused a pickle that stores {value} itself instead of an array")
    return value
