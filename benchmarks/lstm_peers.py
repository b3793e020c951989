"""The detector's network in Flax, in PyTorch, and with the input projections of all steps as one product."""

import functools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxnoisy.detect import LSTMConfig, lstm_network
from jaxnoisy.detect.lstm_fit import Split, fit


@jax.jit
def _flax(weights: Any, x: jax.Array) -> jax.Array:
    for layer in weights.layers:
        hidden = layer.recurrent.shape[0]
        cell = nnx.OptimizedLSTMCell(layer.kernel.shape[0], hidden, rngs=nnx.Rngs(0))
        cell.dense_i.kernel[...] = layer.kernel
        cell.dense_h.kernel[...] = layer.recurrent
        cell.dense_h.bias[...] = layer.bias
        zeros = jnp.zeros((len(x), hidden))
        x = nnx.RNN(cell)(x, initial_carry=(zeros, zeros))
    return x[:, -1] @ weights.head + weights.offset


@jax.jit
def _hoisted(weights: Any, x: jax.Array) -> jax.Array:
    x = jnp.swapaxes(x, 0, 1)
    for kernel, recurrent, bias in weights.layers:

        def step(state: Any, z: jax.Array, recurrent: jax.Array = recurrent) -> Any:
            c, h = state
            i, f, g, o = jnp.split(z + h @ recurrent, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (c, h), h

        zeros = jnp.zeros((x.shape[1], recurrent.shape[0]))
        _, x = jax.lax.scan(step, (zeros, zeros), x @ kernel + bias)
    return x[-1] @ weights.head + weights.offset


def flax_logits(weights: Any, values: np.ndarray) -> np.ndarray:
    return lstm_network.in_blocks(functools.partial(_flax, weights), values)


def hoisted_logits(weights: Any, values: np.ndarray) -> np.ndarray:
    return lstm_network.in_blocks(functools.partial(_hoisted, weights), values)


class _Torch:
    """Two layers and a head, gates in PyTorch's order, which is ours."""

    def __init__(self, hidden: int) -> None:
        import torch

        self.lstm = torch.nn.LSTM(1, hidden, num_layers=2, batch_first=True)
        self.head = torch.nn.Linear(hidden, 1)
        self.parameters = [*self.lstm.parameters(), *self.head.parameters()]

    def __call__(self, x: Any) -> Any:
        return self.head(self.lstm(x)[0][:, -1])[:, 0]


def torch_scorer(weights: Any, values: np.ndarray, block: int, *, side_by_side: bool) -> Callable[[], np.ndarray]:
    """PyTorch with all its threads on a block after the other, or with one thread on as many blocks as cores."""
    import torch

    def tensor(array: Any) -> torch.Tensor:
        return torch.tensor(np.asarray(array).T)

    network = _Torch(len(weights.head))
    with torch.no_grad():
        for i, layer in enumerate(weights.layers):
            getattr(network.lstm, f"weight_ih_l{i}").copy_(tensor(layer.kernel))
            getattr(network.lstm, f"weight_hh_l{i}").copy_(tensor(layer.recurrent))
            getattr(network.lstm, f"bias_ih_l{i}").copy_(tensor(layer.bias))
            getattr(network.lstm, f"bias_hh_l{i}").zero_()
        network.head.weight.copy_(tensor(weights.head)[None])
        network.head.bias.copy_(tensor(weights.offset)[None])

    cores = len(os.sched_getaffinity(0))

    def logits(start: int) -> torch.Tensor:
        with torch.inference_mode():
            return network(torch.from_numpy(values[start : start + block]))

    def run() -> np.ndarray:
        torch.set_num_threads(1 if side_by_side else cores)
        with ThreadPoolExecutor(cores if side_by_side else 1) as pool:
            return torch.cat(list(pool.map(logits, range(0, len(values), block)))).numpy()

    return run


def fit_steps(
    values: np.ndarray, flips: np.ndarray, steps: int, batch: int, hidden: int, seed: int
) -> tuple[Callable[[], Any], float]:
    """One epoch of ``steps`` batches by the library, and the seconds that it took to compile. Two rows are held out."""
    config = LSTMConfig(epochs=1, batch_size=batch, hidden=hidden)
    weights = lstm_network.init(jax.random.key(seed), signals=1, hidden=hidden, layers=2)
    split = Split(np.arange(2, len(values)), np.array([0]), np.array([1]))
    arguments = jax.device_put((jax.random.key(seed), weights, values, flips, split, np.float32(config.learning_rate)))
    started = time.perf_counter()
    compiled = jax.jit(fit, static_argnames="config").lower(*arguments, config=config).compile()
    seconds = time.perf_counter() - started
    return lambda: jax.block_until_ready(compiled(*arguments)), seconds


def torch_steps(values: np.ndarray, flips: np.ndarray, batch: int, hidden: int) -> Callable[[], None]:
    import torch

    network = _Torch(hidden)
    optimizer = torch.optim.AdamW(network.parameters, lr=3e-3)
    x, y = torch.from_numpy(values[2:]), torch.from_numpy(flips[2:].astype(np.float32))

    def run() -> None:
        for rows in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(network(x[rows]), y[rows]).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters, 1.0)
            optimizer.step()

    return run
