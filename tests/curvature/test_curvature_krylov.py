import jax
import jax.numpy as jnp
import numpy as np
import pytest
import systems
from jax.sharding import AxisType

from jaxnoisy import curvature
from jaxnoisy.curvature import Status
from jaxnoisy.curvature.block_cg import orthonormal

METHODS = {"cg": curvature.cg, "block_cg": curvature.block_cg}


@pytest.fixture(params=METHODS)
def method(request):
    return METHODS[request.param]


def solved(solve, a, b, **more):
    x, info = jax.jit(lambda m, r: solve(m, r, **more))(systems.operator(a), systems.block(b))
    return systems.rows(x), info


def spread(count, p=60):
    """``count`` large eigenvalues far apart above a cluster at 1."""
    return np.concatenate([np.ones(p - count), np.geomspace(10, 1e4, count)])


def wide_solve(solve, values, b, **more):
    q = systems.orthogonal(len(values))
    matrix = jax.tree_util.Partial(jnp.matmul, jnp.asarray(q * values @ q.T))
    return jax.jit(lambda m, r: solve(m, r, **more))(matrix, jnp.asarray(b))


@pytest.mark.usefixtures("float64")
def test_as_many_steps_as_distinct_eigenvalues(method):
    a = systems.with_eigenvalues(np.repeat([1.0, 3.0, 7.0], [4, 3, 3]))
    _, info = solved(method(tolerance=1e-10), a, systems.random_rows(1))
    assert info.converged.all()
    assert int(info.steps) == 3 + 1  # the last confirms the residual


@pytest.mark.usefixtures("float64")
def test_a_block_shares_its_space():
    values, b = spread(20), np.random.default_rng(0).normal(size=(10, 60))
    _, alone = wide_solve(curvature.cg(tolerance=1e-8), values, b)
    x, shared = wide_solve(curvature.block_cg(tolerance=1e-8), values, b)
    assert alone.converged.all()
    assert shared.converged.all()
    # Block Krylov spaces of degree 3 hold the 20 outliers; a single one needs degree 20.
    assert int(shared.steps) <= 6 < 20 <= int(alone.steps)
    q = systems.orthogonal(60)
    np.testing.assert_allclose(x, b @ (q / values @ q.T), atol=1e-7)


@pytest.mark.usefixtures("float64")
def test_more_right_hand_sides_than_parameters_take_one_step():
    x, info = solved(curvature.block_cg(tolerance=1e-9), systems.spd(), systems.random_rows(25))
    assert info.converged.all()
    assert int(info.steps) <= 3
    np.testing.assert_allclose(x, np.linalg.solve(systems.spd(), systems.random_rows(25).T).T, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("float64")
def test_stopping_at_the_limit_is_said(method):
    a, b = systems.spd(condition=1e6), systems.random_rows(1)
    x, info = solved(method(tolerance=1e-12, max_steps=3), a, b)
    assert info.status.tolist() == [Status.LIMIT]
    assert int(info.steps) == 4  # three, and one for the residual
    found = np.linalg.norm(b - x @ a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(info.residual, found, rtol=1e-6)
    assert "limit of steps" in curvature.describe(info)


def test_what_single_precision_cannot_reach_is_said(method):
    a = systems.spd(condition=1e4).astype(np.float32)
    b = systems.random_rows(2).astype(np.float32)
    _, info = solved(method(tolerance=1e-6, max_steps=500), a, b)
    assert (np.asarray(info.status) == Status.STAGNATED).all()
    assert int(info.steps) < 300
    assert (np.asarray(info.residual) < 1e-2).all()
    assert "float64" in curvature.describe(info)


@pytest.mark.usefixtures("float64")
def test_a_preconditioner_that_is_the_inverse_takes_one_step(method):
    a, b = systems.spd(condition=1e4), systems.random_rows(2)
    inverse = systems.operator(np.linalg.inv(a))
    x, info = solved(method(tolerance=1e-8), a, b, preconditioner=inverse)
    assert int(info.steps) == 2
    np.testing.assert_allclose(x, np.linalg.solve(a, b.T).T, rtol=1e-6, atol=1e-6)
    matrix, stream = systems.streamed(a)
    _, info = method(tolerance=1e-8)(matrix, systems.block(b), preconditioner=inverse)
    assert info.converged.all()
    assert stream.passes == 2


@pytest.mark.usefixtures("float64")
def test_bad_preconditioners(method):
    a, b = systems.spd(), systems.random_rows(1)
    _, info = solved(method(), a, b, preconditioner=lambda v: jax.tree.map(jnp.negative, v))
    if method is curvature.cg:
        assert info.status.tolist() == [Status.NEGATIVE_CURVATURE]
    with pytest.raises(ValueError, match="preconditioner returns"):
        solved(method(), a, b, preconditioner=lambda v: v["a"])
    with pytest.raises(TypeError, match="function of one vector"):
        solved(method(), a, b, preconditioner=3.0)


@pytest.mark.usefixtures("float64")
def test_only_right_hand_sides_that_meet_negative_curvature_stop():
    a = np.diag([1.0, 2.0, 3.0, -1.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    b = systems.random_rows(2)
    b[0, 3] = 0
    x, info = solved(curvature.cg(tolerance=1e-9), a, b)
    assert info.status.tolist() == [Status.CONVERGED, Status.NEGATIVE_CURVATURE]
    np.testing.assert_allclose(x[0], b[0] / np.diag(a), rtol=1e-7)


@pytest.mark.usefixtures("float64")
def test_orthonormal_bases_span_what_was_given():
    rng = np.random.default_rng(0)
    w = rng.normal(size=(6, systems.P)) * np.geomspace(1e-8, 1e8, 6)[:, None]
    w[4] = 3 * w[1]
    w[5] = 0
    wanted = jnp.array([True, True, True, False, True, True])
    basis, live = jax.jit(orthonormal)(systems.block(w), wanted)
    q = systems.rows(basis)
    assert int(live.sum()) == 3
    np.testing.assert_allclose(q @ q.T, np.diag(np.asarray(live, float)), atol=1e-12)
    for i in range(3):
        np.testing.assert_allclose(w[i] @ q.T @ q, w[i], rtol=1e-6, atol=1e-9 * np.linalg.norm(w[i]))


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_solving_on_eight_devices(method, axis_type):
    def loss(w, x):
        return 0.5 * (w["a"] @ x) ** 2

    x = jnp.asarray(np.random.default_rng(0).normal(size=(40, 4)), jnp.float32)
    b = {"a": jnp.asarray(np.random.default_rng(1).normal(size=(2, 4)), jnp.float32)}
    params = {"a": jnp.zeros(4)}

    def solve(params, x, b):
        return method(damping=0.1)(curvature.hessian(loss, memory=0, batch_size=16)(params, x), b)

    expected, _ = jax.jit(solve)(params, x, b)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        everywhere = jax.NamedSharding(mesh, jax.P())
        placed = (jax.device_put(params, everywhere), jax.device_put(x, jax.NamedSharding(mesh, jax.P("data"))))
        found, info = jax.jit(solve)(*placed, jax.device_put(b, everywhere))
        assert bool(info.converged.all())
    np.testing.assert_allclose(found["a"], expected["a"], rtol=1e-3, atol=1e-5)
