"""The digits of scikit-learn and .npz files."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from jaxnoisy.data import load, read_arrays, read_digits

X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array([0, 1, 2, 1])


def test_digits_are_the_published_images_on_the_scale_of_bytes():
    data, published = read_digits(), load_digits()
    assert data.inputs.shape == (1797, 8, 8, 1)
    assert data.inputs.dtype == np.uint8
    np.testing.assert_allclose(data.inputs[..., 0], published.images * 255 / 16, atol=0.5)
    assert (data.inputs.min(), data.inputs.max()) == (0, 255)
    np.testing.assert_array_equal(data.labels, published.target)
    assert data.class_names == tuple("0123456789")
    assert data.clean_labels is None


def test_inputs_and_labels_are_enough(tmp_path):
    np.savez(tmp_path / "train.npz", inputs=X, labels=Y)
    data = read_arrays(tmp_path / "train.npz")
    np.testing.assert_array_equal(data.inputs, X)
    np.testing.assert_array_equal(data.labels, Y)
    assert list(data.ids) == ["0", "1", "2", "3"]
    assert data.name == "train"


def test_optional_arrays_are_read_and_others_are_not(tmp_path):
    np.savez(
        tmp_path / "train.npz",
        inputs=X,
        labels=Y,
        clean_labels=Y[::-1],
        class_names=["<b>cat</b>", "$dog & cat$", "ünnamed"],
        ids=np.array([10, 20, 30, 40]),
        something=np.zeros(7),
    )
    data = read_arrays(tmp_path / "train.npz")
    np.testing.assert_array_equal(data.clean_labels, Y[::-1])
    assert data.class_names == ("<b>cat</b>", "$dog & cat$", "ünnamed")
    assert list(data.ids) == ["10", "20", "30", "40"]


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"inputs": X}, ValueError, r"no array 'labels', only inputs: save the data set as np\.savez"),
        ({"labels": Y}, ValueError, "no array 'inputs', only labels"),
        ({}, ValueError, "no array 'inputs', only nothing"),
        ({"inputs": X, "labels": Y[:3]}, ValueError, "4 inputs for 3 labels"),
        ({"inputs": X, "labels": Y - 1}, ValueError, "is -1"),
        ({"inputs": X, "labels": Y / 1}, TypeError, "must be integers"),
        ({"inputs": X, "labels": Y, "class_names": ["a", "b"]}, ValueError, "there are 2 classes"),
        ({"inputs": X, "labels": Y, "class_names": [["a"], ["b"], ["c"]]}, ValueError, r"class_names .* \(3, 1\)"),
        ({"inputs": X, "labels": Y, "clean_labels": Y[:2]}, ValueError, "clean_labels has 2 entries"),
        ({"inputs": X, "labels": Y, "ids": ["a"] * 4}, ValueError, "'a' stands 4 times"),
        ({"inputs": np.full((4, 3), np.nan), "labels": Y}, ValueError, "inputs has 12 values that are not finite"),
        ({"inputs": X[:0], "labels": Y[:0]}, ValueError, "empty"),
    ],
)
def test_bad_files_are_named_with_what_is_wrong(tmp_path, arrays, error, message):
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(error, match=message) as caught:
        read_arrays(path)
    assert str(caught.value).startswith(repr(str(path)))


def test_files_that_are_not_npz_are_named(tmp_path):
    path = tmp_path / "bad.npz"
    path.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(ValueError, match=r"bad\.npz.*not a readable"):
        read_arrays(path)
    with open(path, "wb") as file:
        np.save(file, X)
    with pytest.raises(ValueError, match=r"bad\.npz.*single array"):
        read_arrays(path)
    np.savez(path, inputs=X, labels=np.array([0, None, 1, 1], object))
    with pytest.raises(ValueError, match=r"bad\.npz.*pickled Python objects"):
        read_arrays(path)
    with pytest.raises(ValueError, match=r"none\.npz' does not exist"):
        load(f"npz:{tmp_path}/none.npz")
