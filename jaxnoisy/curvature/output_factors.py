"""Vectors at a model's outputs whose outer products sum, or average, to the curvature of the loss there."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnoisy.types import Array, Key, PyTree

OutputLoss = Callable[[PyTree, PyTree], Array]


def exact(loss: OutputLoss, outputs: PyTree, targets: PyTree) -> PyTree:
    """The symmetric S with S S the Hessian of the loss by the outputs, its negative eigenvalues taken as 0.

    Args:
        loss: of one example.
        outputs: of one example, o numbers in all.
        targets: of one example.

    Returns:
        A block of o vectors shaped as the outputs, in their dtypes: the columns of S. Cost: o + 1 gradients of the
        loss and the eigenvectors of (o, o).
    """
    return _shaped(_root(loss, outputs, targets), outputs)


def drawn(loss: OutputLoss, outputs: PyTree, targets: PyTree, key: Key, draws: int) -> PyTree:
    """``draws`` vectors S e / sqrt(draws), with S as in :func:`exact` and e of independent standard normals.

    The expectation of the sum of their outer products is the Hessian.
    """
    root = _root(loss, outputs, targets)
    noise = jax.random.normal(key, (draws, root.shape[1]), root.dtype)
    return _shaped(noise @ root / jnp.sqrt(draws).astype(root.dtype), outputs)


def given(loss: OutputLoss, outputs: PyTree, targets: PyTree) -> PyTree:
    """The gradient of the loss at the targets given, as a block of one."""
    z = _flat(outputs)
    return _shaped(jax.grad(lambda z: loss(_like(z, outputs), targets))(z)[None], outputs)


def _root(loss: OutputLoss, outputs: PyTree, targets: PyTree) -> Array:
    z = _flat(outputs)
    bent = jax.hessian(lambda z: loss(_like(z, outputs), targets))(z)
    values, vectors = jnp.linalg.eigh((bent + bent.T) / 2)
    # The root of a zero that rounding has left would be far above rounding itself.
    floor = 10 * len(z) * jnp.finfo(z.dtype).eps * jnp.max(jnp.abs(values))
    return vectors * jnp.sqrt(jnp.where(values > floor, values, 0)) @ vectors.T


def _flat(outputs: PyTree) -> Array:
    leaves = [a.reshape(-1) for a in jax.tree.leaves(outputs)]
    return jnp.concatenate(leaves, dtype=jnp.result_type(jnp.float32, *leaves))


def _like(z: Array, outputs: PyTree) -> PyTree:
    """The outputs from one vector, in its dtype."""
    leaves, structure = jax.tree.flatten(outputs)
    found: list[Any] = []
    for a in leaves:
        found.append(z[: a.size].reshape(a.shape))
        z = z[a.size :]
    return jax.tree.unflatten(structure, found)


def _shaped(rows: Array, outputs: PyTree) -> PyTree:
    return jax.tree.map(lambda z, a: z.astype(a.dtype), jax.vmap(lambda z: _like(z, outputs))(rows), outputs)
