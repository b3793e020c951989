"""Training on tasks of one size, compiled once for all of them: by given weights, and by weights that are learned."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import common
import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import weights
from jaxnoisy.data import Dataset, make
from jaxnoisy.dynamics import Trace, recorder
from jaxnoisy.losses import cross_entropy
from jaxnoisy.models import build
from jaxnoisy.training import TrainConfig, functional
from jaxnoisy.training import state as train_state
from jaxnoisy.training.normalize import Moments
from jaxnoisy.training.optimizer import optimizer
from jaxnoisy.training.parts import chooser
from jaxnoisy.training.recipes import recipe
from jaxnoisy.training.step import scanned_epoch, train_step
from jaxnoisy.types import PyTree

MODEL = "mlp"
START = 2
"""Epochs before LSW begins to learn weights, as in the paper."""


class Sizes(NamedTuple):
    """Of a task: n training and m clean examples of d features in c classes; epochs, and widths of hidden layers."""

    n: int
    m: int
    d: int
    c: int
    epochs: int
    hidden: tuple[int, ...] = (512,)

    def config(self, rate: float | None = None) -> TrainConfig:
        """The library's recipe, by default with its learning rate."""
        return recipe(MODEL, self._like(self.n), epochs=self.epochs, learning_rate=rate)

    def _like(self, n: int) -> Dataset:
        names = [str(k) for k in range(self.c)]
        return make(np.zeros((n, self.d), np.float32), np.arange(n) % self.c, class_names=names)

    def network(self, seed: int) -> tuple[Any, PyTree, PyTree]:
        """The library's perceptron."""
        key = jax.random.key(seed)
        return functional(build(MODEL, input_shape=(self.d,), num_classes=self.c, key=key, hidden=self.hidden))


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

    ``part`` names the parameters through whose step weights act, ``every`` the steps between look-aheads, which then
    move weights as many times as far, as in the library's own training.
    """
    options = dict(chosen)
    every = options.pop("every", 1)
    if rule == "lsw":
        options["rate"] = every * options.get("rate", weights.RATE)
    config, (n, m, *_) = sizes.config(), sizes
    steps = n // config.batch_size
    made, tx = _rule(sizes, rule, steps, **options)
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


def _rule(sizes: Sizes, rule: str, steps: int, *, part: str = "body", **options: Any) -> tuple[weights.Learner, Any]:
    """One of the library's rules, and the optimizer of the model."""
    tx, logits = optimizer(sizes.config(), steps_per_epoch=steps), forward(sizes)

    def losses(params: PyTree, examples: Any) -> Any:
        inputs, labels = examples
        return cross_entropy(logits(params, inputs), labels)

    rules = {"lsw": weights.lsw, "l2rw": weights.l2rw, "mwnet": functools.partial(weights.mwnet, jax.random.key(0))}
    only = chooser(part, parameters(sizes, 0))
    return rules[rule](losses, lambda params, clean: losses(params, clean).sum(), tx, only=only, **options), tx


def step_costs(sizes: Sizes, parts: tuple[str, ...], *, rounds: int = 40, calls: int = 5) -> dict[str, dict[str, Any]]:
    """What a step of LSW that looks ahead takes beside one that does not, by part.

    Operations are XLA's account of them, seconds are taken in turns.
    """
    batch, learners = sizes.config().batch_size, {part: _rule(sizes, "lsw", 10, part=part) for part in parts}
    rng, params = np.random.default_rng(0), parameters(sizes, 0)
    made, tx = learners[parts[0]]
    rows = jnp.arange(batch, dtype=jnp.int32)

    def examples(k: int) -> Any:
        return jnp.asarray(rng.normal(size=(k, sizes.d)), jnp.float32), jnp.asarray(rng.integers(0, sizes.c, k))

    held = (made.init(sizes.n), params, tx.init(params), rows, examples(batch))
    looked = (*held, examples(min(weights.CLEAN_BATCH, sizes.m)))
    plain = jax.jit(made.hold).lower(*held).compile()
    steps = {part: jax.jit(one.learn).lower(*looked).compile() for part, (one, _) in learners.items()}

    def loop(step: Any, given: Any) -> Callable[[], None]:
        def run() -> None:
            for _ in range(calls):
                done = step(*given)
            jax.block_until_ready(done)

        return run

    loops = {"plain": loop(plain, held), **{part: loop(step, looked) for part, step in steps.items()}}
    seconds = {name: np.array(values) for name, values in common.interleaved(loops, rounds=rounds).items()}
    operations = plain.cost_analysis()["flops"]
    return {
        part: {
            "operations": step.cost_analysis()["flops"] / operations,
            "seconds": common.spread(seconds[part] / seconds["plain"]),
        }
        for part, step in steps.items()
    }
