"""``jaxnoisy score``."""

import argparse
from pathlib import Path

from jaxnoisy.cli.folders import claim
from jaxnoisy.cli.methods import chosen_methods, own_detectors
from jaxnoisy.cli.results import finish


def run(arguments: argparse.Namespace) -> None:
    """Run detectors on a recording, or on probabilities."""
    from jaxnoisy import check, dynamics
    from jaxnoisy.detect import TRACE_METHODS, methods_for
    from jaxnoisy.files import read_named
    from jaxnoisy.findings import find

    if (arguments.trace is None) == (arguments.pred_probs is None):
        raise ValueError("give either --trace FILE, or --pred-probs FILE with --labels FILE")
    if arguments.pred_probs is not None and arguments.labels is None:
        raise ValueError("--pred-probs needs --labels FILE, the given label of each row")
    claim(Path(arguments.out))
    labels = None if arguments.labels is None else read_named(arguments.labels, "labels")
    if arguments.trace is not None:
        trace = dynamics.load(arguments.trace)
        if labels is not None:
            dynamics.same_labels(trace, labels)
    else:
        assert labels is not None
        trace = dynamics.from_probabilities(read_named(arguments.pred_probs, "pred_probs"), labels)
    check.at_least_two_classes(trace.labels)
    applicable = methods_for(trace)
    methods = chosen_methods(arguments.method, tuple(TRACE_METHODS), everything=applicable, default=applicable)
    detectors = own_detectors(methods, arguments)
    flips = None
    if arguments.clean_labels is not None:
        flips = dynamics.flips(trace, read_named(arguments.clean_labels, "clean_labels"))
    settings = {"methods": list(methods), "trace": arguments.trace, "pred_probs": arguments.pred_probs}
    if arguments.detector is not None:
        settings["detector"] = arguments.detector
    findings = find(trace, methods, detectors=detectors, flips=flips, settings=settings)
    finish(findings, Path(arguments.out), trace=False)
