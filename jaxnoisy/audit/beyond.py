"""What a method takes and gives that reads more than the trace, so that one more is a file and a line in a table."""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias

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
        epochs: of the main run, and of those of a method's own.
    """

    data: Dataset
    clean: Dataset | None
    model: str
    seed: int
    epochs: int

    @property
    def clean_examples(self) -> Dataset:
        """The clean examples, for methods that are given some."""
        assert self.clean is not None
        return self.clean


class Runs(NamedTuple):
    """What training came to.

    Attributes:
        main: the run that the trace comes from.
        train: ``train(name, examples)``, for runs of a method's own, which are as long and resumed like the main one;
            with ``weights`` or ``learning`` as those of :func:`jaxnoisy.training.fit`, or under another ``loss``, whose
            ``options``, plain values, must be those of a run that is resumed; and from the end of the run ``after``
            instead of from the start; in smaller batches, of ``batch_size``, where it asks for them.
        timings: seconds by stage, to be added to.
    """

    main: Fit
    train: Callable[..., Fit]
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Beyond(abc.ABC):
    """A method beyond the trace, with its options: a frozen dataclass of keyword-only fields with defaults.

    An option of the command line that is called like a field sets it (see :mod:`jaxnoisy.cli.methods`), so that no
    field may share its name with an option for all methods, such as ``seed``.

    Attributes:
        name: what the command line calls it.
        runs: how many runs of its own it trains.
        needs_clean: whether it needs clean examples.
        by_default: whether it runs where no method is named, if it trains no run of its own; not one whose cost grows
            faster than the number of examples.
        min_epochs: that it needs with its default options.
    """

    name: ClassVar[str]
    runs: ClassVar[int] = 0
    needs_clean: ClassVar[bool] = False
    by_default: ClassVar[bool] = True
    min_epochs: ClassVar[int] = 1

    @abc.abstractmethod
    def prepare(self, task: Task) -> Prepared:
        """Refuse, before training, a task or options that the method cannot be used with; return the method itself."""
