import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoisy import check


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64])
def test_labels_become_int32(dtype):
    out = check.labels(np.array([0, 2, 1], dtype), num_classes=3, n=3)
    assert out.dtype == np.int32
    np.testing.assert_array_equal(out, [0, 2, 1])


@pytest.mark.parametrize(
    ("labels", "options", "error", "says"),
    [
        ([[0, 1]], {}, ValueError, r"shape \(1, 2\)"),
        ([], {}, ValueError, "empty"),
        ([0.0, 1.0], {}, TypeError, "float64"),
        (["a"], {}, TypeError, "integers"),
        ([True, False], {}, TypeError, "bool"),
        ([0, 1], {"n": 3}, ValueError, "2 entries for 3"),
        ([0, -1, 1], {}, ValueError, r"labels\[1\] is -1"),
        ([0, 1, 5], {"num_classes": 5}, ValueError, r"labels\[2\] is 5"),
        ([0, 2**32 + 1], {}, ValueError, r"labels\[1\] is 4294967297"),
        ([0, -1], {"name": "clean"}, ValueError, r"clean\[1\]"),
    ],
)
def test_bad_labels_are_named(labels, options, error, says):
    with pytest.raises(error, match=says):
        check.labels(np.asarray(labels), **options)


def test_the_largest_int32_label_is_still_a_label():
    assert check.labels([2**31 - 1])[0] == 2**31 - 1


def test_one_class_only_is_refused():
    check.at_least_two_classes(np.array([0, 1]))
    with pytest.raises(ValueError, match=r"one class only \(3\)"):
        check.at_least_two_classes(np.array([3, 3]))


def test_label_arrays_are_checked_as_far_as_they_are_known():
    np.testing.assert_array_equal(check.label_array(np.array([0, 1], np.uint8)), [0, 1])
    with pytest.raises(ValueError, match="is 7"):
        check.label_array(jnp.array([7]), num_classes=3)
    # Under jit the values are not known, and shape and dtype still are.
    np.testing.assert_array_equal(jax.jit(lambda y: check.label_array(y, num_classes=3))(jnp.array([7])), [7])
    with pytest.raises(TypeError, match="float32"):
        jax.jit(check.label_array)(jnp.array([0.5]))
    with pytest.raises(ValueError, match="shape"):
        jax.jit(check.label_array)(jnp.array([[1]]))


def test_concreteness():
    seen = []
    jax.jit(lambda x: seen.append(check.is_concrete(x)))(1.0)
    seen.append(check.is_concrete(jnp.ones(1)))
    seen.append(check.is_concrete(np.ones(1)))
    assert seen == [False, True, True]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_counted_and_placed(bad):
    x = np.zeros((3, 4))
    x[1, 2] = x[2, 0] = bad
    with pytest.raises(ValueError, match=r"x has 2 values that are not finite.*\(1, 2\)"):
        check.finite(x, name="x")
    check.finite(np.arange(3), name="x")
    check.finite(np.zeros(0), name="x")


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("place", [jnp.asarray, np.asarray])
def test_what_is_not_finite_is_found_on_devices_and_in_short_floats(place, dtype):
    x = place(jnp.zeros((3, 4), dtype).at[2, 1].set(jnp.inf))
    with pytest.raises(ValueError, match=r"x has 1 values that are not finite.*inf.*\(2, 1\)"):
        check.finite(x, name="x")
    check.finite(x[:2], name="x")
    check.finite(jnp.arange(3), name="x")


def test_probabilities_pass_as_they_are():
    p = np.array([[0.2, 0.8], [0.5004, 0.5]], np.float32)
    assert check.probabilities(p, n=2) is p


@pytest.mark.parametrize(
    ("p", "error", "says"),
    [
        ([0.5, 0.5], ValueError, "shape"),
        ([[1.0]], ValueError, "shape"),
        (np.zeros((0, 2)), ValueError, "empty"),
        ([[1, 0]], TypeError, "floating"),
        ([[0.5, 0.5]] * 2, ValueError, "2 rows for 1 labels"),
        ([[np.nan, 1.0]], ValueError, "not finite"),
        ([[-0.1, 1.1]], ValueError, r"pred_probs\[0\] is not a distribution"),
        ([[3.0, 2.0]], ValueError, "apply a softmax"),
    ],
)
def test_what_is_not_a_distribution_is_refused(p, error, says):
    with pytest.raises(error, match=says):
        check.probabilities(np.asarray(p), n=1)


def test_numbers_and_choices():
    assert check.fraction(1, name="f") == 1.0
    assert check.positive_int(np.int64(3), name="k") == 3
    assert check.positive_int(0, name="k", minimum=0) == 0
    assert check.one_of("a", ("a", "b"), name="c") == "a"
    for bad in (-0.01, 1.01, float("nan")):
        with pytest.raises(ValueError, match=r"f must lie in \[0, 1\]"):
            check.fraction(bad, name="f")
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        check.fraction(0.0, name="f", open_low=True)
    for bad in (0, -1, 1.0, "3", True, None):
        with pytest.raises(ValueError, match="k must be a whole number >= 1"):
            check.positive_int(bad, name="k")
    with pytest.raises(ValueError, match="one of a, b, but is 'z'"):
        check.one_of("z", ("a", "b"), name="c")


def test_only_one_typed_key_is_a_key():
    check.typed_key(jax.random.key(0))
    jax.jit(check.typed_key)(jax.random.key(0))
    for bad in (jax.random.split(jax.random.key(0)), jnp.zeros(2, jnp.uint32), 0, None):
        with pytest.raises(TypeError, match=r"jax\.random\.key\(seed\)"):
            check.typed_key(bad)


def test_a_file_must_be_there(tmp_path):
    (tmp_path / "f").write_text("")
    assert check.existing_file(tmp_path / "f", name="table") == str(tmp_path / "f")
    with pytest.raises(ValueError, match=r"table: .*is a directory"):
        check.existing_file(tmp_path, name="table")
    with pytest.raises(ValueError, match="does not exist"):
        check.existing_file(tmp_path / "g", name="table")
