"""What an option's text must be, as the number or path that it stands for."""

import argparse
import math
from collections.abc import Callable

_LARGEST_SEED = 2**32 - 1  # what jax.random.key tells apart


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """A whole number within these limits."""
    expected = f">= {low}" if high is None else f"from {low} to {high}"

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"must be a whole number {expected}, but is {text!r}")
        return value

    return convert


seed, count = whole(0, _LARGEST_SEED), whole(1)


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, but is {text!r}")
    return value


def below_one(text: str) -> float:
    """A number from 0 up to 1, which it must not reach."""
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 up to but not including 1, but is {text!r}")
    return value


def inside(text: str) -> float:
    """A number between 0 and 1, neither of which it may reach."""
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a number between 0 and 1, but is {text!r}")
    return value


def positive(text: str) -> float:
    """A finite number above 0."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a positive number, but is {text!r}")
    return value


def finite(text: str) -> float:
    """A finite number."""
    value = _number(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a finite number, but is {text!r}")
    return value


def votes(text: str) -> float:
    """How many classes must agree: ``8`` is a number of them, ``0.8`` a share, and ``1.0`` all."""
    if text.isascii() and text.isdecimal():
        return int(text)
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(
            f"must be a whole number of classes, such as 8, or a share of them, such as 0.8, but is {text!r}"
        )
    return value


def above_zero_to_one(text: str) -> float:
    """A number above 0, up to 1."""
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number above 0 and up to 1, but is {text!r}")
    return value


def auto_or_number(text: str) -> float | str:
    """The word auto, or a finite number from 0."""
    if text == "auto":
        return text
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be auto, or a number from 0, such as 0.05, but is {text!r}")
    return value


def path(text: str) -> str:
    """The name of a file or folder."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"must be a path, but is {text!r}")
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
