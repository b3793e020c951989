"""NLNL: a model that learns what each example is not, and lastly from the labels that it holds for likely."""

import dataclasses
from typing import ClassVar

from jaxnoisy.audit.beyond import Beyond, Found, Prepared, Runs, Task
from jaxnoisy.detect import nlnl
from jaxnoisy.timing import timed
from jaxnoisy.training.nlnl import STAGES, in_stages


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nlnl(Beyond):
    """NLNL in a run of its own, whose three stages are as long as the main run each.

    Attributes:
        keep_above: the probability of its label above which an example takes part in the last stage, and is not
            flagged, see :func:`jaxnoisy.detect.nlnl`.
    """

    name: ClassVar[str] = "nlnl"
    runs: ClassVar[int] = len(STAGES)

    keep_above: float = 0.5

    def prepare(self, task: Task) -> Prepared:
        """Check the option.

        Raises:
            ValueError: ``keep_above`` out of range.
        """
        detect = nlnl(keep_above=self.keep_above)

        def find(runs: Runs) -> Found:
            with timed(runs.timings, "train nlnl"):
                done = in_stages(
                    lambda stage, loss, before: runs.train(
                        f"nlnl-{stage.replace(' ', '-')}", task.data, loss=loss, after=before, options=notes
                    ),
                    keep_above=self.keep_above,
                )
            assert done.trace is not None
            return Found(detect(done.trace), notes)

        notes = {"keep_above": self.keep_above}
        return find
