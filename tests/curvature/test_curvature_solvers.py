"""What every solver of (A + damping I) x = b must do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import systems

from jaxnoisy import curvature
from jaxnoisy.curvature import Status

SOLVERS = {"cg": curvature.cg, "block_cg": curvature.block_cg, "cholesky": curvature.cholesky}
ITERATIVE = ("cg", "block_cg")


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=SOLVERS)
def solver(request):
    return SOLVERS[request.param]


def tight(solver, damping):
    return (
        solver(damping=damping, tolerance=1e-11) if solver in map(SOLVERS.get, ITERATIVE) else solver(damping=damping)
    )


def solved(solve, a, b, **more):
    x, info = jax.jit(lambda m, r: solve(m, r, **more))(systems.operator(a), systems.block(b))
    return systems.rows(x), info


def residuals(a, damping, x, b):
    return np.linalg.norm(b - x @ (a + damping * np.eye(len(a))), axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("k", [1, 4, 13])
def test_solutions_are_those_of_dense_algebra(solver, k):
    a, b = systems.spd(), systems.random_rows(k)
    x, info = solved(tight(solver, 0.01), a, b)
    expected = np.linalg.solve(a + 0.01 * np.eye(systems.P), b.T).T
    np.testing.assert_allclose(x, expected, rtol=1e-8, atol=1e-9)
    assert (np.asarray(info.status) == Status.CONVERGED).all()
    assert info.converged.all()
    assert info.residual.shape == info.status.shape == (k,)
    assert info.steps.dtype == jnp.int32
    assert (np.asarray(info.residual) < 1e-11).all()


@pytest.mark.usefixtures("float64")
def test_special_right_hand_sides(solver):
    """Zeros, duplicates, opposites, an eigenvector, and scales from 1e-12 to 1e12 next to each other."""
    a, some = systems.spd(), systems.random_rows(2)
    b = np.stack([np.zeros(systems.P), some[0], some[0], -some[0], np.linalg.eigh(a)[1][:, 3], 1e12 * some[1]])
    b = np.concatenate([b, 1e-12 * some])
    x, info = solved(tight(solver, 0.01), a, b)
    assert info.converged.all()
    expected = np.linalg.solve(a + 0.01 * np.eye(systems.P), b.T).T
    scale = np.abs(expected).max(axis=1, keepdims=True) + 1e-300
    np.testing.assert_allclose(x / scale, expected / scale, atol=1e-8)
    assert float(info.residual[0]) == 0
    assert not x[0].any()


def test_nothing_but_zeros(solver):
    x, info = solved(tight(solver, 0.01), systems.spd(), np.zeros((3, systems.P)))
    assert not x.any()
    assert info.converged.all()
    np.testing.assert_array_equal(info.residual, 0)


def test_single_precision_reports_its_true_residual(solver):
    a, b = systems.spd(condition=1e3).astype(np.float32), systems.random_rows(4).astype(np.float32)
    x, info = solved(solver(damping=0.01), a, b)
    assert info.converged.all()
    assert info.residual.dtype == jnp.float32
    found = residuals(a.astype(np.float64), 0.01, x.astype(np.float64), b.astype(np.float64))
    np.testing.assert_allclose(info.residual, found, rtol=0.5, atol=2e-6)


@pytest.mark.usefixtures("float64")
def test_one_right_hand_side(solver):
    a, b = systems.spd(), systems.random_rows(1)
    x, info = curvature.one(tight(solver, 0.1))(systems.operator(a), jax.tree.map(lambda v: v[0], systems.block(b)))
    assert info.status.shape == info.residual.shape == ()
    expected = np.linalg.solve(a + 0.1 * np.eye(systems.P), b[0])
    np.testing.assert_allclose(np.concatenate([np.ravel(x["a"]), x["b"]]), expected, rtol=1e-8)


@pytest.mark.usefixtures("float64")
def test_an_indefinite_matrix_is_named(solver):
    values = np.linspace(-0.3, 1.0, systems.P)
    a, b = systems.with_eigenvalues(values), systems.random_rows(3)
    x, info = solved(tight(solver, 0.01), a, b)
    assert (np.asarray(info.status) == Status.NEGATIVE_CURVATURE).all()
    assert "Gauss-Newton" in curvature.describe(info)
    assert np.isfinite(x).all()
    x, info = solved(tight(solver, 0.5), a, b)  # the remedy
    assert info.converged.all()
    np.testing.assert_allclose(x, np.linalg.solve(a + 0.5 * np.eye(systems.P), b.T).T, rtol=1e-7, atol=1e-9)


def test_values_that_are_not_finite_are_named(solver):
    a, b = systems.spd(), systems.random_rows(3)
    b[1, 2] = np.nan
    x, info = solved(solver(damping=0.1), a, b)
    assert info.status.tolist() == [Status.CONVERGED, Status.NOT_FINITE, Status.CONVERGED]
    expected = np.linalg.solve(a + 0.1 * np.eye(systems.P), b[[0, 2]].T).T
    np.testing.assert_allclose(x[[0, 2]], expected, rtol=1e-3, atol=1e-4)
    assert np.isnan(float(info.residual[1]))
    a[0, 0] = np.inf
    _, info = solved(solver(damping=0.1), a, systems.random_rows(2))
    assert (np.asarray(info.status) == Status.NOT_FINITE).all()
    assert "NaN" in curvature.describe(info)


@pytest.mark.usefixtures("float64")
def test_a_stream_gives_what_arrays_give(solver):
    a, b = systems.spd(), systems.random_rows(3)
    matrix, stream = systems.streamed(a)
    x, info = tight(solver, 0.01)(matrix, systems.block(b))
    assert info.converged.all()
    assert stream.passes == info.steps
    np.testing.assert_allclose(
        systems.rows(x), np.linalg.solve(a + 0.01 * np.eye(systems.P), b.T).T, rtol=1e-8, atol=1e-9
    )


def test_the_second_call_does_not_compile_again(solver):
    traced = []

    def times(a, x):
        traced.append(1)
        return systems._times(a, x)

    solve = jax.jit(lambda m, r: solver(damping=0.1)(m, r))
    b = systems.block(systems.random_rows(2))
    counts = []
    for condition in (10.0, 20.0):
        a = jnp.asarray(systems.spd(condition), jnp.float32)
        solve(curvature.from_function(jax.tree_util.Partial(times, a)), b)
        counts.append(len(traced))
    assert counts[0] == counts[1] > 0


def test_bad_arguments_are_refused(solver):
    for damping in (-0.1, np.nan, np.inf):
        with pytest.raises(ValueError, match="damping"):
            solver(damping=damping)
    solve, (matrix, _) = solver(damping=0.1), systems.streamed(systems.spd())
    good = systems.block(systems.random_rows(2).astype(np.float32))
    with pytest.raises(ValueError, match="lacks"):
        solve(matrix, {"a": good["a"]})
    with pytest.raises(ValueError, match="shape"):
        solve(matrix, {**good, "b": good["b"][:1]})
    with pytest.raises(TypeError, match="int32"):
        solve(matrix, jax.tree.map(lambda v: v.astype(jnp.int32), good))
    with pytest.raises(TypeError, match="lambda v: M @ v"):
        solve(systems.spd(), good)


@pytest.mark.parametrize("name", ITERATIVE)
@pytest.mark.parametrize(
    ("bad", "name_in_message"),
    [({"tolerance": 0.0}, "tolerance"), ({"tolerance": 1.0}, "tolerance"), ({"max_steps": 0}, "max_steps")],
)
def test_bad_limits_are_refused(name, bad, name_in_message):
    with pytest.raises(ValueError, match=name_in_message):
        SOLVERS[name](**bad)
