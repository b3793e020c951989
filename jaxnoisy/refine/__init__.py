"""Repair a data set and its model: rounds of post-training, new labels, and a model trained anew."""

from jaxnoisy.refine.beforehand import refuse_beforehand
from jaxnoisy.refine.controls import Longer, longer
from jaxnoisy.refine.heads import SOLVERS as _SOLVERS
from jaxnoisy.refine.post_recipe import post_recipe
from jaxnoisy.refine.refine import refine
from jaxnoisy.refine.rog import Generative, generative
from jaxnoisy.refine.scoring import METHODS

SOLVERS = tuple(_SOLVERS)
"""The ways to the inverse curvature that :func:`refine` knows."""

__all__ = [
    "METHODS",
    "SOLVERS",
    "Generative",
    "Longer",
    "generative",
    "longer",
    "post_recipe",
    "refine",
    "refuse_beforehand",
]
