"""Learned sample weights: gradients of a clean loss one step ahead."""

from jaxnoisy.weights.lookahead import WAYS, Ahead, lookahead
from jaxnoisy.weights.step import Stepped, weighted_step

__all__ = ["WAYS", "Ahead", "Stepped", "lookahead", "weighted_step"]
