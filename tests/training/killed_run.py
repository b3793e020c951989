"""A run that ends itself by SIGKILL at a chosen moment; the tests start it in a process of its own."""

import os
import signal
from pathlib import Path

from tiny import MLP, features

from jaxnoisy.training import TrainConfig, fit
from jaxnoisy.training.checkpoint import Checkpoints

CONFIG = TrainConfig(epochs=10, batch_size=16, learning_rate=0.05)


def run(folder: Path | None, **options):
    """Dropout, so that random keys are part of the state; a spilled trace, so that there are two places to write to."""
    paths = {"checkpoints": folder / "run", "spill": folder / "trace"} if folder else {}
    return fit(MLP(6, 3, dropout=0.3), features(), CONFIG, probabilities=True, **paths, **options)


def die(*_arguments, **_options):
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_the_next_rename(*_):
    """End the process when a checkpoint has been written and Orbax is about to give it its name."""
    os.rename = die


def until(moment: str, folder: Path) -> None:
    """Run, or go on, up to the moment."""
    if moment == "before the first checkpoint":
        Checkpoints.save = die
        run(folder)
    elif moment == "after epoch 4":
        run(folder, resume=True, on_epoch=lambda report: die() if report.epoch == 4 else None)
    elif moment == "while writing":
        run(folder, resume=True, on_epoch=lambda report: die_at_the_next_rename() if report.epoch == 7 else None)
