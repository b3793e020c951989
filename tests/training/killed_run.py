"""A run that ends itself by SIGKILL at a chosen moment; the tests start it as a program of its own."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from tiny import MLP, features

from jaxnoisy.training import TrainConfig, fit
from jaxnoisy.training.checkpoint import Checkpoints

CONFIG = TrainConfig(epochs=10, batch_size=16, learning_rate=0.05)


def run(folder: Path, **options):
    """Dropout, so that random keys are part of the state; a spilled trace, so that there are two places to write to."""
    paths = {"checkpoints": folder / "run", "spill": folder / "trace"} if folder else {}
    return fit(MLP(6, 3, dropout=0.3), features(), CONFIG, probabilities=True, **paths, **options)


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_writing(folder: Path):
    """End the process as soon as a checkpoint is being written (Orbax renames it when it is whole)."""

    def watch():
        while not any("tmp" in name for name in os.listdir(folder / "run")):
            time.sleep(1e-4)
        die()

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    import jax

    jax.config.update("jax_num_cpu_devices", 8)  # as in the process that resumes
    moment, folder = sys.argv[1], Path(sys.argv[2])
    if moment == "before the first checkpoint":
        Checkpoints.save = die
        run(folder)
    elif moment == "after epoch 4":
        run(folder, resume=True, on_epoch=lambda report: die() if report.epoch == 4 else None)
    elif moment == "while writing":
        run(folder, resume=True, on_epoch=lambda r: die_while_writing(folder) if r.epoch == 7 else time.sleep(0.02))
