"""From a data set, a trained model and queries to the training examples that are responsible."""

from jaxnoisy.explain.explain import METHODS, explain

__all__ = ["METHODS", "explain"]
