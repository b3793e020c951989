"""``--model``, for the commands that work on a trained one: a name to train, or the folder of an earlier run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxnoisy.data import Dataset
    from jaxnoisy.training.trained import Trained


def to_train(arguments: argparse.Namespace, examples: "Dataset") -> str | None:
    """The name of the model to train, or None where ``--model`` is a folder that holds one.

    Raises:
        ValueError: it is neither.
    """
    from jaxnoisy.models import MODEL_NAMES
    from jaxnoisy.training.recipes import default_model

    name = default_model(examples) if arguments.model == "auto" else arguments.model
    if name in MODEL_NAMES:
        return str(name)
    if not Path(name).is_dir():
        raise ValueError(
            f"--model must be the folder of a finished jaxnoisy detect or repair, or one of {', '.join(MODEL_NAMES)}, "
            f"but is {name!r}"
        )
    return None


def train_or_read(
    arguments: argparse.Namespace,
    examples: "Dataset",
    timings: dict[str, float],
    *,
    devices: int | None = None,
    checkpoints: Path | None = None,
    resume: bool = False,
    **chosen: Any,
) -> "Trained":
    """The model that ``--model`` says.

    Args:
        arguments: with ``model``, ``epochs`` and ``seed``.
        examples: the training data.
        timings: seconds by stage, to be added to.
        devices: how many to train on; all by default.
        checkpoints: where training leaves its checkpoints, if anywhere.
        resume: go on from these.
        chosen: how to train, where it is not by the recipe.
    """
    from jaxnoisy.mesh import default_mesh
    from jaxnoisy.progress import epoch_bar
    from jaxnoisy.timing import timed
    from jaxnoisy.training import trained
    from jaxnoisy.training.recipes import recipe

    name = to_train(arguments, examples)
    if name is None:
        with timed(timings, "read the model"):
            return trained.load(arguments.model, examples)
    config = recipe(name, examples, epochs=arguments.epochs, seed=arguments.seed, record="none", **chosen)
    with timed(timings, "train"), epoch_bar() as progress:
        return trained.train(
            examples,
            model=name,
            config=config,
            seed=arguments.seed,
            mesh=default_mesh(devices, config.batch_size),
            checkpoints=checkpoints,
            resume=resume,
            on_epoch=lambda report: progress("model", report, config.epochs),
        )
