"""CORES2: a run of its own under a loss that rewards confidence, and the sieve on what it ends with."""

import dataclasses
from typing import ClassVar

import numpy as np

from jaxnoisy import losses
from jaxnoisy.audit.beyond import Beyond, Found, Prepared, Runs, Task
from jaxnoisy.detect import cores
from jaxnoisy.timing import timed
from jaxnoisy.training import predict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cores(Beyond):
    """CORES2: :func:`jaxnoisy.detect.cores` on a network trained by :func:`jaxnoisy.losses.cores`.

    The run is as long as the main one and trained alike but for the loss. Its last network is asked in evaluation mode.
    Of clips, the mean log-probabilities of their frames stand for logits.

    Attributes:
        beta: weight of the confidence term in the end.
    """

    name: ClassVar[str] = "cores"
    runs: ClassVar[int] = 1

    beta: float = 2.0

    def prepare(self, task: Task) -> Prepared:
        """Check what the method is asked for.

        Raises:
            ValueError: ``beta`` out of range.
        """
        losses.cores(epochs=1, beta=self.beta)

        def find(runs: Runs) -> Found:
            assert runs.main.trace is not None
            with timed(runs.timings, "train cores"):
                done = runs.train(
                    self.name,
                    task.data,
                    loss=losses.cores(epochs=runs.main.trace.epochs, beta=self.beta),
                    options={"beta": self.beta},
                )
            with timed(runs.timings, f"detect {self.name}"):
                logits = predict(done.network, done.state.params, done.state.rest, done.scale, task.data.inputs)
                found = cores()(logits, task.data.labels)
            return Found(found, {"beta": self.beta, "sieved": float(np.mean(found.flagged))})

        return find
