"""The main job: train a model on a labelled data set, record its dynamics, and let the detectors read them."""

from jaxnoisy.audit.methods import METHODS, allowed
from jaxnoisy.audit.run import Progress, audit

__all__ = ["METHODS", "Progress", "allowed", "audit"]
