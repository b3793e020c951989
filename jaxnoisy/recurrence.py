"""LSTM layers as pure functions of their arrays, without Flax: detectors read them, a Flax model wraps them."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnoisy import check
from jaxnoisy.types import Array, ArrayLike, Key


class LSTMLayer(NamedTuple):
    """The arrays of one layer; the gates lie side by side in the order input, forget, candidate, output.

    Attributes:
        kernel: (d, 4 h), applied to the layer's input.
        recurrent: (h, 4 h), applied to the layer's own state one step before.
        bias: (4 h,).
    """

    kernel: ArrayLike
    recurrent: ArrayLike
    bias: ArrayLike


def init(key: Key, *, features: int, hidden: int, layers: int) -> tuple[LSTMLayer, ...]:
    """Draw a stack of layers in float32.

    Input kernels are LeCun normal. Each gate has its own orthogonal recurrent matrix. Biases are zero but for the
    forget gate's, which are 1: a state is then kept by default, and gradients reach early steps from the start (Gers et
    al. 2000; Jozefowicz et al. 2015, section 2.2).

    Args:
        key: a typed key.
        features: d, the signals of the input.
        hidden: h, the width of every layer.
        layers: how many.

    Example:
        >>> import jax
        >>> [layer.kernel.shape for layer in init(jax.random.key(0), features=1, hidden=8, layers=2)]
        [(1, 32), (8, 32)]
    """
    check.typed_key(key)
    for name, value in (("features", features), ("hidden", hidden), ("layers", layers)):
        check.positive_int(value, name=name)
    orthogonal, normal = jax.nn.initializers.orthogonal(), jax.nn.initializers.lecun_normal()
    bias = jnp.zeros((4, hidden)).at[1].set(1.0).ravel()
    stack = []
    for number, layer_key in enumerate(jax.random.split(key, layers)):
        first, *gates = jax.random.split(layer_key, 5)
        kernel = normal(first, (hidden if number else features, 4 * hidden))
        recurrent = jnp.concatenate([orthogonal(gate, (hidden, hidden)) for gate in gates], axis=1)
        stack.append(LSTMLayer(kernel, recurrent, bias))
    return tuple(stack)


def last_state(layers: Sequence[LSTMLayer], inputs: Array) -> Array:
    """The output of the last layer after the last step, from a state of zeros.

    With z = x W + h U + b split in four, layer by layer (Hochreiter and Schmidhuber 1997, with the forget gate of Gers
    et al. 2000)::

        c' = sigmoid(z_f) c + sigmoid(z_i) tanh(z_g),    h' = sigmoid(z_o) tanh(c')

    Args:
        layers: from :func:`init`; each takes what the one before gives.
        inputs: (n, t, d) floats.

    Returns:
        (n, h). Cost: about 8 h (d + h) t multiply-adds and 5 h t hyperbolic tangents per example and layer; nothing of
        size n t is kept besides the inputs, unless gradients are taken.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> last_state(init(jax.random.key(0), features=1, hidden=8, layers=2), jnp.ones((3, 5, 1))).shape
        (3, 8)
    """
    hidden = layers[0].recurrent.shape[0]
    # sigmoid(z) = tanh(z / 2) / 2 + 1 / 2: with the halves folded into the weights, one tangent over contiguous memory
    # serves all four gates.
    scale = jnp.repeat(jnp.array([0.5, 0.5, 1.0, 0.5], inputs.dtype), hidden)
    shift = 1 - scale
    scaled = [LSTMLayer(*(array * scale for array in layer)) for layer in layers]

    # All layers advance in the same step. A scan per layer would write out the states of every step in between, and
    # projecting all of them at once four times as much: on CPUs that memory costs more than the larger product saves.
    def step(states: list[tuple[Array, Array]], x: Array) -> tuple[list[tuple[Array, Array]], None]:
        advanced = []
        for layer, (c, h) in zip(scaled, states, strict=True):
            z = x @ layer.kernel + h @ layer.recurrent + layer.bias
            i, f, g, o = jnp.split(jnp.tanh(z) * scale + shift, 4, axis=-1)
            c = f * c + i * g
            x = o * jnp.tanh(c)
            advanced.append((c, x))
        return advanced, None

    zeros = jnp.zeros((inputs.shape[0], hidden), inputs.dtype)
    states, _ = jax.lax.scan(step, [(zeros, zeros)] * len(layers), jnp.swapaxes(inputs, 0, 1))
    return states[-1][1]
