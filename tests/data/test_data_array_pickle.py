"""Pickles of arrays are read in every protocol; pickles of anything else are refused, and nothing in them runs."""

import collections
import datetime
import os
import pickle
import struct

import numpy as np
import pytest

from jaxnoisy.data import array_pickle

ARRAYS = {
    "integers": np.arange(-3, 5),
    "big endian": np.array([1, 2, 300], ">i4"),
    "bool": np.array([True, False]),
    "text": np.array(["cat", "Hündin", ""]),
    "bytes": np.array([b"ab", b"\x80"]),
    "complex": np.array([1 + 2j]),
    "half": np.array([0.5, -1], np.float16),
    "no axes": np.array(3.5),
    "empty": np.zeros((0, 3), np.int16),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "transposed": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "strided": np.arange(20)[::3],
}
PLAIN = {
    "numbers": [0, -1, 255, 65536, 2**31, -(2**70), 1.5, float("inf"), True, False, None],
    "text": ["", "a", "ü", "line\nbreak", "x" * 300, b"", b"\x00\xff", b"y" * 300],
    "nested": {"a": ({"b": [()]}, (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), 3: [], None: {}},
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_in_every_protocol(name, protocol):
    want = ARRAYS[name]
    got = array_pickle.loads(pickle.dumps({"x": want, "again": want}, protocol))["x"]
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want, strict=True)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", PLAIN)
def test_plain_values_come_back_in_every_protocol(name, protocol):
    assert array_pickle.loads(pickle.dumps(PLAIN[name], protocol)) == PLAIN[name]


@pytest.mark.parametrize("protocol", range(6))
def test_scalars_and_shared_objects_come_back(protocol):
    shared = np.arange(3)
    value = {"s": np.float32(2.5), "a": shared, "b": shared, "l": [shared, shared]}
    got = array_pickle.loads(pickle.dumps(value, protocol))
    assert got["s"] == 2.5
    assert got["s"].dtype == np.float32
    assert got["a"] is got["b"] is got["l"][0] is got["l"][1]


def test_arrays_are_views_of_the_pickle_and_take_no_memory_of_their_own():
    array = array_pickle.loads(pickle.dumps(np.arange(1000), 4))
    assert not array.flags.owndata


def test_pickles_of_old_numpy_and_of_python_2_are_read():
    # Python 2 wrote bytes as text; NumPy 1 called its package numpy.core.
    pickled = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\ntcnumpy\ndtype\n(S'i2'\nI0\nI1\n"
        b"tR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\x01\\x00\\x02\\x00'\ntb."
    )
    np.testing.assert_array_equal(array_pickle.loads(pickled), np.array([1, 2], "<i2"), strict=True)


def touch(path):
    """Stands for what an attacker would call; writes a file when it runs."""
    with open(path, "w"):
        pass


class Trick:
    """Pickles as a call of anything, as any class may through ``__reduce__``."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


def tricks(path):
    touching = f"open({str(path)!r}, 'w')"
    return {
        "os.system": Trick(os.system, f"touch {path}"),
        "eval": Trick(eval, touching),
        "exec": Trick(exec, touching),
        "getattr": Trick(getattr, "x", "upper"),
        "own function": Trick(touch, str(path)),
        "open": Trick(open, str(path), "w"),
        "numpy function": Trick(np.savetxt, str(path), [1.0]),
        "numpy load": Trick(np.load, str(path)),
        "class": Trick(collections.Counter, "abc"),
        "date": datetime.date(2020, 1, 2),
        "function itself": os.system,
        "set": {1, 2},
        "range": range(3),
        "complex number": 1j,
    }


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("place", ["alone", "in a dict", "as a key's neighbour", "in a list", "in a tuple", "twice"])
@pytest.mark.parametrize("name", tricks("x"))
def test_nothing_is_ever_run(tmp_path, name, place, protocol):
    marker = tmp_path / "marker"
    trick = tricks(marker)[name]
    wrapped = {
        "alone": trick,
        "in a dict": {"clean_label": np.arange(3), "x": trick},
        "as a key's neighbour": {"a": {"b": [trick, np.arange(2)]}},
        "in a list": [1, [trick]],
        "in a tuple": (trick, (trick,)),
        "twice": [trick, trick],
    }[place]
    with pytest.raises(ValueError, match="refused"):
        array_pickle.loads(pickle.dumps(wrapped, protocol))
    assert not marker.exists()


def test_the_usual_reader_does_run_it(tmp_path):
    # Shows that the tricks above are real: were they read with pickle, the file would be there.
    marker = tmp_path / "marker"
    pickle.loads(pickle.dumps(tricks(marker)["own function"]))  # noqa: S301
    assert marker.exists()


def test_the_message_names_what_was_refused():
    with pytest.raises(ValueError, match=rf"refused {os.system.__module__}\.system: .*nothing in it was run"):
        array_pickle.loads(pickle.dumps({"a": os.system}))


@pytest.mark.parametrize("value", [np.array([1, None], object), np.array([[{}]], object), np.array([], object)])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_arrays_of_objects_are_refused(value, protocol):
    with pytest.raises(ValueError, match="Python objects"):
        array_pickle.loads(pickle.dumps(value, protocol))


@pytest.mark.parametrize(
    "value", [np.zeros(2, "M8[s]"), np.zeros(2, [("a", "i4")]), np.zeros(2, "V3"), np.ma.masked_array([1, 2])]
)
def test_other_dtypes_and_array_classes_are_refused(value):
    with pytest.raises(ValueError, match=r"refused|malformed"):
        array_pickle.loads(pickle.dumps(value, 2))


def unicode(text):
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
INT8 = b"cnumpy\ndtype\n(X\x02\x00\x00\x00i1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"", "truncated"),
        (b"\xffhello", "not a pickle"),
        (b".", "ends with one object"),
        (b"NN.", "ends with one object"),
        (b"(.", "mark"),
        (b"R.", "stack"),
        (b"a.", "stack"),
        (b"u.", "did not open"),
        (b"t.", "did not open"),
        (b"h\x05.", "before it is written"),
        (b"Nb.", "stack"),
        (b"NNb.", "refused to set the state of a NoneType"),
        (b"]}b.", "refused to set the state of a list"),
        (b"N)R.", "refused to call a NoneType"),
        (unicode("os") + b")R.", "refused to call a str"),
        (b"NK\x01a.", "appends to a NoneType"),
        (b"]K\x01K\x02s.", "sets 2 items of a list"),
        (b"}(K\x01u.", "sets 1 items"),
        (b"}])s.", "key of type list"),
        (b"}))s.", "key of type tuple"),
        (b"\x80\x06N.", "protocol 6"),
        (b"cnumpy\nndarray\n.", "stores numpy.ndarray itself"),
        (b"]cnumpy\nndarray\na.", "stores numpy.ndarray itself"),
        (b"}K\x01cnumpy\ndtype\ns.", "stores numpy.dtype itself"),
        (b"cnumpy\nndarray\n\x85.", "stores function arguments itself"),
        (b"cnumpy\nndarray\n)R.", "refused to call numpy.ndarray"),
        (b"ctorch\nLongStorage\n)R.", "refused to call torch.LongStorage"),
        (RECONSTRUCT + b".", "stores an array without contents itself"),
        (b"]" + RECONSTRUCT + b"a.", "array without contents"),
        (RECONSTRUCT + b"Nb.", "an array's state"),
        (RECONSTRUCT + b"(K\x01(K\x02tNNCxtb.", "truncated"),
        (RECONSTRUCT + b"(K\x01(K\x02tNNC\x02abtb.", "without a dtype"),
        (b"cbuiltins\neval\n.", r"refused builtins\.eval"),
        (unicode("os") + unicode("system") + b"\x93.", r"refused os\.system"),
        (b"NN\x93.", r"refused None\.None"),
        (b"(S'rm'\nios\nsystem\n.", "opcode INST"),
        (b"(cos\nsystem\nS'rm'\no.", "refused os.system"),
        (b"cnumpy\nndarray\n)\x81.", "opcode NEWOBJ"),
        (b"cnumpy\nndarray\n)}\x92.", "opcode NEWOBJ_EX"),
        (b"\x82\x01.", "opcode EXT1"),
        (b"\x97.", "opcode NEXT_BUFFER"),
        (b"\x8f.", "opcode EMPTY_SET"),
        (b"K\x01Q.", "persistent id"),
        (b"Pabc\n.", "opcode PERSID"),
        (b"c_codecs\nencode\n(" + unicode("x") + unicode("rot13") + b"tR.", "unknown encoding"),
        (b"c_codecs\nencode\n(" + unicode("\u20ac") + unicode("latin1") + b"tR.", "bytes outside"),
        (b"c_codecs\ndecode\n.", r"refused _codecs\.decode"),
        (b"ccollections\nOrderedDict\n(]tR.", "ordered dictionary made from arguments"),
        (b"cnumpy\ndtype\n(" + unicode("O") + b"tR.", "array without contents"),
        (b"cnumpy\ndtype\n(" + unicode("i1,O") + b"tR.", "dtype 'i1,O'"),
        (b"cnumpy\ndtype\n(" + unicode("i77") + b"tR(K\x03U\x01|NNNK\x01tb.", "dtype 'i77' does not exist"),
    ],
)
def test_malformed_pickles_are_refused(pickled, message):
    with pytest.raises(ValueError, match=message):
        array_pickle.loads(pickled)


@pytest.mark.parametrize(
    ("shape", "raw"),
    [
        (b"(J\xff\xff\xff\x7ft", b"C\x02ab"),
        (b"(K\x01t", b"C\x02ab"),
        (b"(K\x03t", b"C\x02ab"),
        (b"(J\xfe\xff\xff\xffJ\xff\xff\xff\xfft", b"C\x02ab"),
        (b"(K\x00\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01t", b"C\x00"),
        (b"(G?\xf0\x00\x00\x00\x00\x00\x00t", b"C\x01a"),
        (b"]", b"C\x01a"),
    ],
)
def test_sizes_must_agree_with_the_bytes_present(shape, raw):
    with pytest.raises(ValueError, match=r"does not fit|malformed"):
        array_pickle.loads(RECONSTRUCT + b"(K\x01" + shape + INT8 + b"K\x00" + raw + b"tb.")


def test_the_pickle_just_above_is_read_when_the_sizes_agree():
    array = array_pickle.loads(RECONSTRUCT + b"(K\x01(K\x02t" + INT8 + b"K\x00C\x02abtb.")
    np.testing.assert_array_equal(array, np.array([97, 98], np.int8), strict=True)


def test_declared_lengths_beyond_the_file_do_not_allocate():
    for opcode in (b"B", b"X", b"T"):
        with pytest.raises(ValueError, match="truncated"):
            array_pickle.loads(opcode + b"\xff\xff\xff\x7f" + b"abc.")
    for opcode in (b"\x8e", b"\x8d", b"\x96"):
        with pytest.raises(ValueError, match="truncated"):
            array_pickle.loads(opcode + struct.pack("<Q", 2**62) + b"abc.")


def test_one_text_cannot_be_turned_into_many_bytes():
    encode_again = b"h\x00h\x01R0"
    bomb = b"c_codecs\nencode\nq\x000(" + unicode("x" * 10_000) + unicode("latin1") + b"tq\x010" + encode_again * 100
    with pytest.raises(ValueError, match="larger than the file"):
        array_pickle.loads(bomb + b"N.")


def test_tuples_that_share_their_parts_are_never_walked():
    # A hundred doublings: hashing or comparing the result would not end in a lifetime.
    bomb = b")" + b"q\x00h\x00\x86" * 100
    assert isinstance(array_pickle.loads(bomb + b"."), tuple)
    with pytest.raises(ValueError, match="dictionary key of type tuple"):
        array_pickle.loads(b"}" + bomb + b"Ns.")


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_every_truncation_is_noticed(protocol):
    whole = pickle.dumps({"a": np.arange(3), "b": ["x", 1.5, np.float32(1)]}, protocol)
    array_pickle.loads(whole)
    for length in range(len(whole)):
        with pytest.raises(ValueError, match=r"\w"):
            array_pickle.loads(whole[:length])


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_damaged_pickles_end_in_a_value_or_a_value_error(protocol):
    rng = np.random.default_rng(protocol)
    whole = pickle.dumps({"a": np.arange(3), "b": ["x", 1.5, np.float32(1)], "c": np.array(["u", "vw"])}, protocol)
    refused = 0
    for _ in range(1500):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), size=rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        try:
            array_pickle.loads(bytes(damaged))
        except ValueError:
            refused += 1
    assert refused > 100
