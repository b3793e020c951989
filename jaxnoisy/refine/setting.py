"""What a repair is asked to do, checked before anything is computed or written."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from jaxnoisy import check
from jaxnoisy import mesh as sharding
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.data.queries import fitted
from jaxnoisy.detect import influential_rank
from jaxnoisy.models import MODEL_NAMES
from jaxnoisy.refine.heads import SOLVERS, refuse_too_wide
from jaxnoisy.refine.post_recipe import post_recipe
from jaxnoisy.refine.scoring import METHODS, voters
from jaxnoisy.refine.subject import Subject, Weights, apart, head_params
from jaxnoisy.repair import RoundInfo, drop, relabel
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.loop import EpochReport
from jaxnoisy.training.recipes import recipe
from jaxnoisy.training.trained import Trained, start

OnEpoch = Callable[[str, EpochReport, int], None]
"""Called after each epoch with the run's name, its report, and the number of epochs."""

OnRound = Callable[[RoundInfo], None]
"""Called after each round with its record."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choices:
    """How examples are found, dropped and relabelled; see :func:`jaxnoisy.refine.refine`.

    Raises:
        ValueError, TypeError: a choice out of range.
    """

    method: str = "influential-rank"
    rounds: int = 2
    gamma: float = 0.8
    damping: float = 0.01
    solver: str = "exact"
    hessian_examples: int | None = None
    min_gain: float = 0.0
    class_floor: int | None = None
    relabel_above: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        check.one_of(self.method, METHODS, name="method")
        check.one_of(self.solver, tuple(SOLVERS), name="solver")
        check.positive_int(self.rounds, name="rounds")
        check.positive_int(self.seed, name="seed", minimum=0)
        if self.hessian_examples is not None:
            check.positive_int(self.hessian_examples, name="hessian_examples")
        if not 0 < self.damping < math.inf:
            raise ValueError(
                f"damping must be a positive number, but is {self.damping!r}: without it the curvature is singular"
            )
        if not 0 <= self.min_gain < math.inf:
            raise ValueError(f"min_gain must be a number >= 0, but is {self.min_gain!r}")
        if not 0 <= self.relabel_above < 1:
            raise ValueError(f"relabel_above must lie in [0, 1), but is {self.relabel_above!r}")
        drop(class_floor=self.class_floor)
        relabel(threshold=self.relabel_above)
        influential_rank(gamma=self.gamma)


class Setting(NamedTuple):
    """A repair that can begin.

    Attributes:
        choices: how.
        data: n examples under their given labels.
        measured: the data sets that every model is measured on, by name; "validation" decides.
        subject: the network.
        original: its parameters.
        trained: as it was given.
        post: how a round trains.
        anew: how a model is trained anew.
        fresh: makes the untrained model that is.
        named: whether the network is made from its name alone, so that a saved one can be read back.
    """

    choices: Choices
    data: Dataset
    measured: dict[str, Dataset]
    subject: Subject
    original: Weights
    trained: Trained
    post: TrainConfig
    anew: TrainConfig
    fresh: Callable[[], nnx.Module]
    named: bool


def setting(
    choices: Choices,
    data: Dataset,
    validation: Dataset | None,
    trained: Trained,
    *,
    test: Dataset | None = None,
    post: TrainConfig | None = None,
    anew: TrainConfig | None = None,
    fresh: Callable[[], nnx.Module] | None = None,
    evidence: bool = True,
    mesh: Mesh | None = None,
) -> Setting:
    """Put together what a repair needs, or say what is wrong with it."""
    check.at_least_two_classes(data.labels)
    measured = measured_on(data, validation, test)
    clean = measured["validation"]
    able = voters(clean, choices.method)
    if isinstance(choices.gamma, (int, np.integer)) and choices.gamma > able:
        raise ValueError(
            f"gamma asks for the votes of {choices.gamma} classes, but of {data.num_classes} classes only {able} have "
            "the two validation examples that a vote takes: give more of them, or gamma as a fraction"
        )
    subject, original = fitting(data, trained)
    if choices.method == "influential-rank" or evidence:
        kernel = head_params(subject, original)
        refuse_too_wide(choices.solver, kernel["kernel"].shape[0] + len(kernel) - 1, data.num_classes)
    make = fresh or functools.partial(start, known_name(trained), data, seed=choices.seed)
    _same_shapes(make(), trained)
    post = post or post_recipe(known_name(trained), data, seed=choices.seed)
    anew = anew or recipe(known_name(trained), data, seed=choices.seed)
    for config in (post, anew):
        if config.batch_size % sharding.shards(mesh):
            raise ValueError(f"batch_size {config.batch_size} does not split over {sharding.shards(mesh)} devices")
    return Setting(
        choices=choices,
        data=data,
        measured=measured,
        subject=subject,
        original=original,
        trained=trained,
        post=dataclasses.replace(post, record="none"),
        anew=dataclasses.replace(anew, record="none"),
        fresh=make,
        named=fresh is None,
    )


def known_name(trained: Trained) -> str:
    """The name that a model is made from, and that has recipes; ValueError where it is one of the caller's own."""
    name = trained.settings.get("model")
    if name not in MODEL_NAMES:
        raise ValueError(
            f"the settings of the trained model name no model of jaxnoisy's, but {name!r}: give config and anew, the "
            "settings to train with, and fresh, a function that makes an untrained model"
        )
    return str(name)


def measured_on(data: Dataset, validation: Dataset | None, test: Dataset | None) -> dict[str, Dataset]:
    """Validation and test examples in the classes of the data, by name."""
    if validation is None:
        raise ValueError(
            "there is no validation set: give examples with clean labels, which decide whether a round has helped, "
            "five or more of each class"
        )
    measured = {"validation": fitted(validation, data, name="the validation set")}
    if test is not None:
        measured["test"] = fitted(test, data, name="the test set")
    return measured


def fitting(data: Dataset, trained: Trained) -> tuple[Subject, Weights]:
    """Take a model apart that fits the data and has not diverged."""
    subject, original = apart(trained)
    for leaf in jax.tree.leaves(original):
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) and not bool(jnp.isfinite(leaf).all()):
            raise ValueError(
                "the model has parameters or statistics that are not finite: its training has diverged, train it again "
                "with a lower learning rate"
            )
    c, kernel = data.num_classes, head_params(subject, original)["kernel"]
    one = jax.ShapeDtypeStruct((1, *data.inputs.shape[1:]), data.inputs.dtype)
    shape = jax.eval_shape(subject.outputs, *original, one).shape
    if kernel.shape[1] != c or shape != (1, kernel.shape[0] + c):
        raise ValueError(
            f"the model's head has shape {kernel.shape} and its outputs with features {shape}, but the data has {c} "
            f"classes: the head must be (d, {c}), and be applied to what features() returns"
        )
    return subject, original


def _same_shapes(fresh: nnx.Module, trained: Trained) -> None:
    def sizes(model: nnx.Module) -> Any:
        return sorted(str(jnp.shape(a)) for a in jax.tree.leaves(nnx.state(model, nnx.Param)))

    if sizes(fresh) != sizes(trained.model):
        raise ValueError(
            f"an untrained {trained.settings.get('model') or 'model'} has parameters of other shapes than the trained "
            "one: give fresh, a function that makes an untrained model like it"
        )
