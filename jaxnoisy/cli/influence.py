"""``jaxnoisy influence``."""

import argparse
from pathlib import Path

from jaxnoisy.cli.folders import claim, free_folder
from jaxnoisy.cli.models import to_train, train_or_read


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
        skip_broken=arguments.skip_broken and kind in data.SKIPPING,
    )
    if arguments.top > len(examples):
        raise ValueError(f"--top is {arguments.top}, but there are only {len(examples)} training examples")
    if arguments.epochs is not None and to_train(arguments, examples) is None:
        raise ValueError(f"--epochs is for training, but {arguments.model!r} holds a trained model: leave it out")
    timings: dict[str, float] = {}
    found = explain(
        examples,
        queries.dataset,
        train_or_read(arguments, examples, timings),
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
