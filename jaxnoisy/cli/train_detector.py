"""``jaxnoisy train-detector``."""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxnoisy.cli.folders import writable
from jaxnoisy.cli.traces import read_trace

if TYPE_CHECKING:
    import numpy as np

    from jaxnoisy.detect import LSTMDetector
    from jaxnoisy.dynamics import Trace

_OF_A_NEW_ONE = ("signals", "length")


def run(arguments: argparse.Namespace) -> None:
    """Train a detector, or fine-tune one, and write it."""
    from jaxnoisy import files
    from jaxnoisy.detect import save_detector

    out = Path(arguments.out)
    if out.suffix != ".npz" or out.is_dir():
        raise ValueError(f"--out must be the name of an .npz file, but is {arguments.out!r}")
    writable(out.parent, made=False)
    more = {} if arguments.card is None else files.read_json(arguments.card)
    if not isinstance(more, dict):
        raise ValueError(f"{arguments.card!r} must hold a JSON object, but holds {type(more).__name__}")
    detector = _learned(arguments)
    save_detector(out, dataclasses.replace(detector, card={**detector.card, **more}))
    card = detector.card
    kept = "the detector as it was kept" if card["best epoch"] == 0 else f"epoch {card['best epoch']} kept"
    print(
        f"learned from {card['examples']} examples, {card['mislabeled']} of them mislabeled; {kept}, AUC "
        f"{card['validation auc']:.4f} on those held out: {arguments.out}"
    )


def _learned(arguments: argparse.Namespace) -> "LSTMDetector":
    import jax

    from jaxnoisy.detect import LSTMConfig, fine_tune, load_detector, shipped_detector, train_detector
    from jaxnoisy.detect.lstm_config import FINE_TUNING
    from jaxnoisy.dynamics.inputs import pooled

    key = jax.random.key(arguments.seed)
    names = ("epochs", "batch_size", "learning_rate")
    chosen: dict[str, Any] = {n: getattr(arguments, n) for n in names if getattr(arguments, n) is not None}
    if arguments.start is not None:
        for option in _OF_A_NEW_ONE:
            if getattr(arguments, option) is not None:
                raise ValueError(f"--{option} is for a new detector, and --from goes on with one that has its own")
        before = shipped_detector() if arguments.start == "shipped" else load_detector(arguments.start)
        traces, flips = _known(arguments)
        config = dataclasses.replace(FINE_TUNING, **chosen)
        return fine_tune(key, before, traces, flips, config, about=arguments.about)
    if arguments.signals is not None:
        chosen["signals"] = tuple(part.strip() for part in arguments.signals.split(","))
    config = LSTMConfig(**chosen)
    traces, flips = _known(arguments)
    values = pooled(traces, signals=config.signals, epochs=arguments.length)
    return train_detector(key, values, flips, config, about=arguments.about)


def _known(arguments: argparse.Namespace) -> tuple[list["Trace"], "np.ndarray"]:
    """The traces, and which of their labels were wrong, one after the other."""
    import numpy as np

    from jaxnoisy import dynamics
    from jaxnoisy.files import read_named

    given = arguments.clean_labels
    if given is not None and len(given) != len(arguments.trace):
        raise ValueError(
            f"--clean-labels must name one file for each trace, but names {len(given)} for {len(arguments.trace)}"
        )
    traces, flips = [], []
    for i, name in enumerate(arguments.trace):
        trace, wrong = read_trace(name)
        if given is not None:
            wrong = dynamics.flips(trace, read_named(given[i], "clean_labels"))
        if wrong is None:
            raise ValueError(
                f"nothing says which labels of {name!r} were wrong: give --clean-labels FILE, or the folder of a "
                "jaxnoisy detect on data with clean_labels"
            )
        traces.append(trace)
        flips.append(wrong)
    return traces, np.concatenate(flips)
