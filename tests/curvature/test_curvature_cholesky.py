import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest
import systems

from jaxnoisy import curvature
from jaxnoisy.curvature import Status


@pytest.mark.parametrize("block_size", [1, 4, 10, 64])
def test_the_dense_matrix_is_formed_in_blocks(block_size):
    with jax.enable_x64(True):
        a = systems.spd()
        matrix, stream = systems.streamed(a)
        found = jax.jit(lambda m: curvature.dense(m, systems.like(), block_size=block_size))(systems.operator(a))
        np.testing.assert_allclose(found, a, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(curvature.dense(matrix, systems.like(), block_size=block_size), a, atol=1e-12)
        assert stream.passes == -(-10 // min(block_size, 10))


def test_the_dense_hessian_of_a_network():
    with jax.enable_x64(True):
        p = nets.problem("tied")
        form = jax.jit(lambda q: curvature.dense(nets.made("hessian", p)(q, p.data), q, block_size=5))
        found = form(p.params)
        np.testing.assert_allclose(found, nets.dense("hessian", p), rtol=1e-10, atol=1e-12)


def test_a_singular_matrix_without_damping_is_named():
    with jax.enable_x64(True):
        a = np.ones((10, 10))
        a[0, 0] = 0  # exactly indefinite, whatever the rounding
        x, info = curvature.cholesky()(systems.operator(a), systems.block(systems.random_rows(2)))
        assert (np.asarray(info.status) == Status.NEGATIVE_CURVATURE).all()
        assert not systems.rows(x).any()
        np.testing.assert_allclose(info.residual, 1.0)


def test_what_single_precision_cannot_reach_is_said():
    a = systems.spd(condition=1e4).astype(np.float32)
    b = systems.block(systems.random_rows(2).astype(np.float32))
    _, info = curvature.cholesky(tolerance=1e-12)(systems.operator(a), b)
    assert (np.asarray(info.status) == Status.STAGNATED).all()
    assert (np.asarray(info.residual) > 1e-12).all()
    _, info = curvature.cholesky(tolerance=1e-4)(systems.operator(a), b)
    assert info.converged.all()
    assert int(info.steps) == 1
    with pytest.raises(ValueError, match="block_size"):
        curvature.cholesky(block_size=0)
    assert jnp.isfinite(info.residual).all()
