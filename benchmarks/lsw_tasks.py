"""The tasks that learned sample weights are measured on: wrong labels, few clean examples apart, and test examples."""

import dataclasses
import functools
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import patch_features

from jaxnoisy.data import Dataset, load, make
from jaxnoisy.noise.kinds import by_kind

NOISES = ("symmetric", "asymmetric", "instance")
RATE = 0.4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How large a task is; the same for all noises and seeds.

    Attributes:
        data: "digits", "cifar10" or "cifar100", the latter two as features that no label has touched, of CIFAR-100 its
            first ten classes.
        train, test: numbers of examples; a class has a tenth of them on average.
        clean: clean examples of each class.
        features: how many of the features that no label has touched, which are principal components, by variance.
    """

    data: str
    train: int
    clean: int
    test: int
    features: int = 128


DIGITS = Plan(data="digits", train=1167, clean=13, test=500)
CIFAR10 = Plan(data="cifar10", train=2700, clean=30, test=5000)
CHOOSING = Plan(data="cifar100", train=2700, clean=30, test=1000)
"""What settings are chosen on: other classes, of another set, than are reported on."""


class Task(NamedTuple):
    """Examples of one task.

    Attributes:
        train: under their given labels; the clean ones are known.
        clean: under clean labels, for methods that need some.
        test: under clean labels; it decides nothing.
    """

    train: Dataset
    clean: Dataset
    test: Dataset


def make_task(plan: Plan, noise: str, seed: int, work: Path) -> Task:
    """Draw the examples, and which labels are wrong, anew for every seed."""
    rng = np.random.default_rng(seed)
    pool, held = _pools(plan.data, plan.features, work)
    rows = rng.permutation(len(pool))
    if held is None:
        test, rows = pool.take(rows[: plan.test]), rows[plan.test :]
    else:
        test = held.take(rng.permutation(len(held))[: plan.test])
    of = pool.labels[rows]
    first = np.concatenate([np.flatnonzero(of == k)[: plan.clean] for k in range(pool.num_classes)])
    clean, rest = pool.take(rows[np.sort(first)]), np.delete(rows, first)
    train = pool.take(rest[: plan.train])
    corrupt = by_kind(noise, num_classes=pool.num_classes, rate=RATE, features="unit_norm")
    given = np.asarray(corrupt(jax.random.key(1000 + seed), train.labels, train.inputs).labels, np.int32)
    return Task(train.with_labels(given, clean_labels=train.labels), clean, test)


@functools.cache
def _pools(name: str, features: int, work: Path) -> tuple[Dataset, Dataset | None]:
    """What to draw from, and the test set where there is one of its own."""
    if name == "digits":
        digits = load("digits")
        return make(digits.inputs.reshape(len(digits), -1), digits.labels, name=name), None
    found = patch_features.load(name, work)
    parts = ((found.train, found.train_labels), (found.test, found.test_labels))
    train, test = (make(x[y < 10, :features].copy(), y[y < 10], name=name) for x, y in parts)
    return train, test
