"""What the tests of EK-FAC are about: models, and EK-FAC built and formed for them."""

import functools

import jax
import jax.numpy as jnp
import nets
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxnoisy import curvature
from jaxnoisy.curvature import kronecker

N = 11


def _grouped(params, x):
    """A layer used at two places, with its bias; a grouped convolution; scales; a parameter that is not used."""
    conv = functools.partial(jax.lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    y = conv(x[None], params["wide"], (2, 1), "SAME") + params["wide_bias"]
    y = conv(jnp.tanh(y), params["depthwise"], (1, 1), "VALID", feature_group_count=2)[0] * params["scale"]
    h = y.mean((0, 1))
    for _ in range(2):
        h = jnp.tanh(h @ params["twice"] + params["twice_bias"])
    return h @ params["head"]


@functools.cache
def problem(name):
    """Call under ``jax.enable_x64(True)``."""
    if name != "grouped":
        return nets.problem(name, n=N)
    rng = np.random.default_rng(5)
    shapes = {
        **{"wide": (3, 2, 2, 2), "wide_bias": (2,), "depthwise": (2, 2, 1, 2), "scale": (2,), "unused": (3,)},
        **{"twice": (2, 2), "twice_bias": (2,), "head": (2, 3)},
    }
    params = {k: jnp.asarray(rng.normal(size=s)) for k, s in shapes.items()}
    data = jnp.asarray(rng.normal(size=(N, 5, 4, 2))), jnp.asarray(rng.integers(0, 3, N), jnp.int32)
    return nets.Problem(_grouped, params, data, nets.cross_entropy)


NAMES = (*nets.NAMES, "grouped")


def weights():
    return np.random.default_rng(3).uniform(size=N)


@functools.cache
def built(name, **static):
    p = problem(name)
    return curvature.ekfac(p.model, p.output_loss, batch_size=4, **static)(p.params, p.data, weights=weights())


@functools.cache
def dense(name, kind="gauss_newton"):
    return nets.dense(kind, problem(name), weights=weights())


def identity(params):
    flat, unravel = ravel_pytree(params)
    return jax.vmap(unravel)(jnp.eye(flat.size, dtype=flat.dtype))


@jax.jit
def basis(matrix, params):
    """(p, p) with the eigenvectors as columns, and their eigenvalues."""
    flat = lambda v: jnp.concatenate([a.ravel() for a in kronecker.rotated(matrix, v)])  # noqa: E731
    return jax.vmap(flat)(identity(params)), jnp.concatenate([a.ravel() for a in kronecker.eigenvalues(matrix)])


@jax.jit
def products(operator, block):
    return operator.block(block)


def formed(matrix, params):
    u, e = basis(matrix, params)
    return np.asarray(u * e @ u.T)
