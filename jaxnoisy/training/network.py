"""A Flax NNX module as pure functions of its parameters and its other state."""

from collections.abc import Callable
from typing import Any, NamedTuple

from flax import nnx

from jaxnoisy.types import Array, PyTree


class Network(NamedTuple):
    """Pure functions of one architecture; jit, grad and vmap apply as to any function.

    Attributes:
        train: (params, rest, inputs) -> (logits, rest): training mode; ``rest`` holds batch statistics and the like.
        evaluate: (params, rest, inputs) -> logits: evaluation mode, nothing changes.
        merge: (params, rest) -> the module, for whoever wants it back.
    """

    train: Callable[[PyTree, PyTree, Array], tuple[Array, PyTree]]
    evaluate: Callable[[PyTree, PyTree, Array], Array]
    merge: Callable[[PyTree, PyTree], nnx.Module]


def functional(model: nnx.Module) -> tuple[Network, PyTree, PyTree]:
    """Split a module into ``(network, params, rest)``; the module itself is left as it is.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from flax import nnx
        >>> network, params, rest = functional(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
        >>> network.evaluate(params, rest, jnp.ones((5, 3))).shape
        (5, 2)
    """
    training = nnx.view(model, deterministic=False, use_running_average=False, raise_if_not_found=False)
    evaluation = nnx.view(model, deterministic=True, use_running_average=True, raise_if_not_found=False)
    train_graph, params, rest = _split(training)
    eval_graph, _, _ = _split(evaluation)

    def train(params: PyTree, rest: PyTree, inputs: Array) -> tuple[Array, PyTree]:
        # A copy: outside jit the running statistics would otherwise be updated in place in the caller's ``rest``.
        module = nnx.merge(train_graph, params, rest, copy=True)
        logits = module(inputs)
        return logits, _split(module)[2]

    def evaluate(params: PyTree, rest: PyTree, inputs: Array) -> Array:
        return nnx.merge(eval_graph, params, rest)(inputs)

    def merge(params: PyTree, rest: PyTree) -> nnx.Module:
        return nnx.merge(eval_graph, params, rest)

    return Network(train, evaluate, merge), params, rest


def _split(module: nnx.Module) -> tuple[Any, PyTree, PyTree]:
    graph, params, rest = nnx.split(module, nnx.Param, ...)  # type: ignore[misc]  # Flax's stub gives one state only
    return graph, params, rest
