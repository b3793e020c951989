import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest
import systems

from jaxnoisy import curvature
from jaxnoisy.curvature import Status

apply = jax.jit(lambda inverse, rhs: inverse(rhs))


@pytest.mark.parametrize("block_size", [1, 4, 10, 64])
def test_the_dense_matrix_is_formed_in_blocks(block_size):
    with jax.enable_x64(True):
        a = systems.spd()
        matrix, stream = systems.streamed(a)
        found = jax.jit(lambda m: curvature.dense(m, systems.like(), block_size=block_size))(systems.operator(a))
        np.testing.assert_allclose(found, a, rtol=1e-12, atol=1e-14)
        if block_size == 4:
            np.testing.assert_allclose(curvature.dense(matrix, systems.like(), block_size=block_size), a, atol=1e-12)
            assert stream.passes == 3


def test_the_dense_hessian_of_a_network():
    with jax.enable_x64(True):
        p = nets.problem("tied")
        form = jax.jit(lambda q: curvature.dense(nets.made("hessian", p)(q, p.data), q, block_size=5))
        found = form(p.params)
        np.testing.assert_allclose(found, nets.dense("hessian", p), rtol=1e-10, atol=1e-12)


def test_a_factor_is_kept_for_many_blocks_and_passes_through_jit():
    traced = []

    @jax.jit
    def compiled(inverse, rhs):
        traced.append(1)
        return inverse(rhs)

    factorise = jax.jit(lambda m: curvature.factorised(m, systems.like(), damping=0.1, tolerance=1e-10))
    with jax.enable_x64(True):
        for condition in (10.0, 100.0):
            a = systems.spd(condition)
            inverse = factorise(systems.operator(a))
            for seed in range(2):
                b = systems.random_rows(3, seed)
                x, info = compiled(inverse, systems.block(b))
                np.testing.assert_allclose(systems.rows(x), np.linalg.solve(a + 0.1 * np.eye(10), b.T).T, rtol=1e-9)
                assert info.converged.all()
                assert int(info.steps) == 0
    assert len(traced) == 1


def test_right_hand_sides_of_other_parameters_are_refused():
    inverse = jax.eval_shape(lambda: curvature.factorised(lambda v: v, systems.like(), damping=0.1))
    good = systems.block(systems.random_rows(2).astype(np.float32))
    for bad, message in (
        ({"a": good["a"]}, "lacks"),
        ({**good, "b": good["b"][:, :3]}, "shape"),
        (good["a"], "struct"),
    ):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(inverse, bad)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_singular_matrix_without_damping_is_named(dtype):
    """Of rank 9 exactly, but for the rounding of the products that made it."""
    with jax.enable_x64(dtype == np.float64):
        factorise = jax.jit(lambda m: curvature.factorised(m, systems.like()))
        for seed in range(5):
            rows = np.random.default_rng(seed).normal(size=(9, 10)).astype(dtype)
            x, info = apply(factorise(systems.operator(rows.T @ rows)), systems.block(rows[:2]))
            assert (np.asarray(info.status) == Status.NEGATIVE_CURVATURE).all()
            assert not systems.rows(x).any()
            np.testing.assert_allclose(info.residual, 1.0, rtol=1e-6)
            assert "add damping" in curvature.describe(info)


def test_what_single_precision_cannot_reach_is_said():
    a = systems.spd(condition=1e4).astype(np.float32)
    b = systems.block(systems.random_rows(2).astype(np.float32))
    for tolerance, status in ((1e-12, Status.STAGNATED), (1e-4, Status.CONVERGED)):
        _, info = jax.jit(curvature.cholesky(tolerance=tolerance))(systems.operator(a), b)
        assert (np.asarray(info.status) == status).all()
        assert (np.asarray(info.residual) > 1e-12).all()
        assert int(info.steps) == 1


def test_bad_block_sizes_are_refused():
    for make in (curvature.cholesky, lambda **bad: curvature.factorised(lambda v: v, jnp.zeros(2), **bad)):
        with pytest.raises(ValueError, match="block_size"):
            make(block_size=0)
