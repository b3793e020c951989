"""What a user types after --clean, and what is set aside for it."""

import numpy as np
import pytest

from jaxnoisy.data import clean_notes, load_clean, make
from jaxnoisy.data.clean import also_in

N, C = 40, 3
X = np.arange(2 * N, dtype=np.float32).reshape(N, 2)
TRUE = np.arange(N) % C
GIVEN = np.where(np.arange(N) % 4 == 0, (TRUE + 1) % C, TRUE)
DATA = make(X, GIVEN, class_names=["ant", "bee", "cow"], clean_labels=TRUE, name="insects and a cow")


def test_examples_are_taken_from_every_clean_class_under_their_clean_labels():
    train, clean, rows = load_clean("take:4", DATA, seed=1)
    assert np.bincount(clean.labels).tolist() == [4, 4, 4]
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(clean.inputs, X[rows])
    np.testing.assert_array_equal(clean.labels, TRUE[rows])
    np.testing.assert_array_equal(clean.ids, DATA.ids[rows])
    stay = np.setdiff1d(np.arange(N), rows)
    np.testing.assert_array_equal(train.inputs, X[stay])
    np.testing.assert_array_equal(train.labels, GIVEN[stay])
    np.testing.assert_array_equal(train.clean_labels, TRUE[stay])
    np.testing.assert_array_equal(train.ids, DATA.ids[stay])
    assert train.class_names == clean.class_names == DATA.class_names


def test_the_seed_draws_and_nothing_else_does():
    rows = [load_clean("take:4", DATA, seed=seed).rows.tolist() for seed in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]
    relabelled = load_clean("take:4", DATA.with_labels(TRUE), seed=0).rows.tolist()
    assert relabelled == rows[0]


def test_every_example_of_a_class_can_be_drawn():
    """Over a hundred seeds each of the 13 or 14 examples of a class is drawn about 30 times when 4 are taken."""
    times = np.zeros(N, int)
    for seed in range(100):
        times[load_clean("take:4", DATA, seed=seed).rows] += 1
    assert times.min() > 10
    assert times.max() < 55


def test_one_example_of_every_class_may_be_all_that_is_left():
    train, clean, _ = load_clean("take:12", DATA)
    assert np.bincount(train.clean_labels).tolist() == [2, 1, 1]
    assert len(clean) == 36


def test_a_data_set_of_its_own(tmp_path):
    """Its classes are found by name, and what it says to be true goes before what was given."""
    (tmp_path / "c.csv").write_text("a,b,label,clean_label,id\n1,2,cow,bee,first\n4,5.5,bee,bee,second\n")
    train, clean, rows = load_clean(f"csv:{tmp_path}/c.csv", DATA)
    assert train is DATA
    assert rows is None
    assert clean.labels.tolist() == [1, 1]
    assert clean.class_names == DATA.class_names
    assert clean_notes(clean, train) == ("no clean example is of the classes ant, cow",)


def test_notes_tell_of_examples_that_are_trained_on():
    apart = X[:5] + 0.5
    said = clean_notes(make(np.vstack([apart, X[3:4]]), [0, 1, 2, 0, 1, 2], class_names=DATA.class_names), DATA)
    assert said == ("1 of 6 clean examples stands in the training data too",)
    assert clean_notes(make(apart, [0, 1, 2, 0, 1], class_names=DATA.class_names), DATA) == ()
    assert clean_notes(*reversed(load_clean("take:4", DATA)[:2])) == ()


def test_what_agrees_in_some_values_only_is_not_the_same():
    """Wide rows are compared by some of their columns first."""
    wide = np.random.default_rng(0).integers(0, 2, size=(5000, 300)).astype(np.uint8)
    near = wide[4500:4503].copy()
    near[1, 150] ^= 1
    near[2, 299] ^= 1
    assert also_in(near, wide).tolist() == [True, False, False]
    assert also_in(near.astype(np.float64), wide.astype(np.float32)).tolist() == [True, False, False]
    images = wide.reshape(5000, 10, 10, 3)
    assert also_in(images[[7, 4999]], images).all()


@pytest.mark.parametrize(
    ("spec", "data", "says"),
    [
        ("take:0", DATA, "'take:0' must be written take:K with a whole number K >= 1"),
        ("take:", DATA, "'take:' must be written take:K"),
        ("take:-1", DATA, "'take:-1' must be written take:K"),
        ("take:1.5", DATA, "'take:1.5' must be written take:K"),
        ("take:13", DATA, "'take:13' needs 14 examples of every class.*'bee' has 13"),
        ("take:2", make(X, GIVEN, name="rows"), "those of 'rows' are not"),
        ("take:1", make(X, GIVEN, clean_labels=TRUE, class_names="abcd"), "'d' has 0"),
        ("ids:1,2", DATA, "'ids:1,2' are of no known kind: write for example take:5, digits"),
        ("npz:nowhere.npz", DATA, "'nowhere.npz' does not exist"),
        ("digits", DATA, r"digits has examples of shape \(8, 8, 1\).*\(2,\)"),
    ],
)
def test_what_makes_no_sense(spec, data, says):
    with pytest.raises(ValueError, match=says):
        load_clean(spec, data)


def test_classes_that_the_data_does_not_have(tmp_path):
    (tmp_path / "c.csv").write_text("a,b,label\n1,2,wasp\n")
    with pytest.raises(ValueError, match="has a class 'wasp' that the training data does not have"):
        load_clean(f"csv:{tmp_path}/c.csv", DATA)


def test_options_of_one_kind_of_data_only():
    with pytest.raises(ValueError, match=r"skip_broken .* no meaning for 'digits'"):
        load_clean("digits", DATA, skip_broken=True)
    with pytest.raises(ValueError, match="seed must be a whole number >= 0, but is -1"):
        load_clean("take:1", DATA, seed=-1)
