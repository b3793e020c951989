"""``jaxnoisy detect``."""

import argparse
from pathlib import Path

from jaxnoisy.cli.folders import checkpoints, claim, free_folder, nothing_left_by_bad_input
from jaxnoisy.cli.results import chosen_methods, finish


def run(arguments: argparse.Namespace) -> None:
    """Train on the data, and rank the suspicious labels."""
    from jaxnoisy import data
    from jaxnoisy.audit import METHODS, audit, within
    from jaxnoisy.detect import TRACE_METHODS
    from jaxnoisy.mesh import default_mesh
    from jaxnoisy.progress import epoch_bar
    from jaxnoisy.training.checkpoint import quiet_writers
    from jaxnoisy.training.recipes import default_model, recipe

    everything = METHODS if arguments.epochs is None else within(arguments.epochs, METHODS)
    reading_one_run = tuple(name for name in everything if name in TRACE_METHODS)
    methods = chosen_methods(arguments.method, METHODS, everything=everything, default=reading_one_run)
    if arguments.resume and not arguments.out:
        raise ValueError("--resume needs --out, the folder of the run to go on with")
    out = Path(arguments.out) if arguments.out else free_folder("jaxnoisy-detect")
    arguments.out = str(out)
    claim(out, overwrite=arguments.resume and checkpoints(out).exists())
    examples = data.load(
        arguments.data, labels=arguments.labels, data_dir=arguments.data_dir, skip_broken=arguments.skip_broken
    )
    model = default_model(examples) if arguments.model == "auto" else arguments.model
    chosen = ("epochs", "seed", "batch_size", "learning_rate", "optimizer", "record", "flip", "crop")
    config = recipe(model, examples, **{name: getattr(arguments, name) for name in chosen})
    with nothing_left_by_bad_input(out), quiet_writers(), epoch_bar() as progress:
        findings = audit(
            examples,
            methods=methods,
            model=model,
            config=config,
            seed=arguments.seed,
            dtype=arguments.dtype,
            mesh=default_mesh(arguments.devices, config.batch_size),
            checkpoints=checkpoints(out),
            resume=arguments.resume,
            progress=progress,
        )
    finish(findings, out, overwrite=arguments.resume)
