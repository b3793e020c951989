import functools

import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest
from ekfac_problems import basis, built, formed, identity, problem, products, weights
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType

from jaxnoisy import curvature, tree
from jaxnoisy.curvature import Status, Stream

EXACT = {"rtol": 1e-9, "atol": 1e-11}


@functools.cache
def ill_conditioned():
    """Gauss-Newton and EK-FAC of a network whose inputs span three orders, and right-hand sides."""
    rng = np.random.default_rng(2)
    scale = np.geomspace(1e-2, 1e1, 8)
    x = jnp.asarray(rng.normal(size=(40, 8)) @ np.linalg.qr(rng.normal(size=(8, 8)))[0] * scale)
    params = {
        "a": jnp.asarray(rng.normal(size=(8, 6))) / 8,
        "b": jnp.zeros(6),
        "c": jnp.asarray(rng.normal(size=(6, 4))),
    }
    model = lambda p, x: jnp.tanh(x @ p["a"] + p["b"]) @ p["c"]  # noqa: E731
    data = x, jnp.asarray(rng.integers(0, 4, 40))
    matrix = curvature.gauss_newton(model, nets.cross_entropy)(params, data)
    approximate = curvature.ekfac(model, nets.cross_entropy)(params, data)
    return matrix, approximate, nets.vectors(params, 2)[0]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("method", [curvature.cg, curvature.block_cg])
def test_as_a_preconditioner_it_saves_more_than_half_of_the_steps(method):
    matrix, approximate, b = ill_conditioned()
    solve = jax.jit(lambda a, b, c: method(damping=1e-4, tolerance=1e-4)(a, b, preconditioner=c))
    plain, info = solve(matrix, b, None)
    fast, better = solve(matrix, b, approximate.preconditioner(1e-4))
    assert info.converged.all()
    assert better.converged.all()
    assert int(info.steps) > 20
    assert 2 * int(better.steps) <= int(info.steps)
    difference = tree.norm(tree.axpy(-1.0, plain, fast)) / tree.norm(plain)
    assert float(difference) < 0.05


@pytest.mark.usefixtures("float64")
def test_singular_directions_without_damping_have_a_status():
    p, matrix = problem("mlp"), built("mlp")
    u, e = basis(matrix, p.params)
    null = e < 1e-12
    assert 0 < null.sum() < len(e)
    inside = u[:, ~null] @ np.ones((~null).sum())
    unravel = ravel_pytree(p.params)[1]
    rows = [inside, inside + u[:, np.argmax(null)], 0 * inside, np.nan * inside]
    apply = jax.jit(lambda m, b, i: (m.inverse()(b), jax.vmap(m.preconditioner())(i)))
    (x, info), found = apply(matrix, jax.vmap(unravel)(jnp.stack(rows)), identity(p.params))
    expected = [Status.CONVERGED, Status.NEGATIVE_CURVATURE, Status.CONVERGED, Status.NOT_FINITE]
    assert info.status.tolist() == expected
    np.testing.assert_allclose(nets.as_matrix(x)[0], u[:, ~null] @ (1 / e[~null]), rtol=1e-6)
    np.testing.assert_allclose(nets.as_matrix(x)[1], nets.as_matrix(x)[0], rtol=1e-6)
    assert not nets.as_matrix(x)[2].any()
    np.testing.assert_allclose(info.residual[:3], [0, 1 / np.sqrt((~null).sum() + 1), 0], atol=1e-6)
    found = nets.as_matrix(found)
    assert np.linalg.eigvalsh((found + found.T) / 2)[0] > 0


def test_a_matrix_and_its_inverse_pass_through_jit_without_compiling_again():
    p = nets.problem("mlp")
    made = curvature.ekfac(p.model, p.output_loss, batch_size=4)
    block, _ = nets.vectors(p.params, 2)
    traced = []

    @jax.jit
    def apply(inverse, block):
        traced.append(1)
        return inverse(block)[0]

    first = apply(made(p.params, p.data).inverse(0.1), block)
    second = apply(made(tree.scale(2.0, p.params), p.data).inverse(0.2), block)
    assert len(traced) == 1
    assert float(tree.norm(tree.axpy(-1.0, first, second))) > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_lower_precision(dtype):
    with jax.enable_x64(True):
        expected = formed(built("mlp"), problem("mlp").params)
    p = nets.problem("mlp")
    params = jax.tree.map(lambda a: a.astype(dtype), p.params)
    matrix = curvature.ekfac(p.model, p.output_loss, batch_size=4)(params, p.data, weights=weights())
    assert {a.dtype for a in jax.tree.leaves(matrix)} == {jnp.dtype("float32")}
    block, _ = nets.vectors(params, 2)
    assert {a.dtype for a in jax.tree.leaves(matrix.operator().block(block))} == {jnp.dtype(dtype)}
    found = formed(matrix, p.params)
    np.testing.assert_allclose(found, expected, atol=(1e-5 if dtype == "float32" else 3e-2) * expected.max())


@pytest.mark.parametrize(
    ("axis_type", "compiled"), [(AxisType.Auto, True), (AxisType.Explicit, True), (AxisType.Explicit, False)]
)
def test_eight_devices_agree_with_one(axis_type, compiled):
    p = nets.problem("mlp", n=40)
    made = curvature.ekfac(p.model, p.output_loss, batch_size=16)
    build = lambda q, d, w: made(q, d, weights=w).operator()  # noqa: E731
    w = jnp.arange(40.0)
    block, _ = nets.vectors(p.params, 3)
    expected = nets.as_matrix(products(build(p.params, p.data, w), block))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        data, each = jax.device_put((p.data, w), jax.NamedSharding(mesh, jax.P("data")))
        params, vectors = jax.device_put((p.params, block), jax.NamedSharding(mesh, jax.P()))
        found = (jax.jit(build) if compiled else build)(params, data, each)
        after = jax.device_get(products(found, vectors))
    np.testing.assert_allclose(nets.as_matrix(after), expected, rtol=2e-5, atol=2e-6)


def bad_arguments():
    p = nets.problem("mlp")
    x, y = p.data
    key = jax.random.key(0)
    return {
        "integer parameters": ({}, {**p.params, "steps": jnp.int32(0)}, p.data, {}, TypeError, "int32"),
        "no pair": ({}, p.params, x, {}, ValueError, "pair"),
        "a stream of no pairs": ({}, p.params, Stream([x]), {}, ValueError, "pair"),
        "nan": ({}, p.params, (x.at[2, 1].set(jnp.nan), y), {}, ValueError, r"data\[0\].*\(2, 1\)"),
        "lengths": ({}, p.params, (x, y[:5]), {}, ValueError, "in common"),
        "weights": ({}, p.params, p.data, {"weights": -jnp.ones(11)}, ValueError, "negative"),
        "weights beside a stream": ({}, p.params, Stream([p.data]), {"weights": y}, ValueError, "Stream"),
        "no key": ({"gradients": "drawn"}, p.params, p.data, {}, TypeError, "typed key"),
        "a key without use": ({}, p.params, p.data, {"key": key}, TypeError, "leave it out"),
        "kind": ({"gradients": "sampled"}, p.params, p.data, {}, ValueError, "exact, drawn, empirical"),
        "draws": ({"draws": 0}, p.params, p.data, {}, ValueError, "draws"),
        "batch size": ({"batch_size": 0}, p.params, p.data, {}, ValueError, "batch_size"),
    }


@pytest.mark.parametrize("case", bad_arguments())
def test_bad_arguments_are_refused(case):
    static, params, data, more, error, message = bad_arguments()[case]
    p = nets.problem("mlp")
    with pytest.raises(error, match=message):
        curvature.ekfac(p.model, p.output_loss, **static)(params, data, **more)


def test_bad_vectors_and_losses_are_refused():
    p = nets.problem("mlp")
    with pytest.raises(TypeError, match="real scalar"):
        curvature.ekfac(p.model, lambda z, y: z)(p.params, p.data)
    matrix = curvature.ekfac(p.model, p.output_loss, batch_size=4)(p.params, p.data)
    block, _ = nets.vectors(p.params, 2)
    for call in (matrix.inverse(0.1), matrix.operator().block):
        with pytest.raises(ValueError, match="lacks"):
            call({"out": block["out"]})
        with pytest.raises(ValueError, match="shape"):
            call({**block, "out": block["out"][:, :2]})
    with pytest.raises(TypeError, match="int32"):
        matrix.inverse(0.1)(jax.tree.map(lambda a: a.astype(jnp.int32), block))
    for make in (matrix.inverse, matrix.preconditioner):
        with pytest.raises(ValueError, match="damping"):
            make(-1.0)
    with pytest.raises(ValueError, match="tolerance"):
        matrix.inverse(0.1, tolerance=2.0)
