"""Influence through all parameters, under the Gauss-Newton matrix or its EK-FAC approximation.

The model is in evaluation mode: batch norm uses its running statistics, which are not parameters here.
"""

import functools

import jax
import numpy as np

from jaxnoisy import influence
from jaxnoisy.curvature import Stream, block_cg, ekfac, ekfac_quadratic_forms, gauss_newton
from jaxnoisy.curvature.kronecker import Ekfac
from jaxnoisy.curvature.solution import Inverse
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.explain.route import Found, Task, example_loss, example_model, on_host, output_loss
from jaxnoisy.timing import timed
from jaxnoisy.training.outputs import outputs, predictions

_BATCH = 256


def by_gauss_newton(task: Task) -> Found:
    """Block conjugate gradient on the Gauss-Newton matrix.

    It is not preconditioned by EK-FAC, which has curvature where Gauss-Newton of few examples has none, and then costs
    steps instead of saving them. Solving for every training example would take n solutions, so that self-influence is
    that of EK-FAC, and the notes say so.

    Cost: the two passes of EK-FAC, one pass over the data per step of the solver for all queries together, and the
    products with all training examples.
    """
    matrix, approximate = gauss_newton(example_model(task.model), output_loss, batch_size=_BATCH), _ekfac(task)
    operator = matrix(task.model.params, _batches(task.train))
    solve = functools.partial(
        block_cg(damping=task.damping, tolerance=task.tolerance, max_steps=task.max_steps),
        operator,
    )
    return _found(task, approximate, solve, "block conjugate gradient")


def by_ekfac(task: Task) -> Found:
    """The inverse of the EK-FAC approximation itself: no iteration. Cost: two passes, and the products."""
    approximate = _ekfac(task)
    return _found(task, approximate, approximate.inverse(task.damping, tolerance=task.tolerance), "EK-FAC eigenbasis")


def _found(task: Task, approximate: Ekfac, inverse: Inverse, solver: str) -> Found:
    model, train, queries = task.model, task.train, task.queries
    loss = example_loss(model)
    with timed(task.timings, "predict"):
        seen = outputs(model.logits, model.params, model.rest, train.inputs)
        asked = outputs(model.logits, model.params, model.rest, queries.inputs)
    with timed(task.timings, "solve"):
        gradients = influence.gradients(loss)(model.params, _pairs(queries))
        solved, info = jax.block_until_ready(inverse(gradients))
    with timed(task.timings, "self-influence"):
        forms = ekfac_quadratic_forms(example_model(model), output_loss, damping=task.damping)
        values = forms(approximate, model.params, _pairs(train))
    return Found(
        rows=influence.pairwise(loss)(model.params, _pairs(train), solved),
        solution=on_host(info),
        self_influence=np.asarray(values),
        logits=asked,
        train_predictions=predictions(seen),
        notes={
            "parameters": sum(int(a.size) for a in jax.tree.leaves(model.params)),
            "solver": solver,
            "self_influence": "under EK-FAC",
        },
    )


def _ekfac(task: Task) -> Ekfac:
    with timed(task.timings, "EK-FAC"):
        build = ekfac(example_model(task.model), output_loss)
        return jax.block_until_ready(build(task.model.params, _pairs(task.train)))


def _pairs(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    return data.inputs, data.labels


def _batches(data: Dataset) -> Stream:
    """The examples from the host, batch by batch: of one length, but for the last."""

    def begin():  # type: ignore[no-untyped-def]
        for start in range(0, len(data), _BATCH):
            yield np.asarray(data.inputs[start : start + _BATCH]), data.labels[start : start + _BATCH]

    return Stream(begin)
