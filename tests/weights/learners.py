"""What the tests of rules that learn weights share: a task, each rule on it, compiled once, and what it is held to."""

import functools

import jax
import jax.numpy as jnp
import optax
from weighted_nets import problem

from jaxnoisy import weights as weighting

N = 16
TX = optax.sgd(0.1, momentum=0.9)
ROWS = jnp.array([3, 0, 7, 12, 9, 15])

MAKERS = {
    "lsw": weighting.lsw,
    "lsw-printed": functools.partial(weighting.lsw, reading="printed"),
    "l2rw": weighting.l2rw,
    "mwnet": functools.partial(weighting.mwnet, jax.random.key(0), start="random", normalise="count"),
}


@functools.cache
def task():
    return problem("mlp")


@functools.cache
def made(name):
    p = task()
    learner = MAKERS[name](p.losses, p.clean_loss, TX, has_aux=True)
    return learner._replace(learn=jax.jit(learner.learn), hold=jax.jit(learner.hold))


@functools.cache
def ahead(normalise):
    p = task()
    return jax.jit(weighting.lookahead(p.losses, p.clean_loss, TX, has_aux=True, normalise=normalise))


@functools.cache
def plain_step(normalise):
    return jax.jit(weighting.weighted_step(task().losses, TX, has_aux=True, normalise=normalise))


def start(name):
    return made(name).init(N), task().params, TX.init(task().params)
