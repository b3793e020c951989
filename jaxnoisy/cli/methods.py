"""``--method`` of the commands that detect, and the options that belong to single methods."""

import argparse
import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxnoisy.audit import Beyond
    from jaxnoisy.detect import Detector


def chosen_methods(
    text: str, known: tuple[str, ...], *, everything: tuple[str, ...], default: tuple[str, ...]
) -> tuple[str, ...]:
    """The methods that ``a,b`` names, once each and in order; "all" stands for ``everything``."""
    from jaxnoisy.check import one_of

    names: list[str] = []
    for part in text.split(",") if text else default:
        name = one_of(part.strip(), (*known, "all"), name="--method")
        names += everything if name == "all" else [name]
    return tuple(dict.fromkeys(names))


def with_options(names: tuple[str, ...], arguments: argparse.Namespace) -> list["str | Beyond"]:
    """The methods, those beyond the trace with the options that were given; what was not given has its default.

    Raises:
        ValueError: an option of a method that is not among them.
    """
    from jaxnoisy.audit import BEYOND

    owners: dict[str, list[str]] = {}
    for name, options in BEYOND.items():
        for field in dataclasses.fields(options):
            if getattr(arguments, field.name, None) is not None:
                owners.setdefault(field.name, []).append(name)
    for option, methods in owners.items():
        if not set(methods) & set(names):
            raise ValueError(
                f"--{option.replace('_', '-')} is for {' and '.join(methods)}, which is not among the methods: "
                "leave it out"
            )
    return [
        BEYOND[name](**{option: getattr(arguments, option) for option, methods in owners.items() if name in methods})
        if name in BEYOND
        else name
        for name in names
    ]


def own_detectors(names: tuple[str, ...], arguments: argparse.Namespace) -> dict[str, "Detector"]:
    """What reads the trace in the place of a method's usual detector: the file in ``--detector`` for lstm.

    Raises:
        ValueError: lstm is not among the methods, or the file holds no detector of this version.
    """
    from jaxnoisy.detect import load_detector, lstm

    if arguments.detector is None:
        return {}
    if "lstm" not in names:
        raise ValueError("--detector is for lstm, which is not among the methods: leave it out")
    return {"lstm": lstm(load_detector(arguments.detector))}
