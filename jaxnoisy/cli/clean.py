"""``--clean`` and ``--test``, for the commands that take them."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxnoisy.data import Clean, Dataset


def load_clean(arguments: argparse.Namespace, examples: "Dataset") -> tuple["Dataset", "Dataset"]:
    """The examples to train on and the clean ones; says on standard error what a reader must know of the latter."""
    from jaxnoisy import data

    found = _load(arguments.clean, arguments, examples)
    _tell(data.clean_notes(found.clean, found.train))
    return found.train, found.clean


def load_test(arguments: argparse.Namespace, examples: "Dataset") -> "Dataset":
    """The examples to measure on, which must be other ones than those that are trained on."""
    from jaxnoisy import data

    if arguments.test.partition(":")[0] == "take":
        raise ValueError("--test must be a data set of its own: only --clean takes examples from the data")
    test = _load(arguments.test, arguments, examples).clean
    _tell(data.clean_notes(test, examples, kind="test"))
    return test


def _load(spec: str, arguments: argparse.Namespace, examples: "Dataset") -> "Clean":
    from jaxnoisy import data

    kind = spec.partition(":")[0]
    return data.load_clean(
        spec,
        examples,
        seed=arguments.seed,
        data_dir=arguments.data_dir if kind == "tfds" else None,
        skip_broken=arguments.skip_broken and kind in data.SKIPPING,
    )


def _tell(notes: tuple[str, ...]) -> None:
    for note in notes:
        print(f"jaxnoisy: warning: {note}", file=sys.stderr)
