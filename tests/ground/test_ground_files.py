import errno
import io
import json
import os
import stat

import numpy as np
import pytest

from jaxnoisy import files


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def write():
        with files.whole_file(path) as file:
            file.write(b"new, but not all of it")
            file.flush()
            raise error

    with pytest.raises(error):
        write()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "f"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(path, "new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_disk_that_fills_up_during_the_write(tmp_path):
    def write():
        with files.whole_file(tmp_path / "f") as file, open("/dev/full", "wb", buffering=0) as full:
            os.dup2(full.fileno(), file.fileno())  # fails where a full disk does: when the buffer is flushed
            file.write(b"x" * 100)

    with pytest.raises(OSError, match="No space left"):
        write()
    assert os.listdir(tmp_path) == []


def test_the_file_is_not_there_before_it_is_whole(tmp_path):
    path = tmp_path / "f"
    with files.whole_file(path) as file:
        file.write(b"abc")
        assert not path.exists()
    assert path.read_bytes() == b"abc"


def test_the_file_gets_the_usual_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "f", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640


def test_a_folder_of_that_name_is_not_replaced(tmp_path):
    (tmp_path / "d").mkdir()
    with pytest.raises(OSError, match="directory"):
        files.write_text(tmp_path / "d", "x")
    assert os.listdir(tmp_path) == ["d"]


def test_json_of_numpy_values_reads_back_as_plain_ones(tmp_path):
    value = {
        "a": np.float32(0.5),
        1: np.arange(3),
        "t": (True, None, np.bool_(False)),
        "nan": float("nan"),
        "inf": np.array([np.inf, 1.0]),
        "ä": {"deep": np.int64(7)},
    }
    files.write_json(tmp_path / "v.json", value)

    def strict(constant):
        raise AssertionError(f"{constant} is not JSON")

    text = (tmp_path / "v.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=strict) == files.read_json(tmp_path / "v.json")
    assert files.read_json(tmp_path / "v.json") == {
        "a": 0.5,
        "1": [0, 1, 2],
        "t": [True, None, False],
        "nan": None,
        "inf": [None, 1.0],
        "ä": {"deep": 7},
    }


def test_json_of_anything_else_is_refused_before_the_file_is_touched(tmp_path):
    (tmp_path / "v.json").write_text("1")
    with pytest.raises(TypeError):
        files.write_json(tmp_path / "v.json", {"a": object()})
    assert files.read_json(tmp_path / "v.json") == 1


def test_unreadable_json_is_named(tmp_path):
    (tmp_path / "v.json").write_text("{")
    with pytest.raises(ValueError, match=r"v\.json' is not readable JSON"):
        files.read_json(tmp_path / "v.json")
    (tmp_path / "v.json").write_bytes(b'"\xff"')
    with pytest.raises(ValueError, match="not readable JSON"):
        files.read_json(tmp_path / "v.json")


def test_arrays_read_back(tmp_path):
    arrays = {"x": np.random.default_rng(0).normal(size=(3, 2)), "s": np.array(["a", "bb"]), "k": np.asarray(3)}
    files.write_npz(tmp_path / "a.npz", arrays)
    back = files.read_npz(tmp_path / "a.npz")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype


def test_objects_are_not_written(tmp_path):
    with pytest.raises(TypeError, match="'x' holds Python objects"):
        files.write_npz(tmp_path / "a.npz", {"x": np.array([{}])})
    with pytest.raises(TypeError, match="Python objects"):
        files.write_npz(tmp_path / "a.npz", {"x": np.zeros(1, [("f", object)])})
    assert os.listdir(tmp_path) == []


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


WHOLE_NPY, WHOLE_NPZ = npy(np.arange(100.0)), npz(x=np.arange(100.0))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "truncated"),
        (b"a,b\n1,2\n", "neither an .npy nor an .npz"),
        (WHOLE_NPZ[:-30], "truncated"),
        (WHOLE_NPZ[:5], r"not a readable|cannot be read"),
        (WHOLE_NPY, "single array"),
        (npz(x=np.array([None])), "pickled Python objects"),
    ],
)
def test_what_is_no_npz_is_refused(tmp_path, content, says):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        files.read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"truncated|empty"),
        (b"a,b\n1,2\n", "neither an .npy nor an .npz"),
        (WHOLE_NPY[:-30], r"truncated|cannot be read"),
        (WHOLE_NPY[:20], r"truncated|cannot be read"),
        (WHOLE_NPZ, "several arrays"),
        (npy(np.array([None]), allow_pickle=True), r"pickled Python objects|cannot be read"),
    ],
)
def test_what_is_no_npy_is_refused(tmp_path, content, says, mmap):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        files.read_npy(tmp_path / "a.npy", mmap=mmap)


def test_a_mapped_array_is_the_array(tmp_path):
    (tmp_path / "a.npy").write_bytes(WHOLE_NPY)
    mapped = files.read_npy(tmp_path / "a.npy", mmap=True)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, files.read_npy(tmp_path / "a.npy"))
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 1.0


def test_one_array_by_name(tmp_path):
    (tmp_path / "a.npz").write_bytes(WHOLE_NPZ)
    (tmp_path / "a.npy").write_bytes(WHOLE_NPY)
    np.testing.assert_array_equal(files.read_named(str(tmp_path / "a.npz"), "x"), np.arange(100.0))
    np.testing.assert_array_equal(files.read_named(f"npy:{tmp_path / 'a.npy'}", "x"), np.arange(100.0))
    with pytest.raises(ValueError, match="no array 'labels', but x"):
        files.read_named(str(tmp_path / "a.npz"), "labels")
