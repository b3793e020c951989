"""LSW: a further run that learns a weight for every example from the clean ones."""

import dataclasses
from typing import Any, ClassVar

from jaxnoisy.audit.beyond import Beyond, Found, Prepared, Runs, Task
from jaxnoisy.data.clean import describe_clean
from jaxnoisy.detect import learned_weights
from jaxnoisy.timing import timed
from jaxnoisy.training.learning import Learning
from jaxnoisy.weights import RATE, THRESHOLD


@dataclasses.dataclass(frozen=True, kw_only=True)
class LSW(Beyond):
    """Weights learned by :func:`jaxnoisy.weights.lsw` in a run of their own, which is as long as the main one.

    Attributes:
        weight_rate: how far a weight's logit moves each time its example is seen, in one typical look-ahead.
        weight_start: epochs before the first look-ahead.
        weight_every: steps between look-aheads.
        weight_part: whose step they look at: "body", "all", "last-block" or "head"; see
            :class:`jaxnoisy.training.learning.Learning`.
        weight_threshold: weights below it are flagged.
    """

    name: ClassVar[str] = "lsw"
    runs: ClassVar[int] = 1
    needs_clean: ClassVar[bool] = True
    min_epochs: ClassVar[int] = 3

    weight_rate: float = RATE
    weight_start: int = 2
    weight_every: int = 1
    weight_part: str = "body"
    weight_threshold: float = THRESHOLD

    def prepare(self, task: Task) -> Prepared:
        """Check what the method is asked for.

        Raises:
            ValueError: an option out of range, or a run that ends before weights begin to be learned.
        """
        if task.epochs <= self.weight_start:
            raise ValueError(
                f"lsw begins to learn weights after {self.weight_start} epochs, but the run has {task.epochs}: train "
                "for more epochs, or begin earlier (--weight-start)"
            )
        clean = task.clean_examples
        learning = Learning(
            clean=clean, rate=self.weight_rate, start=self.weight_start, every=self.weight_every, part=self.weight_part
        )
        detect = learned_weights(threshold=self.weight_threshold)
        notes: dict[str, Any] = {**dataclasses.asdict(self), **describe_clean(clean, task.data)}

        def find(runs: Runs) -> Found:
            with timed(runs.timings, f"train {self.name}"):
                learned = runs.train(self.name, task.data, learning=learning).learned
            assert learned is not None
            return Found(detect(learned.weights, learned.used), {**notes, "look_aheads": learned.skips})

        return find
