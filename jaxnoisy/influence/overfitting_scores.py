"""Overfitting scores of Influential Rank: how far an example bends the model, and how unevenly within a class.

Park et al., "Influential Rank: a new perspective of post-training for robust model against noisy labels", section 3.2.
A model that has memorised a wrong label moves far with that example's weight (OSM, the overfitting score on the model),
and what moves helps some validation examples of a class and harms others (OSD, the overfitting score on data).
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.influence.per_class import PerClass
from jaxnoisy.types import Array, ArrayLike

NORMALISATIONS = ("examples", "classes", "none")


class OverfittingScores(NamedTuple):
    """Scores of every training example; higher = more overfitted to it.

    Attributes:
        osm: (n,) overfitting score on the model, in standard deviations from the mean over the training set.
        osd: (n, c) overfitting score on the data of each class. 0 for every example where the class has no, or only
            one, validation example, and where its validation examples are all the same: nothing can deviate there.
        queries: (c,) int32, validation examples per class.
    """

    osm: ArrayLike
    osd: ArrayLike
    queries: ArrayLike


def overfitting_scores(*, normalise: str = "examples") -> Callable[[ArrayLike, PerClass], OverfittingScores]:
    """OSM and OSD from influences that are known, whatever they were computed by.

    OSM is ||(A + damping I)^-1 g_i|| less its mean over the training set, divided by its standard deviation (the
    paper's equation 3). OSD starts from the standard deviation of influence over the validation examples of class k,
    sigma_k(x_i). Equation 4 subtracts a mean and divides by a standard deviation "over k". Over classes, as that says,
    scores of an example would sum to 0, and whether its influence is uneven at all would be lost. The same equation
    writes x for x_i there, as equation 3 does, and the paper's Figure 10 shows two modes over the examples of one
    class. So by default the mean and deviation are over examples, per class.

    Where all numbers that are compared agree to rounding, the deviation they would be divided by means nothing, and
    their scores are 0: of all examples of a perfectly fitted model, for instance. Scores of duplicates are the same.

    Args:
        normalise: over what sigma_k(x_i) is normalised. "examples" for each class; "classes" for each example, the
            words of the paper, classes that cannot deviate left out; "none" leaves sigma_k(x_i) as it is.

    Returns:
        ``scores(norms, spread) -> OverfittingScores`` from (n,) norms, such as
        :func:`~jaxnoisy.influence.self_influence` or :func:`~jaxnoisy.curvature.ekfac_inverse_norms` have them, and a
        :class:`~jaxnoisy.influence.PerClass`. The result is on the host where the norms are. Cost: O(n c).

    Raises:
        ValueError: another normalisation; from ``scores``: norms or a spread of other shapes, fewer than two classes.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.influence import from_matrix, per_class
        >>> influences = from_matrix(np.array([[1.0, 3.0, 5.0], [2.0, 8.0, 0.0]], np.float32))
        >>> spread = per_class(num_classes=2)(influences, np.array([0, 0, 1]))
        >>> found = overfitting_scores()(np.array([4.0, 6.0], np.float32), spread)
        >>> found.osm.tolist(), found.osd.tolist()  # one example cannot deviate: class 1 says nothing
        ([-1.0, 1.0], [[-1.0, 0.0], [1.0, 0.0]])
    """
    check.one_of(normalise, NORMALISATIONS, name="normalise")

    def scores(norms: ArrayLike, spread: PerClass) -> OverfittingScores:
        shape = jnp.shape(spread.deviation)
        if len(shape) != 2 or shape[1] < 2 or jnp.shape(norms) != shape[:1]:
            raise ValueError(
                "norms (n,) and a spread over classes (n, c) with c >= 2 are needed, but have shapes "
                f"{jnp.shape(norms)} and {shape}"
            )
        deviation, mean = jnp.asarray(spread.deviation), jnp.abs(jnp.asarray(spread.mean))
        # Validation examples that are all the same deviate by rounding alone.
        rounding = _ROUNDING * jnp.finfo(deviation.dtype).eps * mean.max(axis=0)
        deviates = (jnp.asarray(spread.queries) > 1) & ~(deviation.max(axis=0) <= rounding)
        osd = jnp.where(deviates, deviation, 0)
        if normalise == "examples":
            osd = _standardised(osd, axis=0)
        elif normalise == "classes":
            osd = _standardised(osd, axis=1, counted=jnp.broadcast_to(deviates, shape))
        osm = _standardised(jnp.asarray(norms), axis=0)
        if isinstance(norms, np.ndarray) and check.is_concrete(osd):
            return OverfittingScores(np.asarray(osm), np.asarray(osd), spread.queries)
        return OverfittingScores(osm, osd, spread.queries)

    return scores


_ROUNDING = 64  # units in the last place


@functools.partial(jax.jit, static_argnames="axis")
def _standardised(values: Array, *, axis: int, counted: Array | None = None) -> Array:
    """(values - mean) / deviation along an axis; 0 where there is no deviation, and for what is not counted."""
    inside = jnp.ones(values.shape, bool) if counted is None else counted
    low = jnp.min(values, axis=axis, keepdims=True, where=inside, initial=jnp.inf)
    high = jnp.max(values, axis=axis, keepdims=True, where=inside, initial=-jnp.inf)
    largest = jnp.maximum(jnp.abs(low), jnp.abs(high))
    # False for NaN, which is to be seen in the result.
    flat = high - low <= _ROUNDING * jnp.finfo(values.dtype).eps * largest
    # From 0 to 1, so that squares of very small and very large values neither vanish nor overflow.
    unit = jnp.where(inside & ~flat, (values - low) / jnp.where(flat, 1, high - low), 0)
    number = jnp.maximum(inside.sum(axis=axis, keepdims=True), 1).astype(values.dtype)
    centred = jnp.where(inside, unit - unit.sum(axis=axis, keepdims=True) / number, 0)
    deviation = jnp.sqrt((centred**2).sum(axis=axis, keepdims=True) / number)
    return jnp.where(flat, 0, centred / jnp.where(flat, 1, deviation))
