"""``jaxnoisy detect``."""

import argparse
from pathlib import Path
from typing import Any

from jaxnoisy.cli.clean import load_clean
from jaxnoisy.cli.folders import checkpoints, claim, free_folder, nothing_left_by_bad_input
from jaxnoisy.cli.results import chosen_methods, finish


def run(arguments: argparse.Namespace) -> None:
    """Train on the data, and rank the suspicious labels."""
    from jaxnoisy import data
    from jaxnoisy.audit import METHODS, allowed, audit
    from jaxnoisy.mesh import default_mesh
    from jaxnoisy.progress import epoch_bar
    from jaxnoisy.training.checkpoint import quiet_writers
    from jaxnoisy.training.recipes import default_model, recipe

    given = arguments.clean is not None
    methods = chosen_methods(
        arguments.method,
        METHODS,
        everything=allowed(arguments.epochs, clean=given),
        default=allowed(arguments.epochs, clean=given, more_runs=False),
    )
    options = _own_options(arguments, methods)
    if arguments.resume and not arguments.out:
        raise ValueError("--resume needs --out, the folder of the run to go on with")
    out = Path(arguments.out) if arguments.out else free_folder("jaxnoisy-detect")
    arguments.out = str(out)
    claim(out, overwrite=arguments.resume and checkpoints(out).exists())
    examples = data.load(
        arguments.data,
        labels=arguments.labels,
        data_dir=arguments.data_dir,
        skip_broken=arguments.skip_broken,
        flow="influential-rank" in methods and arguments.data.startswith("clips:"),
    )
    clean = None
    if given:
        examples, clean = load_clean(arguments, examples)
    model = default_model(examples) if arguments.model == "auto" else arguments.model
    chosen = ("epochs", "seed", "batch_size", "learning_rate", "optimizer", "record", "flip", "crop")
    config = recipe(model, examples, **{name: getattr(arguments, name) for name in chosen})
    with nothing_left_by_bad_input(out), quiet_writers(), epoch_bar() as progress:
        findings = audit(
            examples,
            clean=clean,
            methods=methods,
            model=model,
            config=config,
            seed=arguments.seed,
            dtype=arguments.dtype,
            mesh=default_mesh(arguments.devices, config.batch_size),
            checkpoints=checkpoints(out),
            resume=arguments.resume,
            progress=progress,
            **options,
        )
    finish(findings, out, overwrite=arguments.resume)


def _own_options(arguments: argparse.Namespace, methods: tuple[str, ...]) -> dict[str, Any]:
    """The options of influential-rank that were given; refuses them where it does not run."""
    names = ("gamma", "damping", "solver")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    if given and "influential-rank" not in methods:
        raise ValueError(f"--{next(iter(given))} is for influential-rank, which is not among the methods: leave it out")
    return given
