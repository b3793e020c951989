"""``jaxnoisy repair``."""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxnoisy.cli import retrain
from jaxnoisy.cli.clean import load_clean, load_test
from jaxnoisy.cli.folders import checkpoints, claim, free_folder, nothing_left_by_bad_input
from jaxnoisy.cli.models import to_train, train_or_read

if TYPE_CHECKING:
    from jaxnoisy.repair import RoundInfo
    from jaxnoisy.repaired import Repaired

ORIGINAL = "original"
"""Where the checkpoints lie of the model that a repair begins with."""

_OF_ROUNDS = {
    "rounds": 2,
    "gamma": 0.8,
    "damping": 0.01,
    "solver": "exact",
    "keep_above": 0.8,
    "post_epochs": None,
    "post_learning_rate": None,
    "clean": None,
}
_IN_ONE_PASS = dict.fromkeys(("fraction", "threshold", "rank_by", "detector", "true_labels"))


def run(arguments: argparse.Namespace) -> None:
    """Drop or relabel suspicious examples, in rounds or in one pass, and train anew."""
    from jaxnoisy import check
    from jaxnoisy.refine import METHODS
    from jaxnoisy.retrain import METHODS as IN_ONE_PASS

    check.one_of(arguments.method, (*METHODS, *IN_ONE_PASS), name="--method")
    once = arguments.method in IN_ONE_PASS
    for option in _OF_ROUNDS if once else _IN_ONE_PASS:
        if getattr(arguments, option) is not None:
            others = METHODS if once else IN_ONE_PASS
            raise ValueError(f"--{option.replace('_', '-')} is for {' and '.join(others)}: leave it out")
    if not once and arguments.clean is None:
        raise ValueError(f"--method {arguments.method} needs --clean, examples whose labels are known to be right")
    for option, default in _OF_ROUNDS.items():
        if getattr(arguments, option) is None:
            setattr(arguments, option, default)
    if arguments.resume and not arguments.out:
        raise ValueError("--resume needs --out, the folder of the repair to go on with")
    out = Path(arguments.out) if arguments.out else free_folder("jaxnoisy-repair")
    arguments.out = str(out)
    _claim(out, resume=arguments.resume)
    if once:
        retrain.run(arguments, out, checkpoints(out) / ORIGINAL)
    else:
        _in_rounds(arguments, out)


def _in_rounds(arguments: argparse.Namespace, out: Path) -> None:
    from jaxnoisy import data, report
    from jaxnoisy.data.clean import describe_clean
    from jaxnoisy.mesh import default_mesh
    from jaxnoisy.progress import epoch_bar
    from jaxnoisy.refine import post_recipe, refine, refuse_beforehand
    from jaxnoisy.training.checkpoint import quiet_writers
    from jaxnoisy.training.recipes import recipe

    whole = data.load(
        arguments.data, labels=arguments.labels, data_dir=arguments.data_dir, skip_broken=arguments.skip_broken
    )
    examples, clean = load_clean(arguments, whole)
    test = None if arguments.test is None else load_test(arguments, examples)
    choices: dict[str, Any] = {
        "method": arguments.method,
        "rounds": arguments.rounds,
        "gamma": arguments.gamma,
        "damping": arguments.damping,
        "solver": arguments.solver,
        "class_floor": arguments.class_floor,
        "relabel_above": arguments.keep_above,
        "seed": arguments.seed,
    }
    own = {"learning_rate": arguments.learning_rate, "batch_size": arguments.batch_size}
    timings: dict[str, float] = {}
    with nothing_left_by_bad_input(out), quiet_writers():
        if (name := to_train(arguments, examples)) is not None:
            refuse_beforehand(name, examples, clean, test=test, **choices)
        trained = train_or_read(
            arguments,
            examples,
            timings,
            devices=arguments.devices,
            checkpoints=checkpoints(out) / ORIGINAL,
            resume=arguments.resume,
            **own,
        )
        name, epochs = str(trained.settings["model"]), arguments.epochs or trained.settings["epochs"]
        anew = recipe(name, examples, epochs=epochs, seed=arguments.seed, record="none", **own)
        with epoch_bar() as progress:
            repaired, _ = refine(
                examples,
                clean,
                trained,
                **choices,
                config=post_recipe(
                    name,
                    examples,
                    epochs=arguments.post_epochs,
                    learning_rate=arguments.post_learning_rate or arguments.learning_rate,
                    batch_size=arguments.batch_size,
                    seed=arguments.seed,
                ),
                anew=anew,
                test=test,
                checkpoints=checkpoints(out),
                resume=arguments.resume,
                whole=whole,
                mesh=default_mesh(arguments.devices, anew.batch_size),
                on_epoch=progress,
                on_round=lambda info: print(_line(info, len(examples)), flush=True),
                timings=timings,
            )
    described = describe_clean(clean, examples)
    repaired = dataclasses.replace(repaired, settings={**repaired.settings, **described})
    report.write_repair(repaired, out, overwrite=arguments.resume)
    print(f"{_outcome(repaired)}; report: {out / 'report.html'}")


def _claim(out: Path, *, resume: bool) -> None:
    """Refuse a folder of other results, also where a repair is to go on: its files would replace theirs."""
    from jaxnoisy import report
    from jaxnoisy.training.checkpoint import read_run

    claim(out, report.REPAIR_FILES, overwrite=resume and checkpoints(out).exists())
    report.refuse_other_results(out, [name for name in report.FILES if name not in report.REPAIR_FILES])
    main = checkpoints(out) / "main"
    if main.exists() and not read_run(main).get("refined"):
        raise ValueError(f"{str(out)!r} holds a run of jaxnoisy detect: name another folder")


def _line(info: "RoundInfo", n: int) -> str:
    known = "" if info.precision is None else f", {info.precision:.1%} of them wrong"
    measured = "".join(f"; {name} accuracy {value:.4f}" for name, value in info.measures.items())
    return f"round {info.round}: {len(info.removed)} of {n} labels flagged{known}. {info.reason.rstrip('.')}{measured}"


def _outcome(found: "Repaired") -> str:
    changed, left_out = int((found.changed & found.used).sum()), int((~found.used).sum())
    first, last = found.accuracies["original"], found.accuracies[found.final]
    of = "test" if "test" in last else "validation"
    return (
        f"{changed} of {len(found)} labels changed, {left_out} examples left out; {of} accuracy from {first[of]:.4f} "
        f"to {last[of]:.4f}"
    )
