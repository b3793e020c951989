"""Influential Rank: how far examples bend the trained model's last layer, and how unevenly that moves clean ones."""

import dataclasses
from typing import ClassVar

import numpy as np

from jaxnoisy.audit import clips
from jaxnoisy.audit.beyond import Beyond, Found, Prepared, Runs, Task
from jaxnoisy.data.clean import describe_clean
from jaxnoisy.refine import refuse_beforehand
from jaxnoisy.refine.scoring import scorer
from jaxnoisy.refine.subject import apart
from jaxnoisy.timing import timed
from jaxnoisy.training import Fit, functional
from jaxnoisy.training.trained import Trained, start


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfluentialRank(Beyond):
    """Influential Rank on the model of the main run.

    Attributes:
        gamma: how many classes must agree, see :func:`jaxnoisy.detect.influential_rank`.
        damping: added to the diagonal of the curvature.
        solver: the way to its inverse, one of :data:`jaxnoisy.refine.SOLVERS`, see :func:`jaxnoisy.refine.refine`.
    """

    name: ClassVar[str] = "influential-rank"
    needs_clean: ClassVar[bool] = True

    gamma: float = 0.8
    damping: float = 0.01
    solver: str = "exact"

    def prepare(self, task: Task) -> Prepared:
        """Check what the method is asked for.

        Raises:
            ValueError, TypeError: gamma, damping or solver out of range, more votes than there are classes with two
                clean examples, or a last layer too wide for the solver.
        """
        options = dataclasses.asdict(self)
        if task.data.is_clips:
            return clips.prepare(task, **options)
        data, clean = task.data, task.clean_examples
        refuse_beforehand(task.model, data, clean, **options)
        notes = {**options, **describe_clean(clean, data)}

        def find(runs: Runs) -> Found:
            with timed(runs.timings, f"detect {self.name}"):
                subject, weights = apart(_in_float32(runs.main, task))
                score = scorer(subject, data, clean, method=self.name, hessian_examples=None, seed=task.seed, **options)
                scored = score(weights, np.arange(len(data)))
            info = scored.detection.info
            found = {"candidates": int(info.candidates.sum()), "required": info.required, "solution": scored.said}
            return Found(scored.detection, {**notes, **found})

        return find


def _in_float32(done: Fit, task: Task) -> Trained:
    """The model of a run, computing in float32 as the one that is read back from its checkpoint."""
    network, _, _ = functional(start(task.model, task.data, seed=task.seed))
    return Trained(network.merge(done.state.params, done.state.rest), done.scale)
