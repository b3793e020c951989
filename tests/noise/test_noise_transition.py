import jax
import jax.numpy as jnp
import numpy as np
import pytest
from noise_rates import assert_follows

from jaxnoisy.noise import (
    asymmetric_matrix,
    row_stochastic,
    superclass_matrix,
    symmetric_matrix,
    transition,
)
from jaxnoisy.noise.transition import _invert


@pytest.mark.parametrize("c", [2, 3, 7, 8, 9])
def test_any_matrix_is_followed(c):
    matrix = np.random.default_rng(c).dirichlet(np.full(c, 0.7), size=c)
    matrix[0] = np.eye(c)[c - 1]
    matrix[1, 0] = 0
    matrix[1] /= matrix[1].sum()
    labels = np.arange(20_000) % c
    assert_follows(labels, transition(matrix=matrix)(jax.random.key(0), labels).labels, matrix)


def test_a_last_entry_of_zero_is_never_drawn():
    matrix = np.zeros((11, 11), np.float32)
    matrix[:, :10] = 0.1
    labels = np.zeros(20_000, np.int32)
    assert int(transition(matrix=matrix)(jax.random.key(0), labels).labels.max()) == 9


def test_ends_of_the_unit_interval():
    table = jnp.array([[0.0, 0.5, 0.5, 1.0, 1.0]])
    uniform = jnp.array([0.0, 0.5 - 2**-23, 0.5, 1 - 2**-23])
    assert _invert(table, jnp.zeros(4, jnp.int32), uniform).tolist() == [1, 1, 3, 3]


@pytest.mark.parametrize(
    "matrix",
    [
        symmetric_matrix(num_classes=6, rate=0.35),
        asymmetric_matrix(num_classes=6, rate=0.35),
        superclass_matrix(num_classes=6, groups=[0, 0, 0, 1, 1, 2], rate=0.35),
    ],
    ids=["symmetric", "asymmetric", "superclass"],
)
def test_matrices_of_the_kinds_are_row_stochastic(matrix):
    assert matrix.dtype == np.float64
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(row_stochastic(matrix), matrix, rtol=1e-14)


def test_small_rounding_in_a_row_is_divided_away():
    rows = row_stochastic(jnp.full((3, 3), 1 / 3, jnp.bfloat16).astype(jnp.float32) * (1 / 1.0019531))
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-15)


def test_memory_per_example_does_not_grow_with_the_classes():
    c, n = 500, 10_000
    corrupt = transition(matrix=np.full((c, c), 1 / c))
    jaxpr = jax.make_jaxpr(corrupt)(jax.random.key(0), np.zeros(n, np.int32))
    assert max(v.aval.size for eqn in jaxpr.eqns for v in eqn.outvars) <= max(2 * n, c * c)


@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        (np.ones((2, 3)) / 3, ValueError, "must be square"),
        (np.ones((1, 1)), ValueError, "must be square"),
        (np.ones(4) / 4, ValueError, "must be square"),
        (np.eye(2, dtype=int), TypeError, "floats"),
        (np.array([[0.5, 0.5], [0.6, 0.5]]), ValueError, r"matrix\[1\] is not a distribution"),
        (np.array([[1.5, -0.5], [0.5, 0.5]]), ValueError, r"matrix\[0\] is not a distribution"),
        (np.array([[np.nan, 1.0], [0.5, 0.5]]), ValueError, "not finite"),
    ],
    ids=["oblong", "one class", "vector", "integers", "sum", "negative", "nan"],
)
def test_bad_matrices(matrix, error, message):
    with pytest.raises(error, match=message):
        transition(matrix=matrix)
