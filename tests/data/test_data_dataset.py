"""The data set: what it fills in, what it refuses, and what changes its fingerprint."""

import numpy as np
import pytest

from jaxnoisy.data import Dataset, make
from jaxnoisy.data.dataset import MAX_UNNAMED_CLASSES

X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array([0, 1, 2, 1])


def test_defaults_are_row_numbers_and_class_numbers():
    data = make(X, Y)
    assert list(data.ids) == ["0", "1", "2", "3"]
    assert data.class_names == ("0", "1", "2")
    assert data.labels.dtype == np.int32
    assert data.clean_labels is None
    assert data.flips is None
    assert (len(data), data.num_classes, data.is_images) == (4, 3, False)


def test_clean_labels_may_name_a_class_that_no_given_label_has():
    data = make(X, Y, clean_labels=[0, 1, 3, 1])
    assert data.num_classes == 4
    np.testing.assert_array_equal(data.flips, [False, False, True, False])


@pytest.mark.parametrize(
    ("shape", "dtype", "want_shape", "want_dtype"),
    [
        ((4, 3), np.float64, (4, 3), np.float32),
        ((4, 3), np.float16, (4, 3), np.float16),
        ((4, 3), np.int64, (4, 3), np.float32),
        ((4, 3), bool, (4, 3), np.float32),
        ((4, 5, 6), np.uint8, (4, 5, 6, 1), np.uint8),
        ((4, 5, 6, 3), np.uint8, (4, 5, 6, 3), np.uint8),
        ((4, 2, 2, 2, 2), np.float32, (4, 16), np.float32),
    ],
)
def test_shapes_and_dtypes_of_inputs(shape, dtype, want_shape, want_dtype):
    data = make(np.ones(shape, dtype), Y)
    assert data.inputs.shape == want_shape
    assert data.inputs.dtype == want_dtype


def test_a_memory_map_is_not_copied(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.shares_memory(make(mapped, Y).inputs, mapped)


def test_a_class_with_one_example_and_a_class_with_none_are_accepted():
    assert make(X, np.array([0, 0, 0, 3])).num_classes == 4


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"labels": [0, 1, 2, -1]}, ValueError, r"labels\[3\] is -1"),
        ({"labels": [0, 1, 2, 3], "class_names": ["a", "b", "c"]}, ValueError, r"labels\[3\] is 3, but there are 3"),
        ({"labels": [0.0, 1.0, 2.0, 1.0]}, TypeError, "must be integers"),
        ({"labels": ["a", "b", "a", "b"]}, TypeError, "must be integers"),
        ({"labels": [0, 1, 2]}, ValueError, "4 inputs for 3 labels"),
        ({"labels": [[0], [1], [2], [1]]}, ValueError, r"shape \(n,\)"),
        ({"labels": [0, 1, 2, MAX_UNNAMED_CLASSES]}, ValueError, "without gaps"),
        ({"labels": [0, 1, 2, 2**40]}, ValueError, "without gaps|larger"),
        ({"inputs": np.empty((0, 3)), "labels": np.empty(0, int)}, ValueError, "empty"),
        ({"inputs": np.empty((4, 0))}, ValueError, "hold no values"),
        ({"inputs": np.ones(4)}, ValueError, "at least two axes"),
        ({"inputs": np.array([["a"]] * 4)}, TypeError, "must be numbers"),
        ({"inputs": np.where(X == 7, np.nan, X)}, ValueError, r"inputs has 1 values .* nan, at index \(2, 1\)"),
        ({"inputs": np.where(X == 7, np.inf, X)}, ValueError, r"inputs has 1 values .* inf, at index \(2, 1\)"),
        ({"clean_labels": [0, 1]}, ValueError, "clean_labels has 2 entries for 4 examples"),
        ({"clean_labels": [0, 1, 2, -1]}, ValueError, r"clean_labels\[3\] is -1"),
        ({"ids": ["a", "b", "a", "c"]}, ValueError, "'a' stands 2 times"),
        ({"ids": ["a", "b"]}, ValueError, r"ids must have shape \(4,\)"),
    ],
)
def test_bad_data_is_refused(changes, error, message):
    arguments = {"inputs": X, "labels": Y} | changes
    with pytest.raises(error, match=message):
        make(np.asarray(arguments.pop("inputs")), np.asarray(arguments.pop("labels")), **arguments)


def test_inputs_beyond_float32_are_refused():
    with pytest.raises(ValueError, match="float32"):
        make(np.array([[1.0], [1e300], [2.0], [3.0]]), Y)


def test_with_labels_keeps_everything_else_and_checks_the_range():
    data = make(X, Y, clean_labels=Y, ids=list("abcd"))
    other = data.with_labels(np.array([2, 2, 2, 0]))
    np.testing.assert_array_equal(other.labels, [2, 2, 2, 0])
    np.testing.assert_array_equal(other.clean_labels, Y)
    assert other.inputs is data.inputs
    np.testing.assert_array_equal(data.labels, Y)
    with pytest.raises(ValueError, match="is 3, but there are 3"):
        data.with_labels(np.array([0, 1, 2, 3]))
    with pytest.raises(ValueError, match="3 entries for 4"):
        data.with_labels(np.array([0, 1, 2]))


def test_take_selects_rows_of_everything_and_keeps_the_class_numbers():
    data = make(X, Y, clean_labels=[0, 2, 2, 1], ids=list("abcd"), class_names=["u", "v", "w"])
    for rows in (np.array([3, 0]), np.array([True, False, False, True])):
        part = data.take(rows)
        want = [3, 0] if rows.dtype != bool else [0, 3]
        np.testing.assert_array_equal(part.inputs, X[want])
        np.testing.assert_array_equal(part.labels, Y[want])
        np.testing.assert_array_equal(part.clean_labels, np.array([0, 2, 2, 1])[want])
        assert list(part.ids) == [list("abcd")[i] for i in want]
        assert part.class_names == ("u", "v", "w")


def test_the_fingerprint_follows_what_a_score_depends_on():
    data = make(X, Y)
    same = make(X.copy(), Y.copy(), name="another name")
    changed = [
        make(X + 1, Y),
        make(X, [0, 1, 2, 2]),
        make(X, Y, ids=list("abcd")),
        make(X, Y, class_names=["u", "v", "w"]),
        make(X.astype(np.float16), Y),
    ]
    prints = [d.fingerprint() for d in [data, *changed]]
    assert same.fingerprint() == data.fingerprint()
    assert len(set(prints)) == len(prints)
    assert all(len(p) == 16 for p in prints)


def test_a_dataset_is_checked_even_when_made_directly():
    with pytest.raises(ValueError, match="must have shape"):
        Dataset(np.ones((4, 2, 2), np.float32), Y.astype(np.int32), ("a", "b", "c"), np.array(list("abcd")))
    with pytest.raises(TypeError, match="int64"):
        Dataset(np.ones((4, 2), np.int64), Y.astype(np.int32), ("a", "b", "c"), np.array(list("abcd")))
