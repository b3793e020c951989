"""``jaxnoisy influence``."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jaxnoisy.cli.folders import claim, free_folder

if TYPE_CHECKING:
    from jaxnoisy.data import Dataset
    from jaxnoisy.training.trained import Trained


def run(arguments: argparse.Namespace) -> None:
    """Train or read a model, and find the training examples behind its predictions."""
    from jaxnoisy import check, data, report
    from jaxnoisy.explain import METHODS, explain

    out = Path(arguments.out) if arguments.out else free_folder("jaxnoisy-influence")
    arguments.out = str(out)
    check.one_of(arguments.method, METHODS, name="--method")
    claim(out, report.INFLUENCE_FILES)
    examples = data.load(
        arguments.data, labels=arguments.labels, data_dir=arguments.data_dir, skip_broken=arguments.skip_broken
    )
    kind = arguments.queries.partition(":")[0]
    queries = data.load_queries(
        arguments.queries,
        examples,
        data_dir=arguments.data_dir if kind == "tfds" else None,
        skip_broken=arguments.skip_broken and kind in ("folder", "tfds"),
    )
    if arguments.top > len(examples):
        raise ValueError(f"--top is {arguments.top}, but there are only {len(examples)} training examples")
    timings: dict[str, float] = {}
    found = explain(
        examples,
        queries.dataset,
        _model(arguments, examples, timings),
        method=arguments.method,
        damping=arguments.damping,
        count=arguments.top,
        query_rows=queries.rows,
        timings=timings,
    )
    report.write_influences(found, out, matrix=arguments.full)
    said = "" if found.solution.converged.all() else f"; {found.convergence}"
    print(
        f"the {arguments.top} most helpful and most harmful of {len(examples)} training examples for {len(found)} "
        f"queries{said}; report: {out / 'report.html'}"
    )


def _model(arguments: argparse.Namespace, examples: "Dataset", timings: dict[str, float]) -> "Trained":
    from jaxnoisy.mesh import default_mesh
    from jaxnoisy.models import MODEL_NAMES
    from jaxnoisy.progress import epoch_bar
    from jaxnoisy.timing import timed
    from jaxnoisy.training import trained
    from jaxnoisy.training.recipes import default_model, recipe

    name = default_model(examples) if arguments.model == "auto" else arguments.model
    if name in MODEL_NAMES:
        config = recipe(name, examples, epochs=arguments.epochs, seed=arguments.seed, record="none")
        with timed(timings, "train"), epoch_bar() as progress:
            return trained.train(
                examples,
                model=name,
                config=config,
                seed=arguments.seed,
                mesh=default_mesh(None, config.batch_size),
                on_epoch=lambda report: progress("model", report, config.epochs),
            )
    if not Path(name).is_dir():
        raise ValueError(
            f"--model must be the folder of a finished jaxnoisy detect, or one of {', '.join(MODEL_NAMES)}, but is "
            f"{name!r}"
        )
    if arguments.epochs is not None:
        raise ValueError(f"--epochs is for training, but {name!r} holds a trained model: leave it out")
    with timed(timings, "read the model"):
        return trained.load(name, examples)
