"""Training with learned weights: the same loop, with a step that looks at clean examples."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from jaxnoisy import check, weights
from jaxnoisy import mesh as sharding
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.losses import ByEpoch, Loss, at_epoch
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.network import Network
from jaxnoisy.training.normalize import Moments
from jaxnoisy.training.parts import PARTS, chooser
from jaxnoisy.training.state import TrainState
from jaxnoisy.training.step import Batch, Step, Sums, augmented, recorded, right
from jaxnoisy.types import Array, Key, PyTree

RULES = ("lsw", "l2rw", "mwnet")

_META = 4
_CLEAN_INPUTS = 5


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Learning:
    """How a run learns a weight for each of its examples from others whose labels are right.

    The look-ahead is that of the step that is taken: both losses are computed in training mode on augmented inputs,
    batch norm by the statistics of the batch at hand, dropout by the step's own draw. Running averages see the batch
    alone. The clean loss is the sum over the clean batch.

    Attributes:
        clean: m examples with clean labels, in the classes of the training data.
        rule: "lsw" (:func:`jaxnoisy.weights.lsw`), "l2rw" or "mwnet".
        rate: of "lsw", where every step looks ahead. Where only every k-th does, it is multiplied by k, so that an
            example still moves as far in an epoch.
        start: epochs before the first look-ahead.
        every: steps between look-aheads; between them weights are used as they stand.
        clean_batch: clean examples a look-ahead, or all where there are fewer. On several devices each computes on all
            of them, unless they divide by the devices.
        part: the parameters through whose step weights act: "all", as in the papers, "body", all but the head,
            "last-block", which is cheaper, or "head", the cheapest. Measured by how weights rank labels, the body comes
            first and the head last (benchmarks/lsw.py): the step of the head also decides how sure the model is, and
            where it is too sure, wrong labels help.
        unit, reading, through: of "lsw".
        most_skips: look-aheads in a row that may come to no number before the run is stopped.
    """

    clean: Dataset
    rule: str = "lsw"
    rate: float = weights.RATE
    start: int = 2
    every: int = 1
    clean_batch: int = weights.CLEAN_BATCH
    part: str = "body"
    unit: str = "running"
    reading: str = "coherent"
    through: str = "weight"
    most_skips: int = weights.MOST_IN_A_ROW

    def __post_init__(self) -> None:
        check.one_of(self.rule, RULES, name="rule")
        check.one_of(self.part, PARTS, name="part")
        check.positive_int(self.start, name="start", minimum=0)
        check.positive_int(self.every, name="every")
        check.positive_int(self.clean_batch, name="clean_batch")
        check.positive_int(self.most_skips, name="most_skips", minimum=0)
        # Refuses what else is out of range.
        weights.lsw(_nothing, _nothing, optax.identity(), **self.of_lsw())

    def of_lsw(self) -> dict[str, Any]:
        """The options of :func:`jaxnoisy.weights.lsw`."""
        return {"rate": self.rate * self.every, "unit": self.unit, "reading": self.reading, "through": self.through}

    @property
    def holds(self) -> bool:
        """Whether there are steps that do not look ahead."""
        return self.start > 0 or self.every > 1

    @property
    def size(self) -> int:
        """Clean examples a look-ahead."""
        return min(self.clean_batch, len(self.clean))

    def plain(self) -> dict[str, Any]:
        """Plain values that tell this from another way to learn weights."""
        names = (field.name for field in dataclasses.fields(self) if field.name != "clean")
        return {**{name: getattr(self, name) for name in names}, "clean": self.clean.fingerprint()}


def _nothing(params: PyTree, examples: PyTree) -> Array:
    raise NotImplementedError


def refuse(learning: Learning, data: Dataset) -> None:
    """Refuse clean examples that are of another kind than the training data.

    Raises:
        ValueError: what does not fit.
    """
    clean = learning.clean
    if clean.inputs.shape[1:] != data.inputs.shape[1:] or clean.class_names != data.class_names:
        raise ValueError(
            f"the clean examples have shape {clean.inputs.shape[1:]} and {clean.num_classes} classes, the training "
            f"data shape {data.inputs.shape[1:]} and {data.num_classes}, and both must be alike, the classes in one "
            "order too: jaxnoisy.data.load_clean sees to that"
        )


class LearningState(NamedTuple):
    """What a run that learns weights carries along.

    Attributes:
        rule: state of the rule.
        used: (n, t) the weight by which each example was trained on in each epoch, in the dtype of the trace; NaN
            before that. Rows of padding count as examples.
        steps: () int32, steps done.
    """

    rule: Any
    used: Array
    steps: Array


class LearnedWeights(NamedTuple):
    """What a run came to, on the host.

    Attributes:
        weights: (n,) float32, as they stand in the end.
        used: (n, t) by which each example was trained on in each epoch; NaN where it was not.
        skips: counts of look-aheads.
    """

    weights: np.ndarray
    used: np.ndarray
    skips: dict[str, int]


class Steps(NamedTuple):
    """The steps of a run that learns weights.

    Attributes:
        hold: a step by the weights as they stand.
        learn: a step that learns from the clean examples of its batch.
        due: ``due(steps done)``, whether to learn.
        init: () -> :class:`LearningState`.
        weights: state of the rule -> (n,) weights.
        learning: how it was asked for.
    """

    hold: Step
    learn: Step
    due: Callable[[Any], Any]
    init: Callable[[], LearningState]
    weights: Callable[[Any], Array]
    learning: Learning

    def either(self, state: TrainState, batch: Batch, key: Key) -> tuple[TrainState, Sums]:
        """One step that decides on the device."""
        if not self.learning.holds:
            return self.learn(state, batch, key)
        due = self.due(state.learned.steps)
        return jax.lax.cond(due, self.learn, self.hold, state, batch, key)


def learning_steps(
    learning: Learning,
    network: Network,
    loss: Loss | ByEpoch,
    tx: optax.GradientTransformation,
    config: TrainConfig,
    scale: Moments,
    *,
    params: PyTree,
    n: int,
    steps_per_epoch: int,
    mesh: Mesh | None = None,
) -> Steps:
    """Make the steps of a run that learns weights, as :func:`~jaxnoisy.training.step.train_step` does of another.

    The weight of an example is that of the rule times the batch's own, which is 0 for padding. Sums are those of the
    given labels, by the batch's weights alone. ``n`` counts the rows of padding of sharded arrays.
    """

    def losses(params: PyTree, examples: PyTree) -> tuple[Array, PyTree]:
        rest, epoch, inputs, labels = examples
        logits, rest = network.train(params, rest, inputs)
        return at_epoch(loss, epoch)(logits, labels), (logits, rest)

    def clean_loss(params: PyTree, examples: PyTree) -> Array:
        return losses(params, examples)[0].sum()

    options: dict[str, Any] = {"only": chooser(learning.part, params), "has_aux": True}
    if learning.rule == "lsw":
        rule = weights.lsw(losses, clean_loss, tx, **learning.of_lsw(), **options)
    elif learning.rule == "l2rw":
        rule = weights.l2rw(losses, clean_loss, tx, **options)
    else:
        rule = weights.mwnet(jax.random.fold_in(jax.random.key(config.seed), _META), losses, clean_loss, tx, **options)

    def step(state: TrainState, batch: Batch, key: Key, *, look: bool) -> tuple[TrainState, Sums]:
        clean, batch = batch.clean, sharding.split_batch(batch._replace(clean=None), mesh)
        shared = (state.rest, state.epoch)
        examples = (*shared, augmented(key, batch.inputs, config, scale), batch.labels)
        given = (state.learned.rule, state.params, state.opt_state, batch.rows, examples)
        if look:
            assert clean is not None
            if len(clean.labels) % sharding.shards(mesh) == 0:
                clean = sharding.split_batch(clean, mesh)
            inputs = augmented(jax.random.fold_in(key, _CLEAN_INPUTS), clean.inputs, config, scale)
            done = rule.learn(*given, (*shared, inputs, clean.labels), batch.weights)
        else:
            done = rule.hold(*given, batch.weights)
        logits, rest = done.aux
        before = state.learned
        used = before.used.at[batch.rows, state.epoch].set(done.weights.astype(before.used.dtype), mode="drop")
        after = state._replace(
            params=done.params,
            rest=rest,
            opt_state=done.opt_state,
            learned=LearningState(done.state, used, before.steps + 1),
        )
        total = (batch.weights * done.losses).sum()
        return recorded(after, batch, logits, config), Sums(total, right(batch, logits), batch.weights.sum())

    def init() -> LearningState:
        used = jnp.full((n, config.epochs), jnp.nan, jnp.dtype(config.trace_dtype))
        return LearningState(rule.init(n), used, jnp.zeros((), jnp.int32))

    return Steps(
        hold=lambda state, batch, key: step(state, batch, key, look=False),
        learn=lambda state, batch, key: step(state, batch, key, look=True),
        due=lambda steps: weights.due(steps, start=learning.start * steps_per_epoch, every=learning.every),
        init=init,
        weights=rule.weights,
        learning=learning,
    )


def begin(steps: Steps, n: int, mesh: Mesh | None) -> LearningState:
    """The state before the first step, its arrays of one row per example split over the devices."""
    rows = sharding.padded_length(n, mesh)
    shapes = jax.eval_shape(steps.init)
    places = jax.tree.map(
        lambda x: sharding.over_examples(mesh) if x.shape[:1] == (rows,) else sharding.replicated(mesh), shapes
    )
    return jax.jit(steps.init, out_shardings=places)()


def finish(steps: Steps, state: LearningState, n: int) -> LearnedWeights:
    """Bring what was learned to the host, without the rows of padding."""
    skips = {name: int(count) for name, count in state.rule.skips._asdict().items()}
    return LearnedWeights(np.asarray(steps.weights(state.rule))[:n], np.asarray(state.used)[:n], skips)
