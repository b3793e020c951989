"""BHN: losses of examples that a model has not seen, compared with those of clean examples that it has not seen."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.audit.beyond import Beyond, Found, Prepared, Runs, Task
from jaxnoisy.data.clean import describe_clean
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.detect import bhn
from jaxnoisy.timing import timed
from jaxnoisy.training import Fit, predict
from jaxnoisy.training.recipes import batch_for, objective

WAYS = ("halves", "clean")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bhn(Beyond):
    """BHN by models of its own, since that of the main run has learned the labels it would have to judge.

    Attributes:
        fdr_level: the most that the expected share of right labels among those flagged may be, see
            :func:`jaxnoisy.detect.bhn`.
        learn_from: "clean": a model trained on half of the clean examples judges all, and the other half calibrates, as
            the paper has it. "halves": each half of the training data is judged by a model that was trained on the
            other half, and all clean examples calibrate; for few clean examples, and where wrong labels fall on all
            classes alike. Where a class is mostly taken for one other, models of noisy labels learn that, and this
            finds nothing (benchmarks/lsw.py).
    """

    name: ClassVar[str] = "bhn"
    runs: ClassVar[int] = 1
    needs_clean: ClassVar[bool] = True

    fdr_level: float = 0.1
    learn_from: str = "clean"

    def prepare(self, task: Task) -> Prepared:
        """Draw the halves.

        Raises:
            ValueError: a level out of range, another way, halves that do not hold two classes to learn from, or a class
                with one clean example, which cannot be both learned and compared with.
        """
        check.one_of(self.learn_from, WAYS, name="learn_from")
        detect = bhn(level=self.fdr_level)
        data, clean = task.data, task.clean_examples
        parted = data if self.learn_from == "halves" else clean
        second = halves(jax.random.fold_in(jax.random.key(task.seed), 4), parted.labels)
        for half in (~second, second) if self.learn_from == "halves" else (~second,):
            if len(np.unique(parted.labels[half])) < 2:
                raise ValueError(
                    f"bhn trains on half of the {len(parted)} {self._parted}, but a half of them does not hold two "
                    "classes: give more, or leave out bhn"
                )

        alone = np.flatnonzero(np.bincount(clean.labels, minlength=clean.num_classes) == 1)
        if self.learn_from == "clean" and len(alone):
            raise ValueError(
                "bhn learns from half of the clean examples of each class and compares with the others, but class "
                f"{clean.class_names[alone[0]]} has one only: give two or more, let halves of the training data judge "
                "each other (--learn-from halves), or leave out bhn"
            )

        def find(runs: Runs) -> Found:
            judges, calibration = np.zeros(len(data), int), clean
            if self.learn_from == "clean":
                calibration, parts = clean.take(second), {"bhn-clean": clean.take(~second)}
            else:
                judges, parts = second.astype(int), {"bhn-a": data.take(second), "bhn-b": data.take(~second)}
            # Clean examples are few, and a batch of the main run's size would make few steps of them.
            steps_enough = batch_for(min(map(len, parts.values()))) if self.learn_from == "clean" else None
            scores, ordinary = np.empty(len(data)), []
            for judge, (name, learned) in enumerate(parts.items()):
                with timed(runs.timings, "train bhn"):
                    done = runs.train(name, learned, batch_size=steps_enough)
                with timed(runs.timings, "detect bhn"):
                    scores[judges == judge] = losses(done, data.take(judges == judge))
                    ordinary.append(losses(done, calibration))
            found = detect(scores, np.stack(ordinary), judges)
            return Found(found, {**notes, "largest_p_value": found.info.largest, "at_least": found.info.enough})

        notes: dict[str, Any] = {**dataclasses.asdict(self), **describe_clean(clean, data)}
        return find

    @property
    def _parted(self) -> str:
        return "training examples" if self.learn_from == "halves" else "clean examples"


def halves(key: jax.Array, labels: np.ndarray) -> np.ndarray:
    """(n,) bool, a random half of every class, rounded down or up in turns."""
    drawn = np.asarray(jax.random.uniform(key, (len(labels),)))
    order = np.lexsort((drawn, labels))
    second = np.zeros(len(labels), bool)
    second[order[1::2]] = True
    return second


def losses(done: Fit, data: Dataset) -> np.ndarray:
    """(n,) the loss of the given label of each example in evaluation mode."""
    params, rest = jax.device_put(jax.device_get((done.state.params, done.state.rest)))
    logits = predict(done.network, params, rest, done.scale, data.inputs)
    return np.asarray(objective(data)(jnp.asarray(logits), jnp.asarray(data.labels)), np.float64)
