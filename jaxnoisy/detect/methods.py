"""The detectors that read a trace, by the names the command line gives them."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from jaxnoisy.detect.aum import aum
from jaxnoisy.detect.detection import Detector
from jaxnoisy.detect.margin_mixture import margin_mixture
from jaxnoisy.detect.small_loss import small_loss

TRACE_METHODS: Mapping[str, Callable[[], Detector]] = MappingProxyType(
    {
        "small-loss": partial(small_loss, over="last"),
        "mean-loss": partial(small_loss, over="mean"),
        "aum": aum,
        "margin-mixture": margin_mixture,
    }
)
"""Constructors without required arguments: ``TRACE_METHODS["aum"]()(trace)`` is a Detection."""
