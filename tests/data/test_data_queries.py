"""What a user types after --queries, and how its classes are found in the training data."""

import numpy as np
import pytest

from jaxnoisy.data import load_queries, make

X = np.arange(12, dtype=np.float32).reshape(4, 3)
TRAIN = make(X, [0, 1, 2, 1], class_names=["ant", "bee", "cow"], ids=["w", "x", "y", "z"], clean_labels=[0, 1, 2, 2])


def test_training_examples_by_id_and_by_number():
    asked, rows = load_queries("ids:z, w", TRAIN)
    assert rows.tolist() == [3, 0]
    assert asked.ids.tolist() == ["z", "w"]
    assert asked.labels.tolist() == [1, 0]
    np.testing.assert_array_equal(asked.inputs, X[[3, 0]])
    assert load_queries("take:1", TRAIN).rows.tolist() == [0]


def test_classes_are_found_by_their_names(tmp_path):
    """A table that knows only some of the classes, in another order than the training data numbers them."""
    (tmp_path / "q.csv").write_text("a,b,c,label,id\n1,2,3,cow,first\n4,5,6,bee,second\n")
    asked, rows = load_queries(f"csv:{tmp_path}/q.csv", TRAIN)
    assert rows is None
    assert asked.labels.tolist() == [2, 1]
    assert asked.class_names == TRAIN.class_names
    assert asked.ids.tolist() == ["first", "second"]


def test_classes_without_names_are_numbers(tmp_path):
    np.savez(tmp_path / "q.npz", inputs=X[:1], labels=[2])
    assert load_queries(f"npz:{tmp_path}/q.npz", TRAIN).dataset.labels.tolist() == [2]


def test_names_go_before_numbers(tmp_path):
    """Where the training data's classes are called 1 and 0, in this order, the name decides."""
    np.savez(tmp_path / "q.npz", inputs=X[:2], labels=[1, 0])
    train = make(X, [0, 1, 0, 1], class_names=["1", "0"])
    assert load_queries(f"npz:{tmp_path}/q.npz", train).dataset.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("labels", "names", "says"),
    [([0], ["wasp"], r"has a class 'wasp' .* 'ant', 'bee', 'cow'"), ([3], None, r"labels of .* is 3, but there are 3")],
)
def test_classes_that_the_training_data_does_not_have(tmp_path, labels, names, says):
    named = {} if names is None else {"class_names": np.array(names)}
    np.savez(tmp_path / "q.npz", inputs=X[:1], labels=labels, **named)
    with pytest.raises(ValueError, match=says):
        load_queries(f"npz:{tmp_path}/q.npz", TRAIN)
