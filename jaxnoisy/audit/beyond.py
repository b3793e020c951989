"""What a method takes and gives that reads more than the trace, so that one more is a file and a line in a table."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from jaxnoisy.data.dataset import Dataset
from jaxnoisy.detect import Detection
from jaxnoisy.training import Fit


class Task(NamedTuple):
    """What is asked, as far as it is known before training.

    Attributes:
        data: n training examples.
        clean: m examples with clean labels, in the classes of the training data; None where there are none.
        model: a name that :func:`jaxnoisy.models.build` knows.
        seed: of everything random.
        gamma: see :func:`jaxnoisy.detect.influential_rank`.
        damping: added to the diagonal of a curvature.
        solver: one of :data:`jaxnoisy.refine.SOLVERS`.
    """

    data: Dataset
    clean: Dataset | None
    model: str
    seed: int
    gamma: float
    damping: float
    solver: str

    @property
    def clean_examples(self) -> Dataset:
        """The clean examples, for methods that are given some."""
        assert self.clean is not None
        return self.clean


class Runs(NamedTuple):
    """What training came to.

    Attributes:
        main: the run that the trace comes from.
        train: ``train(name, examples)``, for runs of a method's own, which are as long and resumed like the main one.
        timings: seconds by stage, to be added to.
    """

    main: Fit
    train: Callable[[str, Dataset], Fit]
    timings: dict[str, float]


class Found(NamedTuple):
    """What a method comes to.

    Attributes:
        detection: of the n training examples.
        notes: plain values for the settings of the findings, where they stand under the method's name.
    """

    detection: Detection
    notes: Mapping[str, Any] = {}


Prepared: TypeAlias = Callable[[Runs], Found]


class Beyond(NamedTuple):
    """A method beyond the trace.

    Attributes:
        prepare: refuses, before training, a task that the method cannot be used for; returns the method itself.
        runs: how many runs of its own it trains.
        needs_clean: whether it needs clean examples.
    """

    prepare: Callable[[Task], Prepared]
    runs: int = 0
    needs_clean: bool = False
