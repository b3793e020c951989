"""``--clean``, for the commands that take it."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxnoisy.data import Dataset


def load_clean(arguments: argparse.Namespace, examples: "Dataset") -> tuple["Dataset", "Dataset"]:
    """The examples to train on and the clean ones; says on standard error what a reader must know of the latter."""
    from jaxnoisy import data

    kind = arguments.clean.partition(":")[0]
    found = data.load_clean(
        arguments.clean,
        examples,
        seed=arguments.seed,
        data_dir=arguments.data_dir if kind == "tfds" else None,
        skip_broken=arguments.skip_broken and kind in ("folder", "tfds"),
    )
    for note in data.clean_notes(found.clean, found.train):
        print(f"jaxnoisy: warning: {note}", file=sys.stderr)
    return found.train, found.clean
