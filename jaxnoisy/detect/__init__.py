"""Detectors: constructors of functions that read a trace and rank and flag its examples."""

from jaxnoisy.detect import rules
from jaxnoisy.detect.aum import aum, aum_threshold, threshold_examples, threshold_labels
from jaxnoisy.detect.detection import Detection, Detector, ranking
from jaxnoisy.detect.margin_mixture import margin_mixture
from jaxnoisy.detect.methods import TRACE_METHODS
from jaxnoisy.detect.small_loss import small_loss

__all__ = [
    "TRACE_METHODS",
    "Detection",
    "Detector",
    "aum",
    "aum_threshold",
    "margin_mixture",
    "ranking",
    "rules",
    "small_loss",
    "threshold_examples",
    "threshold_labels",
]
