"""Training dynamics that the studies of the LSTM detector share: taken once, and kept under ``--work``.

A run is a data set, a kind of noise and its rate, a recipe and a seed. The recipe "long" is the paper's on a small
scale, a perceptron that comes to remember wrong labels: SGD with Nesterov momentum, weight decay 1e-4, batches of 128,
the step size a tenth after half and after three quarters of the epochs. Its first step size is not the paper's 0.1, at
which such a network remembers everything within ten epochs, but one that lets an example push its own logit by 25 nats
(see ``gentle_rate``). "short" is what ``jaxnoisy detect`` does by default: 20 epochs and 3 nats. "medium" differs from
"short" in its 10 nats.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import NamedTuple

import common
import jax
import lstm_sets
import numpy as np
from lstm_sets import HUMAN

from jaxnoisy import files
from jaxnoisy.data import Dataset
from jaxnoisy.dynamics import Trace, load
from jaxnoisy.models import build
from jaxnoisy.noise import symmetric
from jaxnoisy.noise.kinds import by_kind
from jaxnoisy.training import TrainConfig, fit, predict
from jaxnoisy.training.loop import Fit
from jaxnoisy.training.normalize import Moments
from jaxnoisy.training.recipes import gentle_rate, recipe

LONG, PUSH, MEDIUM_PUSH = 40, 25.0, 10.0
RECIPES = ("long", "short")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One training to be watched.

    Attributes:
        data: a name that ``lstm_sets.data_set`` knows.
        noise: a kind of label noise, or the name of human labels.
        rate: of wrong labels; of human labels it is what it is.
        recipe: "long", "medium" or "short".
        seed: of noise, network and order.
        added: rate of symmetric noise on top of that, of which alone it is known whom it struck.
    """

    data: str
    noise: str
    rate: float = 0.0
    recipe: str = "long"
    seed: int = 0
    added: float = 0.0

    @property
    def name(self) -> str:
        """Names the file that keeps it."""
        parts = [self.data.replace(" ", "-"), self.noise, f"{self.rate:g}", self.recipe, f"seed{self.seed}"]
        return "_".join(parts + [f"added{self.added:g}"] * bool(self.added))


class Taken(NamedTuple):
    """What a run left.

    Attributes:
        trace: its dynamics.
        flips: (n,) bool, where the label is wrong; of a run with ``added`` noise, where that changed it.
        fitted: share of the given labels that the network gave back in its last epoch.
        test_accuracy: on examples apart, in [0, 1]; NaN where the set has none.
    """

    trace: Trace
    flips: np.ndarray
    fitted: float
    test_accuracy: float


class Traces:
    """Runs by need, from files in ``work`` where they were done before. ``features``: see ``lstm_sets``."""

    def __init__(self, work: Path, features: Path, *, limit: int | None = None) -> None:
        self.work, self.features, self.limit = work, features, limit
        work.mkdir(parents=True, exist_ok=True)
        # Runs that differ in their labels alone share one program.
        jax.config.update("jax_compilation_cache_dir", str(work / "compiled"))

    def __call__(self, run: Run) -> Taken:
        """Load or train. ``limit`` cuts all sets to their first examples: a look whether it works."""
        path = self.work / f"{run.name}{f'_first{self.limit}' if self.limit else ''}.npz"
        about = path.with_suffix(".about.npz")
        if not (path.is_file() and about.is_file()):
            data, flips = self.data(run)
            done = self.trained(run, data)
            assert done.trace is not None
            done.trace.save(path)
            accuracy = np.float64(self.accuracy(run, done))
            files.write_npz(about, {"flips": flips, "fitted": np.float64(done.history[-1].accuracy), "test": accuracy})
        kept = files.read_npz(about)
        return Taken(load(path), kept["flips"], float(kept["fitted"]), float(kept["test"]))

    def data(self, run: Run) -> tuple[Dataset, np.ndarray]:
        """The set under the labels of the run, its true ones beside them, and what is known to be wrong."""
        data = lstm_sets.data_set(run.data, self.features)
        human = lstm_sets.human_labels(run.data, run.noise) if run.noise in HUMAN.get(run.data, ()) else None
        if self.limit:
            data = data.take(np.arange(min(self.limit, len(data))))
        clean, c, key = data.labels, data.num_classes, jax.random.key(1000 + run.seed)
        if human is None:
            groups = lstm_sets.superclasses() if run.noise == "superclass" else None
            corrupt = by_kind(run.noise, num_classes=c, rate=run.rate, groups=groups, features="unit_norm")
            labels = np.asarray(corrupt(key, clean, data.inputs).labels)
        else:
            labels = human[: len(data)]
        flips = labels != clean
        if run.added:
            added = symmetric(num_classes=c, rate=run.added)(jax.random.fold_in(key, 1), labels)
            labels, flips = np.asarray(added.labels), np.asarray(added.mask)
        return data.with_labels(labels, clean_labels=clean), flips

    def trained(
        self, run: Run, data: Dataset, *, keep: np.ndarray | None = None, batch: float = 1.0, record: str = "train"
    ) -> Fit:
        """Train as the run says: on the examples in ``keep``, with batches of ``batch`` times the size."""
        shape, key = data.inputs.shape[1:], jax.random.fold_in(jax.random.key(run.seed), 1)
        network = build("mlp", input_shape=shape, num_classes=data.num_classes, key=key)
        config = config_of(run, data)
        config = dataclasses.replace(config, record=record, batch_size=max(1, round(config.batch_size * batch)))
        d = shape[-1]
        own = Moments(np.zeros(d, np.float32), np.ones(d, np.float32))
        scale = own if lstm_sets.is_features_of_patches(run.data) else None
        return fit(network, data, config, keep=keep, scale=scale, probabilities=record != "none")

    def accuracy(self, run: Run, done: Fit) -> float:
        """On the examples apart."""
        test = lstm_sets.test_set(run.data, self.features)
        if test is None:
            return float("nan")
        logits = predict(done.network, done.state.params, done.state.rest, done.scale, test.inputs)
        return float((logits.argmax(axis=1) == test.labels).mean())


def config_of(run: Run, data: Dataset) -> TrainConfig:
    if run.recipe in ("short", "medium"):
        config = recipe("mlp", data, seed=run.seed)
        if run.recipe == "short":
            return config
        return dataclasses.replace(config, learning_rate=gentle_rate("mlp", data, config, push=MEDIUM_PUSH))
    config = TrainConfig(
        epochs=LONG,
        batch_size=min(128, max(8, 1 << (len(data) // 16).bit_length() - 1)),
        nesterov=True,
        weight_decay=1e-4,
        schedule="step",
        step_epochs=(LONG // 2, 3 * LONG // 4),
        seed=run.seed,
    )
    return dataclasses.replace(config, learning_rate=gentle_rate("mlp", data, config, push=PUSH))


def options(parser: argparse.ArgumentParser, *, seeds: bool = True) -> None:
    """What all studies ask for."""
    parser.add_argument("--work", type=Path, default=lstm_sets.WORK / "traces", help="where dynamics are kept")
    parser.add_argument(
        "--features", type=Path, default=lstm_sets.WORK / "features", help="where patch_features.py keeps its files"
    )
    if seeds:
        parser.add_argument("--seeds", type=common.integers, default=(0, 1, 2))
