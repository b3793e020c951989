"""Label files in the formats of torch.save and np.save, written by hand as those programs write them."""

import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from jaxnoisy.data.pickled_files import read_pickled_dict

LABELS = {"clean_label": np.arange(6) % 3, "noisy_label": np.array([[0], [1], [1], [0], [1], [2]])}


def legacy(value):
    """Bytes in the older format of torch.save: a magic number, a version, the machine, the object, storage keys."""
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    return b"".join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, machine, value, []))


def torch_zip(path, pickled, storages=None, *, byteorder=b"little", compression=zipfile.ZIP_STORED, root="archive"):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{root}/data.pkl", pickled)
        archive.writestr(f"{root}/byteorder", byteorder)
        for key, raw in (storages or {}).items():
            archive.writestr(f"{root}/data/{key}", raw)
        archive.writestr(f"{root}/version", b"3\n")


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def numbers(values):
    return b"(" + b"".join(b"J" + struct.pack("<i", v) for v in values) + b"t"


def tensor_dict(*, shape, stride, offset=0, numel=6, kind="LongStorage", key="0", tag="storage"):
    """The pickle of ``{"a": tensor}`` as torch.save writes it: the values lie in a storage outside the pickle."""
    storage = b"(" + text(tag) + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + numbers([numel])[1:-1] + b"tQ"
    call = (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + numbers([offset])[1:-1] + numbers(shape) + numbers(stride)
    )
    return b"\x80\x02}" + text("a") + call + b"\x89ccollections\nOrderedDict\n)RtRs."


def same(got, want):
    assert got.keys() == want.keys()
    for key, value in want.items():
        np.testing.assert_array_equal(got[key], value, strict=True)


@pytest.mark.parametrize("suffix", [".pt", ".anything"])
def test_each_format_is_known_by_its_first_bytes(tmp_path, suffix):
    path = tmp_path / f"labels{suffix}"
    path.write_bytes(legacy(LABELS))
    same(read_pickled_dict(path), LABELS)
    torch_zip(path, pickle.dumps(LABELS, 2), root="CIFAR-10_human")
    same(read_pickled_dict(path), LABELS)
    path.write_bytes(pickle.dumps(LABELS))
    same(read_pickled_dict(path), LABELS)
    with open(path, "wb") as file:
        np.save(file, LABELS, allow_pickle=True)
    same(read_pickled_dict(path), LABELS)


def test_npy_files_of_every_header_version_and_protocol(tmp_path):
    path = tmp_path / "labels.npy"
    for version in ((1, 0), (2, 0)):
        for protocol in (2, 3, 4, 5):
            with open(path, "wb") as file:
                header = {"descr": "|O", "fortran_order": False, "shape": ()}
                if version == (1, 0):
                    np.lib.format.write_array_header_1_0(file, header)
                else:
                    np.lib.format.write_array_header_2_0(file, header)
                wrapped = np.empty((), object)
                wrapped[()] = LABELS
                pickle.dump(wrapped, file, protocol=protocol)
            same(read_pickled_dict(path), LABELS)


@pytest.mark.parametrize(
    ("kind", "dtype"), [("LongStorage", "<i8"), ("IntStorage", "<i4"), ("ByteStorage", "u1"), ("FloatStorage", "<f4")]
)
def test_tensors_become_arrays(tmp_path, kind, dtype):
    values = np.arange(6).astype(dtype)
    torch_zip(tmp_path / "t.pt", tensor_dict(shape=[2, 3], stride=[3, 1], kind=kind), {"0": values.tobytes()})
    got = read_pickled_dict(tmp_path / "t.pt")["a"]
    np.testing.assert_array_equal(got, values.reshape(2, 3), strict=True)


def test_tensors_with_an_offset_or_their_axes_swapped(tmp_path):
    values = np.arange(6)
    path = tmp_path / "t.pt"
    torch_zip(path, tensor_dict(shape=[3], stride=[1], offset=2), {"0": values.tobytes()})
    np.testing.assert_array_equal(read_pickled_dict(path)["a"], [2, 3, 4])
    torch_zip(path, tensor_dict(shape=[3, 2], stride=[1, 3]), {"0": values.tobytes()})
    np.testing.assert_array_equal(read_pickled_dict(path)["a"], values.reshape(2, 3).T)
    torch_zip(path, tensor_dict(shape=[0, 4], stride=[4, 1], numel=0), {"0": b""})
    assert read_pickled_dict(path)["a"].shape == (0, 4)


def test_tensors_of_a_big_endian_machine(tmp_path):
    raw = np.arange(6).astype(">i8").tobytes()
    torch_zip(tmp_path / "t.pt", tensor_dict(shape=[6], stride=[1]), {"0": raw}, byteorder=b"big")
    np.testing.assert_array_equal(read_pickled_dict(tmp_path / "t.pt")["a"], np.arange(6))


@pytest.mark.parametrize(
    ("changes", "storages", "message"),
    [
        ({"shape": [7], "stride": [1]}, None, "larger than its storage"),
        ({"shape": [3], "stride": [1], "offset": 4}, None, "larger than its storage"),
        ({"shape": [3], "stride": [1], "offset": -1}, None, "offset"),
        ({"shape": [2**30], "stride": [0]}, None, "larger than its storage"),
        ({"shape": [6], "stride": [0]}, None, "strided view"),
        ({"shape": [3], "stride": [2]}, None, "strided view"),
        ({"shape": [-1], "stride": [1]}, None, "shape"),
        ({"shape": [2, 3], "stride": [1]}, None, "strides"),
        ({"shape": [6], "stride": [1], "numel": 2**30}, None, "storage '0'"),
        ({"shape": [6], "stride": [1], "key": "1"}, None, "storage '1'"),
        ({"shape": [6], "stride": [1], "tag": "other"}, None, "no tensor storage"),
        ({"shape": [6], "stride": [1], "kind": "BFloat16Storage"}, None, r"refused torch\.BFloat16Storage"),
        ({"shape": [6], "stride": [1]}, {"0": b"short"}, "storage '0'"),
    ],
)
def test_tensors_that_do_not_fit_their_storage_are_refused(tmp_path, changes, storages, message):
    path = tmp_path / "t.pt"
    torch_zip(path, tensor_dict(**changes), storages or {"0": np.arange(6).tobytes()})
    with pytest.raises(ValueError, match=message) as caught:
        read_pickled_dict(path)
    assert repr(str(path)) in str(caught.value)


def test_archives_that_unpack_to_more_than_they_are_are_refused(tmp_path):
    path = tmp_path / "bomb.pt"
    big = tensor_dict(shape=[10**6], stride=[1], numel=10**6)
    torch_zip(path, big, {"0": bytes(8 * 10**6)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed"):
        read_pickled_dict(path)
    torch_zip(path, big, {"0": bytes(8 * 10**6)})
    assert read_pickled_dict(path)["a"].shape == (10**6,)


def test_tensors_in_the_older_format_are_refused_with_the_remedy(tmp_path):
    path = tmp_path / "t.pt"
    head = b"".join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {}))
    path.write_bytes(head + tensor_dict(shape=[6], stride=[1]))
    with pytest.raises(ValueError, match="save it again with a newer torch"):
        read_pickled_dict(path)


class Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_nothing_runs_in_any_format(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "labels.pt"
    value = {"clean_label": np.arange(3), "more": [Runs(marker)]}
    system = rf"refused {os.system.__module__}\.system"
    path.write_bytes(legacy(value))
    with pytest.raises(ValueError, match=system):
        read_pickled_dict(path)
    torch_zip(path, pickle.dumps(value, 2))
    with pytest.raises(ValueError, match=system):
        read_pickled_dict(path)
    with open(path, "wb") as file:
        np.save(file, value, allow_pickle=True)
    with pytest.raises(ValueError, match=system):
        read_pickled_dict(path)
    # The first three pickles of the older format are programs as well.
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(Runs(marker), 2))
    with pytest.raises(ValueError, match=system):
        read_pickled_dict(path)
    assert not marker.exists()


def test_other_contents_are_named(tmp_path):
    path = tmp_path / "labels.npy"
    for write, message in [
        (lambda f: np.save(f, np.arange(3)), "one array of dtype int64: expected a dictionary"),
        (lambda f: np.save(f, np.array([{}, None]), allow_pickle=True), "Python objects"),
        (lambda f: np.savez(f, a=np.arange(3)), "no single data.pkl"),
        (lambda f: f.write(pickle.dumps([1, 2])), "holds a list"),
        (lambda f: f.write(pickle.dumps(np.arange(3))), "holds a ndarray"),
        (lambda f: f.write(pickle.dumps({1: np.arange(3)})), "holds a dict: expected a dictionary of named"),
        (lambda f: f.write(pickle.dumps(0x1950A86A20F9469CFC6C) + pickle.dumps(7)), "protocol 7: expected 1001"),
        (lambda f: f.write(b"PK\x03\x04 and then nothing"), "not a readable archive"),
        (lambda f: f.write(b"\x93NUMPY\x01\x00"), "header|EOF|length|read"),
        (lambda f: f.write(b"\x93NUMPY\x09\x00v\x00"), "version|expected"),
        (lambda f: f.write(b"label,1\n"), "not a pickle|pickle"),
        (lambda f: None, "truncated"),
    ]:
        with open(path, "wb") as file:
            write(file)
        with pytest.raises(ValueError, match=message) as caught:
            read_pickled_dict(path)
        assert repr(str(path)) in str(caught.value)


def test_truncated_files_are_noticed(tmp_path):
    path = tmp_path / "labels.pt"
    torch_zip(path, pickle.dumps(LABELS, 2))
    for whole in (path.read_bytes(), legacy(LABELS)[:-6]):
        for length in range(0, len(whole), 37):
            path.write_bytes(whole[:length])
            with pytest.raises(ValueError, match=r"labels\.pt"):
                read_pickled_dict(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.pt' does not exist"):
        read_pickled_dict(tmp_path / "none.pt")
