"""DynaCor: a run of its own beside corrupted copies, and the two clusters of its dynamics."""

import dataclasses
import math
from typing import Any, ClassVar

import jax

from jaxnoisy import check
from jaxnoisy.audit.beyond import Beyond, Found, Prepared, Runs, Task
from jaxnoisy.detect import Detection, DynaCorConfig, dynacor
from jaxnoisy.timing import timed
from jaxnoisy.training.corrupted import WEIGHTINGS, weights_of_copies, with_corrupted_copies


@dataclasses.dataclass(frozen=True, kw_only=True)
class DynaCor(Beyond):
    """DynaCor on a run that learns corrupted copies beside the examples: :func:`jaxnoisy.detect.dynacor`.

    With two classes a copy carries the one other label, so that copies of wrong labels are right: the method then needs
    most labels to be right, as it always does.

    Attributes:
        corruption_rate: gamma in (0, 1], the share of the examples that are copied, see
            :func:`jaxnoisy.training.corrupted.with_corrupted_copies`.
        alpha: weight of the alignment loss, or "auto" for the one of ``search.alphas`` that the validation metric
            prefers.
        weighting: of the copies in the loss, see :func:`jaxnoisy.training.corrupted.weights_of_copies`.
        search: how the clusters are searched for.
    """

    name: ClassVar[str] = "dynacor"
    runs: ClassVar[int] = 1

    corruption_rate: float = 0.1
    alpha: float | str = "auto"
    weighting: str = "pooled"
    search: DynaCorConfig = dataclasses.field(default_factory=DynaCorConfig)

    def prepare(self, task: Task) -> Prepared:
        """Check what the method is asked for.

        Raises:
            ValueError: a corruption rate outside (0, 1], an alpha that is neither a number >= 0 nor "auto", another
                weighting, or labels of one class.
        """
        check.fraction(self.corruption_rate, name="corruption_rate", open_low=True)
        check.one_of(self.weighting, WEIGHTINGS, name="weighting")
        search = self.search
        if self.alpha != "auto":
            if isinstance(self.alpha, str) or not 0 <= self.alpha < math.inf:
                raise ValueError(f'alpha must be a number >= 0, such as 0.05, or "auto", but is {self.alpha!r}')
            search = dataclasses.replace(search, alphas=(float(self.alpha),))
        check.at_least_two_classes(task.data.labels)
        key = jax.random.key(task.seed)

        def find(runs: Runs) -> Found:
            with timed(runs.timings, "copy and corrupt"):
                both = with_corrupted_copies(jax.random.fold_in(key, 3), task.data, rate=self.corruption_rate)
                weights = weights_of_copies(both.corrupted, weighting=self.weighting)
            with timed(runs.timings, "train dynacor"):
                trace = runs.train("dynacor", both.data, weights=weights).trace
            assert trace is not None
            with timed(runs.timings, "detect dynacor"):
                detection = dynacor(search)(jax.random.fold_in(key, 4), trace, both.corrupted)
            return Found(detection, {**self._options(), **_found(detection)})

        return find

    def _options(self) -> dict[str, Any]:
        search = dataclasses.asdict(self.search)
        starts = search.pop("seeds")  # a number of them, not one to begin again from
        own = {"corruption_rate": self.corruption_rate, "alpha": self.alpha, "weighting": self.weighting}
        return {**own, "starts": starts, **search}


def _found(detection: Detection) -> dict[str, Any]:
    info = detection.info
    notes = {
        "copies": int(info.counts[1].sum()),
        "copies_in_the_noisy_cluster": info.copies_found,
        "kept_alpha": float(info.alphas[info.candidate]),
        "kept_start": int(info.seeds[info.candidate]),
        "kept_epoch": info.epoch,
        "validation_metric": float(info.metric[info.candidate, info.epoch]),
    }
    return {**notes, "remark": info.remark} if info.remark else notes
