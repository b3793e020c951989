"""``jaxnoisy repair --method remove|relabel``: one pass, by any detector's ranking."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jaxnoisy.cli.clean import load_test
from jaxnoisy.cli.folders import checkpoints, nothing_left_by_bad_input
from jaxnoisy.cli.methods import own_detectors
from jaxnoisy.cli.models import to_train

if TYPE_CHECKING:
    from jaxnoisy.data import Dataset
    from jaxnoisy.dynamics import Trace
    from jaxnoisy.refine.setting import OnEpoch
    from jaxnoisy.repaired import Repaired
    from jaxnoisy.training.trained import Trained


def run(arguments: argparse.Namespace, out: Path, original: Path) -> None:
    """Rank by a detector, take the most suspicious examples, and train anew.

    Args:
        arguments: of ``repair``.
        out: the folder of the results, claimed already.
        original: where the checkpoints of the first run go.
    """
    from jaxnoisy import check, data, report
    from jaxnoisy.detect import TRACE_METHODS
    from jaxnoisy.mesh import default_mesh
    from jaxnoisy.progress import epoch_bar
    from jaxnoisy.retrain import retrain
    from jaxnoisy.timing import timed
    from jaxnoisy.training.checkpoint import quiet_writers
    from jaxnoisy.training.recipes import recipe

    name = check.one_of(arguments.rank_by or "lstm", tuple(TRACE_METHODS), name="--rank-by")
    own = own_detectors((name,), arguments)
    examples = data.load(
        arguments.data, labels=arguments.labels, data_dir=arguments.data_dir, skip_broken=arguments.skip_broken
    )
    test = None if arguments.test is None else load_test(arguments, examples)
    if arguments.true_labels and examples.clean_labels is None:
        raise ValueError("--true-labels needs data with clean_labels: leave it out, and a model gives the labels")
    timings: dict[str, float] = {}
    with nothing_left_by_bad_input(out), quiet_writers(), epoch_bar() as progress:
        trained, trace = _first(arguments, examples, name, original, timings, progress)
        with timed(timings, f"detect {name}"):
            detection = (own[name] if name in own else TRACE_METHODS[name]())(trace)
        config = recipe(
            str(trained.settings["model"]),
            examples,
            epochs=arguments.epochs or trained.settings["epochs"],
            learning_rate=arguments.learning_rate,
            batch_size=arguments.batch_size,
            seed=arguments.seed,
        )
        repaired, _ = retrain(
            examples,
            trained,
            detection,
            method=arguments.method,
            fraction=arguments.fraction,
            threshold=arguments.threshold,
            class_floor=arguments.class_floor,
            true_labels=bool(arguments.true_labels),
            config=config,
            test=test,
            checkpoints=checkpoints(out),
            resume=arguments.resume,
            mesh=default_mesh(arguments.devices, config.batch_size),
            seed=arguments.seed,
            on_epoch=progress,
            settings={"ranked_by": name, **({"detector": arguments.detector} if own else {})},
            timings=timings,
        )
    report.write_repair(repaired, out, overwrite=arguments.resume)
    print(f"{_outcome(repaired, name)}; report: {out / 'report.html'}")


def _first(
    arguments: argparse.Namespace,
    examples: "Dataset",
    name: str,
    folder: Path,
    timings: dict[str, float],
    progress: "OnEpoch",
) -> tuple["Trained", "Trace"]:
    """Model and trace of an earlier ``detect``, or of a run made now."""
    from jaxnoisy import dynamics
    from jaxnoisy.detect import NEEDS_PROBABILITIES
    from jaxnoisy.mesh import default_mesh
    from jaxnoisy.retrain import first_run
    from jaxnoisy.timing import timed
    from jaxnoisy.training import trained
    from jaxnoisy.training.recipes import recipe

    model = to_train(arguments, examples)
    if model is None:
        path = Path(arguments.model) / "trace.npz"
        if not path.exists():
            raise ValueError(
                f"--model {arguments.model} holds no trace.npz, which {arguments.method} ranks by: name the folder of "
                "a jaxnoisy detect, or a model to train"
            )
        trace = dynamics.load(path)
        dynamics.same_labels(trace, examples.labels)
        with timed(timings, "read the model"):
            return trained.load(arguments.model, examples), trace
    config = recipe(
        model,
        examples,
        epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
    )
    with timed(timings, "train"):
        return first_run(
            examples,
            model,
            config,
            probabilities=name in NEEDS_PROBABILITIES,
            seed=arguments.seed,
            mesh=default_mesh(arguments.devices, config.batch_size),
            checkpoints=folder,
            resume=arguments.resume,
            on_epoch=lambda report: progress("model", report, config.epochs),
        )


def _outcome(found: "Repaired", name: str) -> str:
    taken, changed = int(found.removed.sum()), int((found.changed & found.used).sum())
    done = "removed" if found.method == "remove" else f"looked at anew and {changed} changed"
    first, last = (found.accuracies[model] for model in ("original", found.final))
    gain = f"; test accuracy from {first['test']:.4f} to {last['test']:.4f}" if "test" in last else ""
    return f"{taken} of {len(found)} labels {done}, as {name} ranks them{gain}"
