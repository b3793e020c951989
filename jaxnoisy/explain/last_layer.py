"""Influence through the last layer alone, exactly: the features are taken as given, the head in closed form."""

import os

import jax
import numpy as np

from jaxnoisy.curvature import last_layer
from jaxnoisy.explain import forward
from jaxnoisy.explain.route import Found, Task, on_host
from jaxnoisy.influence import head
from jaxnoisy.timing import timed


def through_last_layer(task: Task) -> Found:
    """See :mod:`jaxnoisy.influence.head`. Cost: one forward pass over the data, then that of the head's algebra.

    Raises:
        ValueError: a model without features and head, or a head too wide for its Hessian to be formed here.
    """
    model, train, queries = task.model, task.train, task.queries
    if model.outputs is None:
        raise ValueError(
            "the last-layer method needs a model with features and a head, a jaxnoisy.models.Classifier: "
            "choose the method gauss-newton or ekfac for this one"
        )
    c = train.num_classes
    with timed(task.timings, "features"):
        seen = forward.outputs(model.outputs, model.params, model.rest, train.inputs)
        asked = forward.outputs(model.outputs, model.params, model.rest, queries.inputs)
    features, logits = seen[:, :-c], seen[:, -c:]
    _room_for((c - 1) * (features.shape[1] + 1))
    with timed(task.timings, "factorise"):
        factor = jax.block_until_ready(last_layer.factorise(features, logits, damping=task.damping))
    with timed(task.timings, "solve"):
        gradients = head.gradients(asked[:, :-c], asked[:, -c:], queries.labels)
        solved, info = jax.block_until_ready(last_layer.solve(factor, gradients, tolerance=task.tolerance))
    with timed(task.timings, "self-influence"):
        values = head.self_influence(factor, features, logits, train.labels).values
    rows = head.pairwise(solved, features, logits, train.labels)
    return Found(
        rows=rows,
        solution=on_host(info),
        self_influence=np.asarray(values),
        logits=np.asarray(asked[:, -c:]),
        train_predictions=forward.predictions(logits),
        notes={"parameters": int(factor.like.size), "solver": "Cholesky factor, refined"},
    )


def _room_for(size: int) -> None:
    """Refuse a head whose algebra this machine cannot hold, rather than be killed halfway."""
    if jax.default_backend() != "cpu" or not hasattr(os, "sysconf"):
        return
    needed, memory = 20 * size**2, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise ValueError(
            f"the last layer has {size:,} parameters beside those common to all classes: its exact Hessian takes "
            f"{needed / 2**30:,.0f} GiB where the machine has {memory / 2**30:,.0f}. Choose the method ekfac, or a "
            "model with fewer features"
        )
