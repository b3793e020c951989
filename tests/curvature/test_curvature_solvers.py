"""What every solver of (A + damping I) x = b must do: a new one joins by a line of SOLVERS."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import systems

from jaxnoisy import curvature
from jaxnoisy.curvature import Status

DAMPING, K = 0.01, 13  # more right-hand sides than the ten parameters


def prepared(make):
    """A solver from what makes an inverse."""
    return lambda matrix, rhs: make(matrix, jax.tree.map(lambda a: a[0], rhs))(rhs)


def stochastic(damping, tolerance):
    """With a single part, which makes it exact."""
    run = curvature.stochastic_lissa(damping=damping, tolerance=tolerance, steps=4000, tail=0.01)

    def solve(matrix, rhs):
        part = jax.tree_util.Partial(lambda m, j, v: m.block(v), curvature.as_operator(matrix))
        return run(jax.random.key(0), curvature.Parts(part, jnp.ones(1)), rhs)

    return solve


SOLVERS = {
    "cg": lambda damping, tolerance: curvature.cg(damping=damping, tolerance=tolerance),
    "block_cg": lambda damping, tolerance: curvature.block_cg(damping=damping, tolerance=tolerance),
    "cholesky": lambda damping, tolerance: curvature.cholesky(damping=damping, tolerance=tolerance),
    "factorised": lambda damping, tolerance: prepared(
        functools.partial(curvature.factorised, damping=damping, tolerance=tolerance)
    ),
    "lissa": lambda damping, tolerance: curvature.lissa(damping=damping, tolerance=tolerance),
    "stochastic_lissa": stochastic,
    "arnoldi": lambda damping, tolerance: prepared(
        functools.partial(curvature.arnoldi, jax.random.key(0), rank=10, damping=damping, tolerance=tolerance)
    ),
}
START = ("cg", "block_cg", "lissa")
STREAMED = {name: 0 for name in SOLVERS if name != "stochastic_lissa"} | {"factorised": 1, "arnoldi": 10}
"""Passes that the preparation takes."""


@pytest.fixture(params=SOLVERS)
def name(request):
    return request.param


@functools.cache
def program(name):
    """The solver compiled in float64, for K right-hand sides; and a list that grows where it is traced."""
    solve, traced = SOLVERS[name](DAMPING, 1e-11), []

    def run(matrix, rhs):
        traced.append(1)
        return solve(matrix, rhs)

    return jax.jit(run), traced


def solved(name, a, b):
    """Solve for the rows of b, among others where they are fewer than K."""
    with jax.enable_x64(True):
        b = np.concatenate([b, systems.random_rows(K - len(b), seed=7)])
        x, info = program(name)[0](systems.operator(a), systems.block(b))
        return systems.rows(x), info


def dense(a, b, damping=DAMPING):
    return np.linalg.solve(a + damping * np.eye(len(a)), b.T).T


def test_solutions_are_those_of_dense_algebra(name):
    a, b = systems.spd(), systems.random_rows(K)
    x, info = solved(name, a, b)
    np.testing.assert_allclose(x, dense(a, b), rtol=1e-8, atol=1e-9)
    assert (np.asarray(info.status) == Status.CONVERGED).all()
    assert info.converged.all()
    assert info.residual.shape == info.status.shape == (K,)
    assert info.steps.dtype == jnp.int32
    assert (np.asarray(info.residual) < 1e-11).all()


def test_special_right_hand_sides(name):
    """Zeros, duplicates, opposites, an eigenvector, and scales from 1e-12 to 1e12 next to each other."""
    a, some = systems.spd(), systems.random_rows(2)
    b = np.stack([np.zeros(systems.P), some[0], some[0], -some[0], np.linalg.eigh(a)[1][:, 3], 1e12 * some[1]])
    b = np.concatenate([b, 1e-12 * some])
    x, info = solved(name, a, b)
    assert info.converged.all()
    expected = dense(a, b)
    scale = np.abs(expected).max(axis=1, keepdims=True) + 1e-300
    np.testing.assert_allclose(x[: len(b)] / scale, expected / scale, atol=1e-8)
    assert float(info.residual[0]) == 0
    assert not x[0].any()


def test_order_and_scale_of_right_hand_sides_do_not_matter(name):
    a, b = systems.spd(), systems.random_rows(K)
    order, factors = np.random.default_rng(0).permutation(K), np.geomspace(1e-3, 1e3, K)[:, None]
    x, _ = solved(name, a, b)
    moved, _ = solved(name, a, factors * b[order])
    np.testing.assert_allclose(moved / factors, x[order], rtol=1e-8, atol=1e-8)


def test_nothing_but_zeros(name):
    x, info = solved(name, systems.spd(), np.zeros((K, systems.P)))
    assert not x.any()
    assert info.converged.all()
    np.testing.assert_array_equal(info.residual, 0)


def test_an_indefinite_matrix_is_named(name):
    a, b = systems.with_eigenvalues(np.linspace(-0.3, 1.0, systems.P)), systems.random_rows(K)
    x, info = solved(name, a, b)
    assert (np.asarray(info.status) == Status.NEGATIVE_CURVATURE).all()
    assert "Gauss-Newton" in curvature.describe(info)
    assert np.isfinite(x).all()
    more = a + 0.5 * np.eye(systems.P)  # the remedy
    x, info = solved(name, more, b)
    assert info.converged.all()
    np.testing.assert_allclose(x, dense(more, b), rtol=1e-7, atol=1e-9)


def test_a_singular_system_is_not_solved_in_silence(name):
    """Of rank 7 up to rounding: the right-hand sides have parts that no x gives."""
    values = np.concatenate([np.zeros(3), np.linspace(0.5, 1, systems.P - 3)])
    a, b = systems.with_eigenvalues(values) - DAMPING * np.eye(systems.P), systems.random_rows(K)
    x, info = solved(name, a, b)
    left = {Status.NEGATIVE_CURVATURE, Status.STAGNATED, Status.LIMIT}
    assert set(np.asarray(info.status).tolist()) <= left
    assert "damping" in curvature.describe(info)
    assert (np.asarray(info.residual) > 1e-3).all()
    assert np.isfinite(x).all()


def test_values_that_are_not_finite_are_named(name):
    a, b = systems.spd(), systems.random_rows(3)
    b[1, 2] = np.nan
    x, info = solved(name, a, b)
    assert info.status.tolist()[:3] == [Status.CONVERGED, Status.NOT_FINITE, Status.CONVERGED]
    np.testing.assert_allclose(x[[0, 2]], dense(a, b[[0, 2]]), rtol=1e-8, atol=1e-9)
    assert np.isnan(float(info.residual[1]))
    a[0, 0] = np.inf
    _, info = solved(name, a, systems.random_rows(K))
    assert (np.asarray(info.status) == Status.NOT_FINITE).all()
    assert "NaN" in curvature.describe(info)


def test_the_second_call_does_not_compile_again(name):
    for condition in (10.0, 20.0):
        solved(name, systems.spd(condition), systems.random_rows(2))
    assert len(program(name)[1]) == 1


def test_single_precision_reports_its_true_residual(name):
    a, b = systems.spd(condition=1e3).astype(np.float32), systems.random_rows(4).astype(np.float32)
    x, info = jax.jit(SOLVERS[name](DAMPING, 1e-4))(systems.operator(a), systems.block(b))
    assert info.converged.all()
    assert info.residual.dtype == jnp.float32
    wide, x = b.astype(np.float64), systems.rows(x).astype(np.float64)
    found = np.linalg.norm(wide - x @ (a.astype(np.float64) + DAMPING * np.eye(len(a))), axis=1)
    np.testing.assert_allclose(info.residual, found / np.linalg.norm(wide, axis=1), rtol=0.5, atol=2e-6)


def test_one_right_hand_side():
    a, b = systems.spd(), systems.random_rows(1)
    with jax.enable_x64(True):
        rhs = jax.tree.map(lambda v: v[0], systems.block(b))
        x, info = jax.jit(curvature.one(SOLVERS["cg"](DAMPING, 1e-11)))(systems.operator(a), rhs)
    assert info.status.shape == info.residual.shape == ()
    np.testing.assert_allclose(np.concatenate([np.ravel(x["a"]), x["b"]]), dense(a, b)[0], rtol=1e-8)


@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_gives_what_arrays_give(name):
    a, b = systems.spd(condition=5.0), systems.random_rows(3)
    with jax.enable_x64(True):
        matrix, stream = systems.streamed(a)
        x, info = SOLVERS[name](DAMPING, 1e-11)(matrix, systems.block(b))
    assert info.converged.all()
    assert stream.passes == info.steps + STREAMED[name]
    np.testing.assert_allclose(systems.rows(x), dense(a, b), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", START)
def test_a_converged_start_stays_and_any_other_leads_to_the_solution(name):
    a, b = systems.spd(), systems.random_rows(K)
    with jax.enable_x64(True):
        solve = jax.jit(lambda m, r, s: SOLVERS[name](DAMPING, 1e-9)(m, r, start=s))
        exact = dense(a, b)
        x, info = solve(systems.operator(a), systems.block(b), systems.block(exact))
        np.testing.assert_array_equal(systems.rows(x), exact)
        assert info.converged.all()
        # LiSSA's bound on the spectrum takes eight products more.
        assert int(info.steps) == (9 if name == "lissa" else 1)
        b[1] = 0
        x, info = solve(systems.operator(a), systems.block(b), systems.block(systems.random_rows(K, seed=9)))
    assert info.converged.all()
    np.testing.assert_allclose(systems.rows(x), dense(a, b), rtol=1e-6, atol=1e-7)
    assert not systems.rows(x)[1].any()


def refused(solve, matrix, rhs, error, message):
    """Tracing suffices, as values are not looked at."""
    with pytest.raises(error, match=message):
        jax.eval_shape(lambda r: solve(matrix, r), rhs)


def test_bad_arguments_are_refused(name):
    good, matrix = systems.block(systems.random_rows(2).astype(np.float32)), systems.operator(np.eye(systems.P))
    for damping in (-0.1, np.nan, np.inf):
        refused(lambda m, r: SOLVERS[name](damping, 0.1)(m, r), matrix, good, ValueError, "damping")  # noqa: B023
    for tolerance in (0.0, 1.0):
        refused(lambda m, r: SOLVERS[name](0.1, tolerance)(m, r), matrix, good, ValueError, "tolerance")  # noqa: B023
    solve = SOLVERS[name](DAMPING, 0.1)
    refused(solve, matrix, {**good, "b": good["b"][:1]}, ValueError, r"x\[None\]")
    refused(solve, matrix, jax.tree.map(lambda v: v.astype(jnp.int32), good), TypeError, "int32")
    refused(solve, np.eye(systems.P), good, TypeError, "lambda v: M @ v")


@pytest.mark.parametrize("name", START)
def test_bad_limits_and_structures_are_refused(name):
    solver = getattr(curvature, name)
    with pytest.raises(ValueError, match="max_steps"):
        solver(max_steps=0)
    good, matrix = systems.block(systems.random_rows(2).astype(np.float32)), systems.operator(np.eye(systems.P))
    start = jax.tree.map(lambda v: v[:1], good)
    refused(lambda m, r: solver(damping=0.1)(m, r, start=start), matrix, good, ValueError, "start")
    matrix, _ = systems.streamed(systems.spd())
    with pytest.raises(ValueError, match="lacks"):
        solver(damping=0.1)(matrix, {"a": good["a"]})
