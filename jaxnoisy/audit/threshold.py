"""AUM with threshold examples: two more runs, each with other examples moved to a class of their own."""

import dataclasses
from typing import ClassVar

import jax
import numpy as np

from jaxnoisy.audit.beyond import Beyond, Found, Prepared, Runs, Task
from jaxnoisy.detect import aum_threshold, threshold_examples, threshold_labels
from jaxnoisy.dynamics import Trace
from jaxnoisy.timing import timed


@dataclasses.dataclass(frozen=True, kw_only=True)
class AumThreshold(Beyond):
    """AUM with the threshold that examples known to be wrong draw: :func:`jaxnoisy.detect.aum_threshold`."""

    name: ClassVar[str] = "aum-threshold"
    runs: ClassVar[int] = 2

    def prepare(self, task: Task) -> Prepared:
        """Draw the threshold examples (Pleiss et al. 2020, section 3.2).

        Raises:
            ValueError: too few examples for that.
        """
        data = task.data
        key = jax.random.fold_in(jax.random.key(task.seed), 2)
        masks = [np.asarray(mask) for mask in threshold_examples(key, data.labels, data.num_classes)]

        def detect(runs: Runs) -> Found:
            traces: list[Trace] = []
            for name, mask in zip(("threshold-a", "threshold-b"), masks):
                moved = dataclasses.replace(
                    data,
                    labels=np.asarray(threshold_labels(data.labels, mask, data.num_classes), np.int32),
                    class_names=(*data.class_names, "(threshold)"),
                )
                with timed(runs.timings, "train threshold runs"):
                    trace = runs.train(name, moved).trace
                assert trace is not None
                traces.append(trace)
            return Found(aum_threshold()(traces[0], masks[0], traces[1], masks[1]))

        return detect
