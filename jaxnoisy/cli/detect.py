"""``jaxnoisy detect``."""

import argparse
import dataclasses
from pathlib import Path

from jaxnoisy.cli.clean import load_clean
from jaxnoisy.cli.folders import checkpoints, claim, free_folder, nothing_left_by_bad_input
from jaxnoisy.cli.methods import chosen_methods, own_detectors, with_options
from jaxnoisy.cli.results import finish


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
    asked, detectors = with_options(methods, arguments), own_detectors(methods, arguments)
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
            methods=asked,
            detectors=detectors,
            model=model,
            config=config,
            seed=arguments.seed,
            dtype=arguments.dtype,
            mesh=default_mesh(arguments.devices, config.batch_size),
            checkpoints=checkpoints(out),
            resume=arguments.resume,
            progress=progress,
        )
    if arguments.detector is not None:
        findings = dataclasses.replace(findings, settings={**findings.settings, "detector": arguments.detector})
    finish(findings, out, overwrite=arguments.resume)
