"""Steps with a look-ahead by the library, timed in turns, and their peak memory."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import jax
import jax.numpy as jnp
import jax_loops
import numpy as np
import optax
from memory import Peak

from jaxnoisy.losses import cross_entropy
from jaxnoisy.models import build
from jaxnoisy.training import functional
from jaxnoisy.training.parts import chooser
from jaxnoisy.weights import lookahead, weighted_step

MODELS: dict[str, dict[str, Any]] = {"mlp": {"hidden": (256,)}, "resnet20": {}}

EVERY = 4

COMPILED = Path(tempfile.gettempdir()) / "jaxnoisy-benchmarks" / "compiled"
"""Where the processes that measure memory find the programs compiled."""

Step = Callable[[Any], Any]
"""(carry) -> carry, where a carry is (params, opt_state, rest, weights)."""


class Steps:
    """A model, a batch and a clean batch, and every kind of step on them, compiled.

    Attributes:
        carry: parameters, optimizer state, batch statistics and (b,) weights to begin with.
        compiled: name -> step; "plain, again" is the same one, and says how exact the comparison is on this host.
        compile_seconds, temporary_bytes: of each of them, the latter by XLA's own account.
        parameters: p.
    """

    def __init__(self, model: str, *, batch: int, seed: int, only: tuple[str, ...] | None = None) -> None:
        jax.config.update("jax_compilation_cache_dir", str(COMPILED))
        images = model != "mlp"
        inputs, labels = (
            jax_loops.random_images(2 * batch, seed) if images else jax_loops.random_features(2 * batch, 512, seed)
        )
        scaled = inputs.astype(np.float32) / 255 - 0.5 if images else inputs
        key = jax.random.key(seed)
        network, params, rest = functional(
            build(model, input_shape=scaled.shape[1:], num_classes=jax_loops.NUM_CLASSES, key=key, **MODELS[model])
        )
        self.parameters = sum(a.size for a in jax.tree.leaves(params))
        tx = optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(0.01, momentum=0.9))
        half = np.arange(2 * batch) < batch
        train, clean = (jax.device_put((scaled[part], labels[part])) for part in (half, ~half))

        def losses(params, given):
            (x, y), rest = given
            logits, new = network.train(params, rest, x)
            return cross_entropy(logits, y), new

        def clean_loss(params, given):
            (x, y), rest = given
            logits, _ = network.train(params, rest, x)
            return cross_entropy(logits, y).sum()

        plain = weighted_step(losses, tx, has_aux=True)

        def stepped(carry):
            params, opt_state, rest, weights = carry
            done = plain(params, opt_state, weights, (train, rest))
            return done.params, done.opt_state, done.aux, weights

        def looked(look):
            def step(carry):
                params, opt_state, rest, weights = carry
                ahead = look(params, opt_state, weights, (train, rest), (clean, rest))
                done = ahead.stepped
                # The weights must move with the gradient, or nothing would ask for it.
                return done.params, done.opt_state, done.aux, jnp.clip(weights - 1e-4 * ahead.gradient, 0.1, 1)

            return step

        make = lambda **chosen: looked(lookahead(losses, clean_loss, tx, has_aux=True, **chosen))  # noqa: E731
        kinds: dict[str, Callable[[], Step]] = {
            "plain": lambda: stepped,
            "plain, again": lambda: stepped,
            "forward": lambda: make(way="forward"),
            "reverse": lambda: make(way="reverse"),
            "forward, body": lambda: make(way="forward", only=chooser("body", params)),
            "forward, last block": lambda: make(way="forward", only=chooser("last-block", params)),
            "forward, head": lambda: make(way="forward", only=chooser("head", params)),
        }
        self.carry = jax.device_put((params, tx.init(params), rest, jnp.full((batch,), 0.5)))
        self.compiled, self.compile_seconds, self.temporary_bytes = {}, {}, {}
        for name, kind in kinds.items():
            if name == "plain, again" and only is None:
                self.compiled[name] = self.compiled["plain"]
            elif only is None or name in only:
                started = time.perf_counter()
                self.compiled[name] = jax.jit(kind()).lower(self.carry).compile()
                self.compile_seconds[name] = time.perf_counter() - started
                self.temporary_bytes[name] = self.compiled[name].memory_analysis().temp_size_in_bytes

    def loop(self, name: str, *, steps: int) -> Callable[[], None]:
        """``steps`` steps a call, from where the last call ended."""
        carry, every = self.carry, name.startswith("forward, every")
        chosen = [self.compiled["forward" if every else name]] * steps
        if every:
            chosen = [self.compiled["forward" if i % EVERY == 0 else "plain"] for i in range(EVERY * steps)]

        def run() -> None:
            nonlocal carry
            for step in chosen:
                carry = step(carry)
            jax.block_until_ready(carry)

        return run


def step_cost(model: str, *, batch: int, steps: int, rounds: int, seed: int) -> dict[str, Any]:
    """Seconds a step of every kind, and what it takes beside the plain one, per round."""
    shutil.rmtree(COMPILED, ignore_errors=True)  # compile times are of programs not seen before
    made = Steps(model, batch=batch, seed=seed)
    names = [*made.compiled, f"forward, every {EVERY}"]
    seconds = common.interleaved({name: made.loop(name, steps=steps) for name in names}, rounds=rounds)
    each = {name: np.array(values) / steps for name, values in seconds.items()}
    each[names[-1]] /= EVERY
    return {
        "step_seconds": {name: common.spread(values) for name, values in each.items()},
        "ratio": {name: common.spread(values / each["plain"]) for name, values in each.items() if name != "plain"},
        "forward_over_reverse": common.spread(each["forward"] / each["reverse"]),
        "compile_seconds": made.compile_seconds,
        "temporary_bytes": made.temporary_bytes,
        "parameters": made.parameters,
    }


def peak_memory(model: str, variant: str, *, batch: int, seed: int) -> dict[str, Any]:
    """Memory above what the process held when the program and its arguments were ready, over five steps."""
    made = Steps(model, batch=batch, seed=seed, only=(variant,))
    run = made.loop(variant, steps=5)
    with Peak() as peak:
        run()
    return peak.bytes
