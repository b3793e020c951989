"""The library's own training step and scanned epoch, held ready so that a benchmark can run a few steps at a time."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy.losses import cross_entropy
from jaxnoisy.models import build
from jaxnoisy.training import TrainConfig, functional
from jaxnoisy.training import state as train_state
from jaxnoisy.training.normalize import moments
from jaxnoisy.training.optimizer import optimizer
from jaxnoisy.training.step import Batch, scanned_epoch, train_step

NUM_CLASSES = 10


class Loop:
    """Training that goes on from call to call: ``loop()`` does ``steps`` steps, and waits for them.

    Args:
        model: a name that :func:`jaxnoisy.models.build` knows.
        inputs, labels: (n, ...) and (n,) on the host. The trace has n rows; each call takes ``steps`` batches of them.
        config: of the run; ``config.epochs`` columns are recorded, then written over from the first.
        steps: a call.
        scan: the epoch as one compiled scan over inputs on the device; else one compiled step, called again and again.
        probabilities: record the mean class probabilities too.
        dtype, options: of the model.

    Attributes:
        compile_seconds: spent compiling, before the first call.
        parameters: p.
    """

    def __init__(
        self,
        model: str,
        inputs: np.ndarray,
        labels: np.ndarray,
        config: TrainConfig,
        *,
        steps: int,
        scan: bool,
        probabilities: bool = False,
        dtype: str = "float32",
        **options: Any,
    ) -> None:
        n = len(labels)
        key = jax.random.key(config.seed)
        shape = inputs.shape[1:]
        network, params, rest = functional(
            build(model, input_shape=shape, num_classes=NUM_CLASSES, key=key, dtype=dtype, **options)
        )
        self.parameters = sum(x.size for x in jax.tree.leaves(params))
        tx = optimizer(config, steps_per_epoch=steps)
        self._state = train_state.initial(
            params,
            rest,
            tx,
            config,
            n=n,
            num_classes=NUM_CLASSES,
            probabilities=probabilities,
            columns=config.epochs,
        )
        step = train_step(network, cross_entropy, tx, config, moments(inputs[:1024]))
        rows = np.random.default_rng(config.seed).permutation(n)[: steps * config.batch_size].astype(np.int32)
        started = time.perf_counter()
        self._advance = self._scanned(step, config, inputs, labels, rows) if scan else None
        if self._advance is None:
            self._advance = self._stepped(step, config, inputs, labels, rows)
        self.compile_seconds = time.perf_counter() - started

    def _scanned(self, step, config, inputs, labels, rows):
        fixed = jax.device_put((inputs, labels, np.ones(len(labels), np.float32), rows))
        epoch = jax.jit(scanned_epoch(step, config, len(labels)), donate_argnums=0).lower(self._state, *fixed).compile()
        return lambda state: epoch(state, *fixed)[0]

    def _stepped(self, step, config, inputs, labels, rows):
        weights = np.ones(config.batch_size, np.float32)
        parts = rows.reshape(-1, config.batch_size)
        batches = [jax.device_put(Batch(inputs[part], labels[part], weights, part)) for part in parts]
        key = jax.random.key(config.seed)
        one = jax.jit(step, donate_argnums=0).lower(self._state, batches[0], key).compile()

        def advance(state):
            for batch in batches:
                state, _ = one(state, batch, key)
            return state._replace(epoch=jnp.add(state.epoch, 1))

        return advance

    def __call__(self) -> None:
        """Do ``steps`` more steps."""
        self._state = jax.block_until_ready(self._advance(self._state))


def random_images(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise in the form of CIFAR-10: uint8 (n, 32, 32, 3), int32 (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, NUM_CLASSES, n, dtype=np.int32)
    return rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), labels


def random_features(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian features, float32 (n, d), int32 (n,)."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d), dtype=np.float32), rng.integers(0, NUM_CLASSES, n, dtype=np.int32)
