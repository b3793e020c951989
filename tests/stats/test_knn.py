import jax
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from jaxnoisy.stats import nearest_neighbours


def points(n=90, d=7, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("block", [None, 1, 16, 90, 1000])
def test_the_neighbours_are_scikit_learn_s(block):
    x = points()
    found = nearest_neighbours(k=5, block=block)(x)
    distances, rows = NearestNeighbors(n_neighbors=5, metric="cosine").fit(x.astype(np.float64)).kneighbors()
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.similarity, 1 - distances, atol=1e-6)


def test_lengths_do_not_matter_however_large_or_small():
    x = points()
    lengths = 10.0 ** np.random.default_rng(1).integers(-30, 30, len(x))
    found, scaled = (nearest_neighbours(k=3)(a) for a in (x, (x * lengths[:, None]).astype(np.float32)))
    np.testing.assert_array_equal(scaled.rows, found.rows)
    np.testing.assert_allclose(scaled.similarity, found.similarity, atol=1e-5)


def test_an_example_is_not_its_own_neighbour_but_its_copy_is():
    x = np.repeat(points(8), 2, axis=0)
    found = nearest_neighbours(k=1)(x)
    np.testing.assert_array_equal(found.rows[:, 0], np.arange(16) ^ 1)
    np.testing.assert_allclose(found.similarity, 1, atol=1e-6)


def test_zeros_are_as_near_to_all():
    found = nearest_neighbours(k=2)(np.vstack([np.zeros((1, 7), np.float32), points(6)]))
    assert found.similarity[0].tolist() == [0, 0]
    assert found.rows[0].tolist() == [1, 2]


def test_under_jit_it_compiles_once():
    traced = []

    @jax.jit
    def find(x):
        traced.append(x.shape)
        return nearest_neighbours(k=2)(x)

    np.testing.assert_array_equal(find(points()).rows, nearest_neighbours(k=2)(points()).rows)
    find(points(seed=1))
    assert len(traced) == 1


def test_no_square_of_examples_is_held():
    n = 4000
    compiled = jax.jit(nearest_neighbours(k=3, block=50)).lower(jax.ShapeDtypeStruct((n, 4), np.float32)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * n * n / 4


@pytest.mark.parametrize(
    ("k", "x", "error", "says"),
    [
        (0, points(), ValueError, "k must be a whole number >= 1, but is 0"),
        (90, points(), ValueError, "90 neighbours of each example need at least 91 examples, but there are 90"),
        (2, points()[0], ValueError, r"features must have shape \(n, d\), but have shape \(7,\)"),
        (2, points().astype(int), TypeError, "features must be floats, but are int64"),
        (2, np.full((4, 2), np.nan, np.float32), ValueError, "features has 8 values that are not finite"),
    ],
)
def test_what_is_refused(k, x, error, says):
    with pytest.raises(error, match=says):
        nearest_neighbours(k=k)(x)


def test_a_block_of_none_is_refused():
    with pytest.raises(ValueError, match="block must be a whole number >= 1, but is 0"):
        nearest_neighbours(k=1, block=0)
