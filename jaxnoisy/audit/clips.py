"""Influential Rank on clips: a second network learns from their flow, and what both streams flag is flagged."""

import numpy as np

from jaxnoisy.audit.beyond import Found, Prepared, Runs, Task
from jaxnoisy.data.clean import describe_clean
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.timing import timed
from jaxnoisy.training import Fit, functional
from jaxnoisy.training.trained import Trained, start
from jaxnoisy.video import influential_clips, refuse_clips, streams


def prepare(task: Task, *, gamma: float, damping: float, solver: str) -> Prepared:
    """Check what the method is asked for.

    Raises:
        ValueError, TypeError: gamma or damping out of range, another solver than the exact one, more votes than there
            are classes with two clean clips, or flow on one side only.
    """
    data, clean = task.data, task.clean_examples
    if solver != "exact":
        raise ValueError(f"influential-rank on clips solves exactly: the solver {solver!r} is not for clips")
    refuse_clips(data, clean, gamma=gamma, damping=damping)
    notes = {"gamma": gamma, "damping": damping, **describe_clean(clean, data)}

    def find(runs: Runs) -> Found:
        trained = {}
        for name, stream in streams(data).items():
            if name == "rgb":
                done = runs.main
            else:
                with timed(runs.timings, f"train {name}"):
                    done = runs.train(name, stream)
            trained[name] = _in_float32(done, stream, task)
        with timed(runs.timings, "detect influential-rank"):
            detection = influential_clips(trained, data, clean, gamma=gamma, damping=damping)
        found = {name: int(np.sum(one.flagged)) for name, one in detection.info.detections.items()}
        return Found(detection, {**notes, "flagged_by_stream": found})

    return find


def _in_float32(done: Fit, stream: Dataset, task: Task) -> Trained:
    """The model of a run, computing in float32 as the one that is read back from its checkpoint."""
    network, _, _ = functional(start(task.model, stream, seed=task.seed))
    return Trained(network.merge(done.state.params, done.state.rest), done.scale)
