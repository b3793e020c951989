import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest

from jaxnoisy import curvature


@pytest.mark.parametrize("at_once", [2, 3, 8])
def test_blocks_are_multiplied_part_by_part(at_once):
    p = nets.problem("cnn")
    block, v = nets.vectors(p.params, 5)
    seen = []

    def product(vector):
        seen.append(1)  # once for each program that is traced
        return jax.tree.map(lambda a: 3 * a, vector)

    found = curvature.stepwise(product, at_once=at_once).block(block)
    np.testing.assert_allclose(nets.as_matrix(found), 3 * v, rtol=1e-6)
    assert len(seen) == 1  # the last part has the shape of the others


def test_a_solver_converges_on_it_as_on_the_matrix():
    p = nets.problem("cnn")
    matrix = curvature.gauss_newton(p.model, p.output_loss)(p.params, p.data)
    rhs, b = nets.vectors(p.params, 3)
    x, info = curvature.block_cg(damping=0.1)(curvature.stepwise(matrix, at_once=2), rhs)
    assert info.converged.all()
    a = np.asarray(nets.dense("gauss_newton", p), np.float64) + 0.1 * np.eye(b.shape[1])
    np.testing.assert_allclose(nets.as_matrix(x), np.linalg.solve(a, b.T).T, rtol=1e-3, atol=1e-3)


def test_what_is_streamed_stays_as_it_is():
    streamed = curvature.Operator(lambda block: block, streamed=True)
    assert curvature.stepwise(streamed) is streamed
    with pytest.raises(ValueError, match="at_once"):
        curvature.stepwise(lambda v: v, at_once=0)
    with pytest.raises(TypeError, match="products"):
        curvature.stepwise(jnp.eye(2))
