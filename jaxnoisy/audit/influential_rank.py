"""Influential Rank: how far examples bend the trained model's last layer, and how unevenly that moves clean ones."""

import jax
import numpy as np

from jaxnoisy import detect
from jaxnoisy.audit.beyond import Found, Prepared, Runs, Task
from jaxnoisy.curvature import last_layer
from jaxnoisy.data import clean_notes
from jaxnoisy.influence import head_overfitting
from jaxnoisy.timing import timed
from jaxnoisy.training import Fit, functional
from jaxnoisy.training.outputs import outputs
from jaxnoisy.training.trained import Trained, pure, start


def prepare(task: Task) -> Prepared:
    """Check what the method is asked for.

    Raises:
        ValueError: a gamma or a damping out of range, more votes than there are classes with two clean examples.
        TypeError: a gamma that is no number.
    """
    select = detect.influential_rank(gamma=task.gamma)
    if not 0 < task.damping < np.inf:
        raise ValueError(f"damping must be a positive number, but is {task.damping!r}")
    per_class = task.clean_per_class
    voters = int((per_class > 1).sum())
    if isinstance(task.gamma, (int, np.integer)) and task.gamma > voters:
        raise ValueError(
            f"gamma asks for {task.gamma} votes, but only {voters} classes have the two clean examples that a vote "
            "takes: give more clean examples, or a smaller gamma"
        )
    notes = {
        "gamma": task.gamma,
        "damping": task.damping,
        "clean_examples": task.clean_examples.name,
        "clean_per_class": per_class.tolist(),
        "notes": list(clean_notes(task.clean_examples, task.data)),
    }

    def find(runs: Runs) -> Found:
        model, c = pure(_in_float32(runs.main, task)), task.data.num_classes
        assert model.outputs is not None
        with timed(runs.timings, "features"):
            seen, asked = (
                outputs(model.outputs, model.params, model.rest, examples.inputs)
                for examples in (task.data, task.clean_examples)
            )
        train, clean = (
            (values[:, :-c], values[:, -c:], examples.labels)
            for values, examples in ((seen, task.data), (asked, task.clean_examples))
        )
        with timed(runs.timings, "factorise"):
            factor = jax.block_until_ready(last_layer.factorise(*train[:2], damping=task.damping))
        with timed(runs.timings, "detect influential-rank"):
            found = select(head_overfitting()(factor, train, clean)[0])
        info = found.info
        return Found(found, {**notes, "candidates": int(info.candidates.sum()), "required": info.required})

    return find


def _in_float32(done: Fit, task: Task) -> Trained:
    """The model of a run on one device, computing in float32 as the one that is read back from its checkpoint."""
    network, _, _ = functional(start(task.model, task.data, seed=task.seed))
    params, rest = jax.device_put(jax.device_get((done.state.params, done.state.rest)))
    return Trained(network.merge(params, rest), done.scale)
