"""Which training examples made these predictions."""

import math
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from jaxnoisy import check, influence
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.data.queries import fitted
from jaxnoisy.explain.last_layer import through_last_layer
from jaxnoisy.explain.route import Route, Task
from jaxnoisy.explain.whole_model import by_ekfac, by_gauss_newton
from jaxnoisy.influences import Influences
from jaxnoisy.losses import cross_entropy
from jaxnoisy.timing import timed
from jaxnoisy.training.trained import Trained, pure

_ROUTES: Mapping[str, Route] = {
    "last-layer": through_last_layer,
    "gauss-newton": by_gauss_newton,
    "ekfac": by_ekfac,
}

METHODS = tuple(_ROUTES)
"""The ways to influence that :func:`explain` knows."""


def explain(
    data: Dataset,
    queries: Dataset,
    trained: Trained,
    *,
    method: str = "last-layer",
    damping: float = 0.01,
    count: int = 10,
    query_rows: np.ndarray | None = None,
    tolerance: float = 1e-3,
    max_steps: int = 200,
    timings: Mapping[str, float] | None = None,
) -> Influences:
    """Find the training examples that helped and harmed a model's predictions most.

    The inverse curvature behind the influences is that of the mean training loss, cross entropy on the given labels,
    plus ``damping`` on the diagonal:

    - "last-layer": of the head alone, exactly, with the features taken as given. Fast, and usually what is wanted.
    - "gauss-newton": of all parameters, by block conjugate gradient on the Gauss-Newton matrix. Self-influence, which
      would take a solution for every training example, is that of EK-FAC.
    - "ekfac": of all parameters, under the EK-FAC approximation of the same matrix.

    Args:
        data: n training examples under their given labels, images or features as stored.
        queries: k examples of the same shape; their classes are found by name.
        trained: the model, from :func:`jaxnoisy.training.trained.train` or ``load``, or ``Trained(fit.model,
            fit.scale)`` of a finished run of one's own. "last-layer" needs a :class:`jaxnoisy.models.Classifier`.
        method: one of :data:`METHODS`.
        damping: > 0. A small one trusts flat directions of the loss, a large one brings influence closer to plain
            products of gradients.
        count: how many helpful and how many harmful examples to find for each query, at most n.
        query_rows: (k,) which training examples the queries are, where they are some of them.
        tolerance: relative residual up to which a system counts as solved.
        max_steps: the most passes of the solver, for "gauss-newton".
        timings: seconds of earlier stages; those taken here are added.

    Returns:
        :class:`~jaxnoisy.influences.Influences`. Its ``rows`` give the whole (n, k) matrix to whoever wants it.

    Cost: see the methods' modules. Features are computed block by block, and kept in an unnamed file where they take
    more than 1 GiB.

    Raises:
        ValueError: an unknown method, damping not above 0, a count above n, queries that do not fit the data, or a
            model that the method cannot be used with.
        FloatingPointError: a model whose outputs are not finite.

    Example:
        >>> from jaxnoisy.data import load
        >>> from jaxnoisy.training import TrainConfig
        >>> from jaxnoisy.training.trained import train
        >>> digits = load("digits")
        >>> trained = train(digits, model="linear", config=TrainConfig(epochs=1, record="none"))
        >>> found = explain(digits, digits.take(range(2)), trained, count=3)
        >>> found.answer(0).helpful.shape, found.self_influence.shape
        ((3,), (1797,))
    """
    route = _ROUTES[check.one_of(method, METHODS, name="method")]
    if not 0 < damping < math.inf:
        raise ValueError(f"damping must be a positive number, but is {damping!r}: without it the curvature is singular")
    check.positive_int(count, name="count")
    if count > len(data):
        raise ValueError(f"{count} examples were asked for, but there are only {len(data)} to choose from")
    queries = fitted(queries, data)
    if query_rows is not None and np.shape(query_rows) != (len(queries),):
        raise ValueError(f"query_rows must have one entry for each of {len(queries)} queries, but has {query_rows!r}")
    seconds = dict(timings or {})
    found = route(Task(pure(trained), data, queries, damping, tolerance, max_steps, seconds))
    with timed(seconds, "influence"):
        top = influence.top(count=count)(found.rows)
    settings = {"method": method, "damping": damping, "top": count, **trained.settings, **found.notes}
    if method == "gauss-newton":
        settings |= {"tolerance": tolerance, "max_steps": max_steps}
    return Influences(
        dataset=data,
        queries=queries,
        query_rows=None if query_rows is None else np.asarray(query_rows),
        losses=np.asarray(cross_entropy(jnp.asarray(found.logits), jnp.asarray(queries.labels))),
        predictions=found.logits.argmax(axis=1).astype(np.int32),
        top=influence.Top(*(np.asarray(a) for a in top)),
        solution=found.solution,
        self_influence=found.self_influence,
        train_predictions=found.train_predictions,
        rows=found.rows,
        settings=settings,
        timings=seconds,
    )
