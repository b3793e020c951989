"""Training on tasks of one size, compiled once for all of them: by given weights, and by weights that are learned."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import weights
from jaxnoisy.data import Dataset, make
from jaxnoisy.dynamics import Trace, recorder
from jaxnoisy.losses import cross_entropy
from jaxnoisy.training import TrainConfig, functional
from jaxnoisy.training import state as train_state
from jaxnoisy.training.normalize import Moments
from jaxnoisy.training.optimizer import optimizer
from jaxnoisy.training.recipes import recipe
from jaxnoisy.training.step import scanned_epoch, train_step
from jaxnoisy.training.trained import start
from jaxnoisy.types import PyTree

MODEL = "mlp"
START = 2
"""Epochs before LSW begins to learn weights, as in the paper."""

PARTS: dict[str, Callable[[str, Any], bool] | None] = {
    "all": None,
    "body": lambda path, leaf: "head" not in path,
    "head": lambda path, leaf: "head" in path,
}


class Sizes(NamedTuple):
    """Of a task: n training and m clean examples of d features in c classes; and epochs."""

    n: int
    m: int
    d: int
    c: int
    epochs: int

    def config(self, rate: float | None = None) -> TrainConfig:
        """The library's recipe, by default with its learning rate."""
        return recipe(MODEL, self._like(self.n), epochs=self.epochs, learning_rate=rate)

    def _like(self, n: int) -> Dataset:
        names = [str(k) for k in range(self.c)]
        return make(np.zeros((n, self.d), np.float32), np.arange(n) % self.c, class_names=names)

    def network(self, seed: int) -> tuple[Any, PyTree, PyTree]:
        """The library's perceptron."""
        return functional(start(MODEL, self._like(self.c), seed=seed))


class Run(NamedTuple):
    """A run: parameters at its end and after every epoch, and the dynamics of all n + m examples."""

    params: PyTree
    history: list[PyTree]
    trace: Trace


class Learned(NamedTuple):
    """A run that learned weights: parameters, (n,) weights in the end, and (n, t) those used in each epoch."""

    params: PyTree
    weights: np.ndarray
    used: np.ndarray


def parameters(sizes: Sizes, seed: int) -> PyTree:
    """To begin with."""
    return sizes.network(seed)[1]


@functools.cache
def forward(sizes: Sizes) -> Callable[[PyTree, Any], Any]:
    """``logits(params, inputs) -> (b, c)``, compiled."""
    network, _, rest = sizes.network(0)
    return jax.jit(lambda params, inputs: network.train(params, rest, inputs)[0])


@functools.cache
def trainer(sizes: Sizes, loss: Any = None, rate: float | None = None) -> Callable[..., Run]:
    """Make ``train(params, inputs, labels, weights) -> Run`` on n + m examples; those of weight 0 teach nothing.

    Every run takes as many steps, whatever it is kept from learning.
    """
    config, total = sizes.config(rate), sizes.n + sizes.m
    network, _, rest = sizes.network(0)
    tx = optimizer(config, steps_per_epoch=-(-total // config.batch_size))
    unscaled = Moments(np.zeros(sizes.d, np.float32), np.ones(sizes.d, np.float32))
    step = train_step(network, loss or cross_entropy, tx, config, unscaled)
    epoch = jax.jit(scanned_epoch(step, config, total))

    def train(params: PyTree, inputs: Any, labels: Any, given: Any) -> Run:
        state = train_state.initial(
            params, rest, tx, config, n=total, num_classes=sizes.c, probabilities=False, columns=config.epochs
        )
        history = []
        for _ in range(config.epochs):
            state, _ = epoch(state, inputs, labels, given, jnp.arange(total, dtype=jnp.int32))
            history.append(state.params)
        trace = recorder.finish(state.recorder, np.asarray(labels), num_classes=sizes.c)
        return Run(state.params, history, trace)

    return train


@functools.cache
def learning(sizes: Sizes, rule: str, chosen: tuple[tuple[str, Any], ...]) -> Callable[..., Learned]:
    """Make ``learn(params, inputs, labels, seed) -> Learned`` by one of the library's rules, with these options of it.

    ``part`` names the parameters through whose step weights act, ``every`` the steps between look-aheads.
    """
    options = dict(chosen)
    every, only = options.pop("every", 1), PARTS[options.pop("part", "all")]
    config, (n, m, *_) = sizes.config(), sizes
    steps = n // config.batch_size
    tx = optimizer(config, steps_per_epoch=steps)
    logits = forward(sizes)

    def losses(params: PyTree, examples: Any) -> Any:
        inputs, labels = examples
        return cross_entropy(logits(params, inputs), labels)

    rules = {"lsw": weights.lsw, "l2rw": weights.l2rw, "mwnet": functools.partial(weights.mwnet, jax.random.key(0))}
    made = rules[rule](losses, lambda params, clean: losses(params, clean).sum(), tx, only=only, **options)
    learn, hold = jax.jit(made.learn), jax.jit(made.hold)
    begins = START * steps if rule == "lsw" else 0

    def run(params: PyTree, inputs: Any, labels: Any, seed: int) -> Learned:
        inputs, labels = np.asarray(inputs), np.asarray(labels)
        rng, state, opt_state = np.random.default_rng(seed), made.init(n), tx.init(params)
        used = np.full((n, config.epochs), np.nan, np.float32)
        for number in range(steps * config.epochs):
            if number % steps == 0:
                order = rng.permutation(n).astype(np.int32)
            at = number % steps * config.batch_size
            rows = order[at : at + config.batch_size]
            batch = (inputs[rows], labels[rows])
            if number >= begins and (number - begins) % every == 0:
                clean = n + rng.permutation(m)[: weights.CLEAN_BATCH]
                done = learn(state, params, opt_state, rows, batch, (inputs[clean], labels[clean]))
            else:
                done = hold(state, params, opt_state, rows, batch)
            state, params, opt_state = done.state, done.params, done.opt_state
            used[rows, number // steps] = done.weights
        return Learned(params, np.asarray(made.weights(state)), used)

    return run
