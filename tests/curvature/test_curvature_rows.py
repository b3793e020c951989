import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest

from jaxnoisy import curvature, tree
from jaxnoisy.curvature import Stream

EXACT = {"rtol": 1e-10, "atol": 1e-12}


def build(p, **static):
    return curvature.gauss_newton_rows(p.model, p.output_loss, **static)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", nets.NAMES)
def test_products_are_those_of_the_dense_matrix(name):
    p = nets.problem(name)
    w = np.random.default_rng(3).uniform(size=11)
    block, v = nets.vectors(p.params, 3)
    # 11 examples in microbatches of 4 leave a place to fill up.
    found = build(p, batch_size=4)(p.params, p.data, weights=w).block(block)
    np.testing.assert_allclose(nets.as_matrix(found), v @ nets.dense("gauss_newton", p, weights=w), **EXACT)


@pytest.mark.usefixtures("float64")
def test_arrays_on_the_host_and_under_jit_give_the_same():
    p = nets.problem("mlp")
    block, v = nets.vectors(p.params, 2)
    expected = v @ nets.dense("gauss_newton", p)
    host = build(p, batch_size=4)(p.params, jax.tree.map(np.asarray, p.data)).block(block)
    np.testing.assert_allclose(nets.as_matrix(host), expected, **EXACT)
    traced = jax.jit(lambda q, d, v: build(p, batch_size=4)(q, d).block(v))(p.params, p.data, block)
    np.testing.assert_allclose(nets.as_matrix(traced), expected, **EXACT)


def test_frozen_parameters_have_no_rows():
    p = nets.problem("mlp")
    chosen, frozen = tree.split(p.params, lambda path, leaf: "out" in path)
    block, _ = nets.vectors(chosen, 1)
    found = build(p)(chosen, p.data, frozen=frozen).block(block)
    same = curvature.gauss_newton(p.model, p.output_loss)(chosen, p.data, frozen=frozen).block(block)
    np.testing.assert_allclose(found["out"], same["out"], rtol=1e-4, atol=1e-6)
    assert jax.tree.structure(found) == jax.tree.structure(chosen)


def test_solvers_take_it():
    p = nets.problem("mlp")
    rhs, b = nets.vectors(p.params, 4)
    x, info = curvature.block_cg(damping=0.1, tolerance=1e-5)(build(p)(p.params, p.data), rhs)
    assert info.converged.all()
    a = np.asarray(nets.dense("gauss_newton", p), np.float64) + 0.1 * np.eye(b.shape[1])
    np.testing.assert_allclose(nets.as_matrix(x), np.linalg.solve(a, b.T).T, rtol=1e-3, atol=1e-3)


def test_bad_input_is_refused():
    p = nets.problem("mlp")
    with pytest.raises(ValueError, match="batch_size"):
        build(p, batch_size=0)
    with pytest.raises(TypeError, match="take gauss_newton"):
        build(p)(p.params, Stream([p.data]))
    with pytest.raises(ValueError, match="pair"):
        build(p)(p.params, p.data[0])
    with pytest.raises(ValueError, match="finite"):
        build(p)(p.params, (p.data[0].at[2, 1].set(jnp.nan), p.data[1]))
    with pytest.raises(ValueError, match="numbers each"):
        build(p)(p.params, p.data).block({"in": jnp.ones((1, 3))})
    with pytest.raises(TypeError, match="scalar"):
        curvature.gauss_newton_rows(p.model, lambda z, y: z)(p.params, p.data)
