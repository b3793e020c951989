import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import systems
from jax.sharding import AxisType

from jaxnoisy import curvature
from jaxnoisy.curvature import Status

P, R = 40, 6
SPECTRUM = np.concatenate([[9.0, 7.0, -6.0, 5.0, 4.0, -3.0, 2.5, 1.5], np.linspace(-0.3, 0.3, P - 8)])


def matrix(values=SPECTRUM):
    q = systems.orthogonal(P)
    return q * values @ q.T


def leading(values, order):
    """The R leading eigenvalues and eigenvectors of :func:`matrix`."""
    chosen = np.argsort(-values if order == "value" else -np.abs(values))[:R]
    return values[chosen], systems.orthogonal(P)[:, chosen]


@functools.cache
def compiled(**options):
    return jax.jit(lambda m: curvature.arnoldi(jax.random.key(0), Times(m), jnp.zeros(P), rank=R, **options))


def Times(m):  # noqa: N802
    return curvature.from_function(jax.tree_util.Partial(jnp.matmul, m))


def found(a, **options):
    return compiled(**{"damping": 0.5, "steps": 20} | options)(jnp.asarray(a))


apply = jax.jit(lambda inverse, rhs: inverse(rhs))


def rows(k=3):
    return np.random.default_rng(1).normal(size=(k, P))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("order", ["magnitude", "value"])
def test_the_leading_eigenpairs_are_those_of_dense_algebra(order):
    inverse = found(matrix(), order=order, steps=30)
    values, vectors = leading(SPECTRUM, order)
    np.testing.assert_allclose(inverse.values, values, rtol=1e-6)
    basis = np.asarray(inverse.basis)
    np.testing.assert_allclose(basis @ basis.T, np.eye(R), atol=1e-13)
    np.testing.assert_allclose(np.abs(np.sum(basis * vectors.T, axis=1)), 1, rtol=1e-5)


@pytest.mark.usefixtures("float64")
def test_the_errors_bound_the_distance_to_an_eigenvalue():
    inverse = found(matrix(), steps=8)
    basis, values = np.asarray(inverse.basis), np.asarray(inverse.values)
    left = np.linalg.norm(basis @ matrix() - values[:, None] * basis, axis=1)
    np.testing.assert_allclose(inverse.errors, left, rtol=1e-8, atol=1e-12)
    nearest = np.abs(values[:, None] - SPECTRUM).min(axis=1)
    assert (nearest <= left + 1e-12).all()
    assert left.max() > 1e-3


@pytest.mark.usefixtures("float64")
def test_the_inverse_is_that_on_the_span():
    b = rows()
    values, vectors = leading(SPECTRUM, "value")
    inverse = found(matrix(), order="value", steps=30)
    x, info = apply(inverse, jnp.asarray(b))
    np.testing.assert_allclose(x, b @ (vectors / (values + 0.5)) @ vectors.T, rtol=1e-5, atol=1e-6)
    left = np.linalg.norm(b - x @ (matrix() + 0.5 * np.eye(P)), axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(info.residual, left, rtol=1e-6)
    assert (np.asarray(info.status) == Status.LIMIT).all()
    assert int(info.steps) == 1


@pytest.mark.usefixtures("float64")
def test_without_residuals_no_product_is_taken_and_the_status_says_so():
    b = jnp.asarray(np.concatenate([np.zeros((1, P)), rows(2)]))
    x, info = apply(found(matrix(), order="value", residuals=False), b)
    checked, _ = apply(found(matrix(), order="value"), b)
    np.testing.assert_allclose(x, checked, rtol=1e-12)
    assert info.status.tolist() == [Status.CONVERGED, Status.UNCHECKED, Status.UNCHECKED]
    assert np.isnan(info.residual).tolist() == [False, True, True]
    assert int(info.steps) == 0
    assert "not asked for" in curvature.describe(info)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("values", [[9.0, 4.0, 1.0], [5.0, 5.0, 5.0, -2.0, 3.0, 3.0]])
def test_with_the_damping_outside_low_rank_is_exact(values):
    """Also where eigenvalues are repeated, each of which a single Krylov space holds once."""
    spectrum = np.concatenate([values, np.zeros(P - len(values))])
    b = rows()
    inverse = found(matrix(spectrum), damping=2.5, complement=True)
    x, info = apply(inverse, jnp.asarray(b))
    assert info.converged.all()
    np.testing.assert_allclose(x, np.linalg.solve(matrix(spectrum) + 2.5 * np.eye(P), b.T).T, rtol=1e-9, atol=1e-10)


@pytest.mark.usefixtures("float64")
def test_only_right_hand_sides_along_negative_curvature_are_named():
    _, vectors = leading(SPECTRUM, "magnitude")
    b = np.stack([vectors[:, 0], vectors[:, 2], vectors[:, 1] - vectors[:, 2]])  # of 9, -6, 7 and -6
    x, info = apply(found(matrix(), steps=30), jnp.asarray(b))
    assert info.status.tolist()[1:] == [Status.NEGATIVE_CURVATURE] * 2
    assert int(info.status[0]) != Status.NEGATIVE_CURVATURE
    np.testing.assert_allclose(x[1], b[1] / (-6 + 0.5), rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("float64")
def test_as_a_preconditioner_it_saves_steps():
    spectrum = np.concatenate([np.geomspace(1e3, 10, R), np.linspace(0.9, 1, P - R)])
    a, b = matrix(spectrum), jnp.asarray(rows(1))
    solve = jax.jit(lambda m, r, c: curvature.cg(damping=0.5, tolerance=1e-8)(m, r, preconditioner=c))
    _, alone = solve(Times(jnp.asarray(a)), b, jax.tree_util.Partial(jnp.multiply, 1.0))
    x, helped = solve(Times(jnp.asarray(a)), b, found(a).preconditioner())
    assert helped.converged.all()
    assert int(helped.steps) * 2 <= int(alone.steps)
    np.testing.assert_allclose(x, np.linalg.solve(a + 0.5 * np.eye(P), b.T).T, rtol=1e-6, atol=1e-8)


@pytest.mark.usefixtures("float64")
def test_the_preconditioner_of_an_indefinite_matrix_is_positive_definite():
    inverse = found(matrix()).preconditioner()
    dense = np.asarray(jax.vmap(inverse)(jnp.eye(P)))
    np.testing.assert_allclose(dense, dense.T, atol=1e-12)
    assert np.linalg.eigvalsh(dense)[0] > 0


def test_single_precision_keeps_the_basis_orthonormal():
    """Long after the leading pair has converged, which is where the three-term recurrence loses it."""
    a = matrix(np.geomspace(1e4, 1e-2, P)).astype(np.float32)
    inverse = found(a, steps=P)
    basis = np.asarray(inverse.basis, np.float64)
    np.testing.assert_allclose(basis @ basis.T, np.eye(R), atol=2e-6)
    np.testing.assert_allclose(inverse.values, np.geomspace(1e4, 1e-2, P)[:R], rtol=1e-4)


def test_the_basis_lies_as_the_parameters_do():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = jax.NamedSharding(mesh, jax.P("data"))
    scale = {"w": jax.device_put(jnp.arange(1.0, 17.0), split)}
    product = jax.tree_util.Partial(lambda scale, v: {"w": scale["w"] * v["w"]}, scale)
    inverse = jax.jit(lambda m: curvature.arnoldi(jax.random.key(0), m, scale, rank=16, damping=1.0))(product)
    assert inverse.basis["w"].sharding.is_equivalent_to(jax.NamedSharding(mesh, jax.P(None, "data")), 2)
    x, info = apply(inverse, {"w": jnp.ones((1, 16))})
    np.testing.assert_allclose(x["w"][0], 1 / np.arange(2.0, 18.0), rtol=1e-5)
    assert info.converged.all()


def test_bad_arguments_are_refused():
    def make(**options):
        return curvature.arnoldi(**{"key": jax.random.key(0), "matrix": lambda v: v, "like": jnp.zeros(2)} | options)

    for bad, error, message in (
        ({"rank": 0}, ValueError, "rank"),
        ({"rank": 2, "steps": 1}, ValueError, "steps"),
        ({"rank": 1, "complement": True}, ValueError, "damping above 0"),
        ({"rank": 1, "order": "largest"}, ValueError, "magnitude, value"),
        ({"rank": 1, "key": 0}, TypeError, "key"),
    ):
        with pytest.raises(error, match=message):
            make(**bad)
    inverse = jax.eval_shape(lambda: make(rank=1))
    with pytest.raises(ValueError, match="parameters"):
        jax.eval_shape(inverse, jax.ShapeDtypeStruct((1, 3), jnp.float32))
