"""Flax models, NNX and Linen, through the same functions of parameters that products take."""

import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest
from flax import linen, nnx
from jax.flatten_util import ravel_pytree

from jaxnoisy import curvature
from jaxnoisy.curvature import kronecker
from jaxnoisy.models import CNN

N, CLASSES = 6, 3


class LinenCNN(linen.Module):
    """:class:`jaxnoisy.models.CNN` of one convolution, in evaluation mode."""

    @linen.compact
    def __call__(self, x):
        y = linen.Conv(4, (3, 3), use_bias=False, name="conv")(x)
        y = linen.BatchNorm(use_running_average=True, epsilon=1e-5, name="norm")(y)
        return linen.Dense(CLASSES, name="head")(jax.nn.relu(y.max(axis=(1, 2))))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=(N, 4, 4, 2)), jnp.float32), jnp.asarray(rng.integers(0, CLASSES, N), jnp.int32)


@pytest.fixture(scope="module")
def nnx_model():
    """The model as a function, and its parameters; the running statistics are not those it starts with."""
    network = CNN(num_classes=CLASSES, in_channels=2, widths=(4,), patch=1, rngs=nnx.Rngs(0))
    network.eval()
    network.norms[0].mean[...] = jnp.linspace(-0.2, 0.3, 4)
    network.norms[0].var[...] = jnp.linspace(0.5, 2.0, 4)
    network.norms[0].scale[...] = jnp.linspace(0.7, 1.4, 4)
    graphdef, params, rest = nnx.split(network, nnx.Param, ...)
    return (lambda p, x: nnx.merge(graphdef, p, rest)(x[None])[0]), params


@pytest.fixture(scope="module")
def ours(nnx_model, data):
    return curvature.ekfac(nnx_model[0], nets.cross_entropy, batch_size=4)(nnx_model[1], data)


def test_batch_norm_keeps_its_diagonal_and_everything_else_its_layers(nnx_model, ours, data):
    (model, params), matrix = nnx_model, ours
    assert [(i.kind, i.rows, i.columns, i.positions) for i in matrix.info.layers] == [
        ("convolution", 18, 4, 16),
        ("dense", 5, 3, 1),
    ]
    assert all("norms" in i.parameter for i in matrix.info.diagonal)
    assert len(matrix.info.diagonal) == 2
    dense = nets.dense("gauss_newton", nets.Problem(model, params, data, nets.cross_entropy))

    @jax.jit
    def basis(matrix):
        flat, unravel = ravel_pytree(params)
        inside = lambda v: jnp.concatenate([a.ravel() for a in kronecker.rotated(matrix, unravel(v))])  # noqa: E731
        return jax.vmap(inside)(jnp.eye(flat.size)), jnp.concatenate([a.ravel() for a in kronecker.eigenvalues(matrix)])

    u, e = (np.asarray(a, np.float64) for a in basis(matrix))
    expected = np.diag(u.T @ dense @ u)
    np.testing.assert_allclose(e, expected, atol=1e-5 * expected.max())


def test_linen_and_nnx_give_the_same(nnx_model, ours, data):
    model, params = nnx_model
    module = LinenCNN()
    variables = {
        "conv": {"kernel": params["convs"][0]["kernel"][...]},
        "norm": {"scale": params["norms"][0]["scale"][...], "bias": params["norms"][0]["bias"][...]},
        "head": {"kernel": params["head"]["kernel"][...], "bias": params["head"]["bias"][...]},
    }
    statistics = {"norm": {"mean": jnp.linspace(-0.2, 0.3, 4), "var": jnp.linspace(0.5, 2.0, 4)}}

    def linen_model(p, x):
        return module.apply({"params": p, "batch_stats": statistics}, x[None])[0]

    def forms(model, matrix, params):
        return curvature.ekfac_quadratic_forms(model, nets.cross_entropy, damping=0.1)(matrix, params, data)

    theirs = curvature.ekfac(linen_model, nets.cross_entropy, batch_size=4)(variables, data)
    found, expected = forms(linen_model, theirs, variables), forms(model, ours, params)
    assert {(i.kind, i.rows, i.columns) for i in theirs.info.layers} == {
        (i.kind, i.rows, i.columns) for i in ours.info.layers
    }
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(found, expected, rtol=2e-4)
