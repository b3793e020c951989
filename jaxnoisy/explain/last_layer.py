"""Influence through the last layer alone, exactly: the features are taken as given, the head in closed form."""

import jax
import numpy as np

from jaxnoisy.curvature import last_layer
from jaxnoisy.curvature.head_room import lacking_room
from jaxnoisy.explain.route import Found, Task, on_host
from jaxnoisy.influence import head
from jaxnoisy.timing import timed
from jaxnoisy.training.outputs import outputs, predictions


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
        seen = outputs(model.outputs, model.params, model.rest, train.inputs)
        asked = outputs(model.outputs, model.params, model.rest, queries.inputs)
    features, logits = seen[:, :-c], seen[:, -c:]
    if lack := lacking_room(features.shape[1] + 1, c):
        raise ValueError(f"{lack}. Choose the method ekfac, or a model with fewer features")
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
        train_predictions=predictions(logits),
        notes={"parameters": int(factor.like.size), "solver": "Cholesky factor, refined"},
    )
