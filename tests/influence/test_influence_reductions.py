"""What is taken from rows is what NumPy takes from the whole matrix."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoisy import influence
from jaxnoisy.curvature import Stream
from jaxnoisy.influence import from_matrix

N, K = 23, 4


def made_up(seed=0):
    """With many ties, infinities, and an example and a column that are partly undefined."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(N, K)).astype(np.float32).round(1)
    values[3, 1], values[7, 1] = np.inf, -np.inf
    return values


def from_stream(values, *sizes):
    """Rows read from a stream: those of another matrix, with the stream in its place."""
    ends = np.cumsum(sizes)
    rows = from_matrix(values, block_size=5)
    batches = [values[end - size : end] for size, end in zip(sizes, ends)]
    return influence.Rows(rows.of, (Stream(batches),), K, rows.dtype, rows.block_size)


def mapped(values, folder):
    np.save(folder / "values.npy", values)
    return from_matrix(np.load(folder / "values.npy", mmap_mode="r"), block_size=6)


PLACES = {
    "host": lambda values, folder: from_matrix(values, block_size=5),
    "disk": mapped,
    "devices": lambda values, folder: from_matrix(jnp.asarray(values), block_size=5),
    "stream": lambda values, folder: from_stream(values, 3, 11, 9),
}


def expected_top(values, count):
    ends = []
    for sign in (-1, 1):
        order = np.argsort(sign * values, axis=0, kind="stable")[:count].T
        ends += [np.take_along_axis(values.T, order, axis=1), order]
    return ends


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("count", [1, N])
def test_top_is_a_stable_sort(place, count, tmp_path):
    values = np.nan_to_num(made_up(), posinf=9, neginf=-9)
    found = influence.top(count=count)(PLACES[place](values, tmp_path))
    for a, b in zip(found, expected_top(values, count)):
        np.testing.assert_array_equal(a, b)
    assert not np.any(found.undefined)
    assert all(isinstance(a, jax.Array if place == "devices" else np.ndarray) for a in found)


def test_top_inside_jit_also_breaks_ties_by_order():
    values = np.nan_to_num(made_up(), posinf=9, neginf=-9)
    found = jax.jit(lambda a: influence.top(count=8)(from_matrix(a, block_size=5)))(values)
    for a, b in zip(found, expected_top(values, 8)):
        np.testing.assert_array_equal(a, b)


def test_top_with_infinities_and_undefined_influences():
    values = made_up()
    values[:, 3] = np.nan
    values[:2, 3] = 1.0, -np.inf
    values[5, 0] = np.nan
    found = influence.top(count=N)(from_matrix(values, block_size=5))
    assert found.undefined.tolist() == [1, 0, 0, N - 2]
    assert found.largest_at[1, 0] == found.smallest_at[1, -1] == 3
    assert found.largest_at[1, -1] == found.smallest_at[1, 0] == 7
    assert found.largest_at[3, :3].tolist() == [0, 1, -1]
    assert found.smallest_at[3, :3].tolist() == [1, 0, -1]
    np.testing.assert_array_equal(found.largest[3, :3], [1.0, -np.inf, np.nan])
    assert 5 not in found.largest_at[0]
    assert sorted(found.largest_at[0]) == sorted({*range(-1, N)} - {5})


@pytest.mark.parametrize("place", PLACES)
def test_per_class_is_mean_and_deviation(place, tmp_path):
    values = np.nan_to_num(made_up(), posinf=9, neginf=-9)
    labels = np.array([2, 0, 2, 2])
    found = influence.per_class(num_classes=4)(PLACES[place](values, tmp_path), labels)
    for c in range(4):
        columns = values[:, labels == c].astype(np.float64)
        mean, deviation = (columns.mean(1), columns.std(1)) if columns.size else (np.zeros(N), np.zeros(N))
        np.testing.assert_allclose(found.mean[:, c], mean, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(found.deviation[:, c], deviation, rtol=1e-6, atol=1e-7)
    assert not found.deviation[:, [0, 1, 3]].any()  # one query, or none
    assert found.queries.tolist() == [1, 0, 3, 0]
    assert isinstance(found.mean, jax.Array if place == "devices" else np.ndarray)


def test_small_deviations_beside_large_means_keep_their_digits():
    rng = np.random.default_rng(0)
    values = (1e4 + rng.normal(size=(N, 300))).astype(np.float32)
    found = influence.per_class(num_classes=1)(from_matrix(values), np.zeros(300, int))
    np.testing.assert_allclose(found.deviation[:, 0], values.astype(np.float64).std(axis=1), rtol=1e-4)
    same = influence.per_class(num_classes=1)(from_matrix(np.full((2, 7), 0.1, np.float32)), np.zeros(7, int))
    np.testing.assert_allclose(same.deviation, 0, atol=1e-7)


@pytest.mark.parametrize("place", PLACES)
def test_the_file_holds_the_matrix(place, tmp_path):
    values = made_up() if place != "stream" else np.ones((N, K), np.float32)
    path = tmp_path / "found.npy"
    found = influence.to_npy(path)(PLACES[place](values, tmp_path))
    assert isinstance(found, np.memmap)
    assert not found.flags.writeable
    np.testing.assert_array_equal(found, values)
    np.testing.assert_array_equal(np.load(path), values)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(influence.matrix(from_matrix(found)), values)


def test_double_precision_is_kept_where_it_is_enabled(tmp_path):
    values = np.random.default_rng(0).normal(size=(5, 2))
    with jax.enable_x64(True):
        np.testing.assert_array_equal(influence.to_npy(tmp_path / "a.npy")(from_matrix(values)), values)
    assert influence.to_npy(tmp_path / "b.npy")(from_matrix(values)).dtype == np.float32


def test_a_file_is_replaced_only_once_the_new_one_is_whole(tmp_path):
    path = tmp_path / "found.npy"
    influence.to_npy(path)(from_matrix(np.zeros((4, 2), np.float32)))
    bad = np.ones((N, K), np.float32)
    bad[-1] = np.nan
    rows = dataclasses.replace(from_matrix(bad, block_size=5), names="values")
    with pytest.raises(ValueError, match="from row 20 on"):
        influence.to_npy(path)(rows)
    np.testing.assert_array_equal(np.load(path), np.zeros((4, 2)))
    assert [p.name for p in tmp_path.iterdir()] == ["found.npy"]
    influence.to_npy(path)(from_matrix(np.ones((3, 2), np.float32)))
    np.testing.assert_array_equal(np.load(path), np.ones((3, 2)))


def test_where_no_file_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for path, message in (
        (tmp_path / "nowhere" / "a.npy", "there is no folder"),
        (tmp_path / "file" / "a.npy", "there is no folder"),
        (tmp_path, "is a folder"),
    ):
        with pytest.raises(ValueError, match=message):
            influence.to_npy(path)
    write = influence.to_npy(tmp_path / "a.npy")
    with pytest.raises(TypeError, match="outside"):
        jax.jit(lambda a: write(from_matrix(a)))(made_up())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_relative_influence_of_an_example_that_moves_nothing_is_nothing():
    values = np.array([[1.0, -2.0], [0.0, 0.0], [3.0, 5.0]], np.float32)
    lengths = np.array([2.0, 0.0, 1.0], np.float32)
    wanted = [[0.5, -1.0], [0.0, 0.0], [3.0, 5.0]]
    for place in (np.asarray, jnp.asarray):
        for given in (np.asarray, jnp.asarray):
            found = influence.matrix(influence.relative(from_matrix(place(values)), given(lengths)))
            np.testing.assert_array_equal(found, wanted)
            assert isinstance(found, type(place(values)))


def test_rows_pass_through_jit():
    values = jnp.asarray(np.nan_to_num(made_up(), posinf=9, neginf=-9))
    traced = []

    @jax.jit
    def take(rows):
        traced.append(1)
        return influence.top(count=2)(rows)

    take(from_matrix(values, block_size=5))
    found = take(from_matrix(-values, block_size=5))
    assert len(traced) == 1
    np.testing.assert_array_equal(found.largest, expected_top(-np.asarray(values), 2)[0])


def refused():
    rows = from_matrix(made_up())
    lengths = np.ones(N, np.float32)
    return {
        "count": (lambda: influence.top(count=0), ValueError, "count must be"),
        "more than there are": (lambda: influence.top(count=24)(rows), ValueError, "only 23 examples"),
        "more than a stream has": (
            lambda: influence.top(count=24)(from_stream(np.ones((N, K), np.float32), N)),
            ValueError,
            "only 23",
        ),
        "one axis": (lambda: from_matrix(np.ones(3)), ValueError, r"but is \(3,\)"),
        "no queries": (lambda: from_matrix(np.ones((3, 0))), ValueError, "k >= 1"),
        "integers": (lambda: from_matrix(np.ones((3, 2), int)), TypeError, "int64"),
        "classes": (lambda: influence.per_class(num_classes=0), ValueError, "num_classes"),
        "labels": (lambda: influence.per_class(num_classes=2)(rows, np.arange(4)), ValueError, "2 classes"),
        "fewer labels": (lambda: influence.per_class(num_classes=2)(rows, np.zeros(3, int)), ValueError, "4 queries"),
        "real labels": (lambda: influence.per_class(num_classes=2)(rows, np.zeros(4)), TypeError, "integers"),
        "fewer lengths": (lambda: influence.relative(rows, lengths[1:]), ValueError, "22 entries for 23"),
        "negative length": (lambda: influence.relative(rows, -lengths), ValueError, r"lengths\[0\] is -1"),
        "undefined length": (lambda: influence.relative(rows, lengths * np.nan), ValueError, "not finite"),
        "lengths of another shape": (lambda: influence.relative(rows, lengths[:, None]), ValueError, r"\(23, 1\)"),
        "integer lengths": (lambda: influence.relative(rows, lengths.astype(int)), TypeError, "int64"),
        "a stream beside fewer": (
            lambda: influence.matrix(influence.relative(from_stream(np.ones((N, K), np.float32), 10, 13), lengths[1:])),
            ValueError,
            "22 rows, but the stream has more",
        ),
        "a stream beside more": (
            lambda: influence.matrix(
                influence.relative(from_stream(np.ones((N, K), np.float32), 10, 13), np.ones(24, np.float32))
            ),
            ValueError,
            "24 rows, but the stream has 23",
        ),
    }


@pytest.mark.parametrize("case", refused())
def test_bad_input_is_refused(case):
    call, error, message = refused()[case]
    with pytest.raises(error, match=message):
        call()
