"""The command line: a thin layer over :func:`jaxnoisy.audit.audit`, :func:`jaxnoisy.findings.find` and ``noise``.

Heavy imports (Flax, matplotlib) happen inside the commands, so that ``--help`` and a mistyped option answer at once.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import jaxnoisy

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130

_DATA_HELP = "digits | npz:FILE | folder:DIR | csv:FILE | tfds:NAME[@SPLIT]"
_LABELS_HELP = "npy:FILE | cifar10n:FILE:NAME | cifar100n:FILE:NAME: other given labels for the same examples"


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 2 bad input, 1 training failed, 130 interrupted."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, TypeError, OSError) as error:
        return _complain(error, BAD_INPUT)
    except FloatingPointError as error:
        return _complain(error, FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted; what was finished is in the checkpoints (--resume)", INTERRUPTED)
    return 0


def _complain(what: object, code: int) -> int:
    line = " ".join(str(what).split())
    print(f"jaxnoisy: error: {line}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="jaxnoisy", description="Find, weigh and repair mislabeled training examples.")
    parser.add_argument("--version", action="version", version=f"jaxnoisy {jaxnoisy.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)

    demo = _command(commands, "demo", _demo, "every detector on digits with flipped labels", "jaxnoisy demo --out demo")
    demo.add_argument("--rate", type=float, default=0.1, help="share of labels flipped (default 0.1)")
    demo.add_argument("--seed", type=int, default=0, help="of the flips and the training (default 0)")
    demo.add_argument("--out", help="folder for the results (default: a new folder jaxnoisy-demo)")

    detect = _command(
        commands,
        "detect",
        _detect,
        "rank the suspicious labels of your own data",
        "jaxnoisy detect --data folder:photos --method aum,confident-learning --epochs 20 --out photos-audit",
    )
    detect.add_argument("--data", required=True, metavar="SPEC", help=_DATA_HELP)
    detect.add_argument("--labels", metavar="SPEC", help=_LABELS_HELP)
    detect.add_argument("--method", default="", metavar="a,b|all", help="methods; the first is the one reported")
    detect.add_argument("--model", default="auto", metavar="NAME", help="auto (cnn or mlp), linear, resnet18, ...")
    detect.add_argument("--epochs", type=int, help="passes over the data (default: the model's recipe)")
    detect.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    detect.add_argument("--out", metavar="DIR", help="folder for the results (default: a new folder jaxnoisy-detect)")
    detect.add_argument("--resume", action="store_true", help="go on with the run in --out, if one was interrupted")
    detect.add_argument("--batch-size", type=int, help="examples per step")
    detect.add_argument("--learning-rate", type=float, help="at the start of the schedule")
    detect.add_argument("--optimizer", choices=("sgd", "adamw"), help="default sgd")
    detect.add_argument("--record", choices=("train", "eval"), help="dynamics from the step itself, or an extra pass")
    detect.add_argument("--flip", action="store_true", default=None, help="mirror images at random")
    detect.add_argument("--crop", type=int, metavar="PIXELS", help="pad and crop images at random")
    detect.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the computation")
    detect.add_argument("--devices", type=int, metavar="N", help="train on N devices (default: all there are)")
    detect.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps its data")
    detect.add_argument("--skip-broken", action="store_true", help="leave out and list images that cannot be read")

    score = _command(
        commands,
        "score",
        _score,
        "run detectors on arrays that any framework wrote",
        "jaxnoisy score --method confident-learning --pred-probs probs.npy --labels labels.npy --out scored",
    )
    score.add_argument("--method", default="", metavar="a,b|all", help="methods; the first is the one reported")
    score.add_argument("--trace", metavar="FILE", help="a trace (.npz) or the folder of a spilled one")
    score.add_argument("--pred-probs", metavar="FILE", help="class probabilities (n, c): .npy, or .npz with pred_probs")
    score.add_argument("--labels", metavar="FILE", help="given labels (n,): .npy, or .npz with labels")
    score.add_argument("--clean-labels", metavar="FILE", help="true labels, where known, to measure the detectors")
    score.add_argument("--out", required=True, metavar="DIR", help="folder for the results")

    noise = _command(
        commands,
        "noise",
        _noise,
        "write noisy labels and the mask of flips",
        "jaxnoisy noise --labels npy:labels.npy --kind symmetric --rate 0.2 --seed 0 --out noisy.npz",
    )
    noise.add_argument("--labels", required=True, metavar="npy:FILE", help="clean labels (n,)")
    noise.add_argument("--kind", required=True, metavar="KIND", help="symmetric | asymmetric | instance | superclass")
    noise.add_argument("--rate", required=True, type=float, help="noise rate in [0, 1]")
    noise.add_argument("--seed", type=int, default=0, help="of the flips (default 0)")
    noise.add_argument("--num-classes", type=int, help="default: one more than the largest label")
    noise.add_argument("--inputs", metavar="npy:FILE", help="inputs (n, ...), for instance noise")
    noise.add_argument("--features", default="raw", help="feature scale of instance noise: raw | unit_norm")
    noise.add_argument("--groups", metavar="npy:FILE", help="superclass of each class (c,), for superclass noise")
    noise.add_argument("--out", required=True, metavar="FILE", help="an .npz with labels, mask and clean_labels")
    return parser


def _command(
    commands: "argparse._SubParsersAction[_Parser]", name: str, run: Callable, summary: str, example: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _demo(arguments: argparse.Namespace) -> None:
    import jax
    import numpy as np

    from jaxnoisy import data, noise, report
    from jaxnoisy.audit import METHODS, audit
    from jaxnoisy.progress import epoch_bar

    out = Path(arguments.out) if arguments.out else _free_folder("jaxnoisy-demo")
    report.refuse_other_run(out)
    clean = data.load("digits")
    corrupt = noise.symmetric(num_classes=clean.num_classes, rate=arguments.rate, exact=True)
    flipped = np.asarray(corrupt(jax.random.key(arguments.seed), clean.labels).labels)
    noisy = data.make(
        clean.inputs, flipped, class_names=clean.class_names, clean_labels=clean.labels, name="digits, labels flipped"
    )
    with epoch_bar() as progress:
        findings = audit(noisy, methods=METHODS, model="mlp", seed=arguments.seed, progress=progress)
    _finish(findings, out)


def _detect(arguments: argparse.Namespace) -> None:
    from jaxnoisy import data, report
    from jaxnoisy.audit import METHODS, audit
    from jaxnoisy.detect import TRACE_METHODS
    from jaxnoisy.mesh import default_mesh
    from jaxnoisy.progress import epoch_bar
    from jaxnoisy.training.recipes import default_model, recipe

    methods = _methods(arguments.method, METHODS, default=tuple(TRACE_METHODS))
    if arguments.resume and not arguments.out:
        raise ValueError("--resume needs --out, the folder of the run to go on with")
    out = Path(arguments.out) if arguments.out else _free_folder("jaxnoisy-detect")
    checkpoints = out / "checkpoints"
    if not arguments.resume or not checkpoints.exists():
        report.refuse_other_run(out)
    examples = data.load(
        arguments.data, labels=arguments.labels, data_dir=arguments.data_dir, skip_broken=arguments.skip_broken
    )
    model = default_model(examples) if arguments.model == "auto" else arguments.model
    chosen = ("epochs", "seed", "batch_size", "learning_rate", "optimizer", "record", "flip", "crop")
    config = recipe(model, examples, **{name: getattr(arguments, name) for name in chosen})
    with epoch_bar() as progress:
        findings = audit(
            examples,
            methods=methods,
            model=model,
            config=config,
            seed=arguments.seed,
            dtype=arguments.dtype,
            mesh=default_mesh(arguments.devices, config.batch_size),
            checkpoints=checkpoints,
            resume=arguments.resume,
            progress=progress,
        )
    _finish(findings, out, overwrite=arguments.resume)


def _score(arguments: argparse.Namespace) -> None:
    from jaxnoisy import dynamics, report
    from jaxnoisy.detect import TRACE_METHODS, methods_for
    from jaxnoisy.files import read_named
    from jaxnoisy.findings import find

    report.refuse_other_run(Path(arguments.out))
    if (arguments.trace is None) == (arguments.pred_probs is None):
        raise ValueError("give either --trace FILE, or --pred-probs FILE with --labels FILE")
    labels = None if arguments.labels is None else read_named(arguments.labels, "labels")
    if arguments.trace is not None:
        trace = dynamics.load(arguments.trace)
        if labels is not None:
            dynamics.same_labels(trace, labels)
    elif labels is None:
        raise ValueError("--pred-probs needs --labels FILE, the given label of each row")
    else:
        trace = dynamics.from_probabilities(read_named(arguments.pred_probs, "pred_probs"), labels)
    applicable = methods_for(trace)
    methods = _methods(arguments.method, tuple(TRACE_METHODS), default=applicable, everything=applicable)
    flips = None
    if arguments.clean_labels is not None:
        flips = dynamics.flips(trace, read_named(arguments.clean_labels, "clean_labels"))
    settings = {"methods": list(methods), "trace": arguments.trace, "pred_probs": arguments.pred_probs}
    _finish(find(trace, methods, flips=flips, settings=settings), Path(arguments.out), trace=False)


def _noise(arguments: argparse.Namespace) -> None:
    import jax
    import numpy as np

    from jaxnoisy import check, files, noise

    clean = check.labels(files.read_named(arguments.labels, "labels"))
    c = arguments.num_classes or int(clean.max()) + 1
    groups = None if arguments.groups is None else files.read_named(arguments.groups, "groups")
    inputs = None if arguments.inputs is None else files.read_named(arguments.inputs, "inputs")
    corrupt = noise.by_kind(
        arguments.kind, num_classes=c, rate=arguments.rate, groups=groups, features=arguments.features
    )
    if arguments.seed < 0:
        raise ValueError(f"--seed must be a whole number >= 0, but is {arguments.seed}")
    noisy = corrupt(jax.random.key(arguments.seed), clean, inputs)
    mask = np.asarray(noisy.mask)
    files.write_npz(arguments.out, {"labels": np.asarray(noisy.labels), "mask": mask, "clean_labels": clean})
    print(f"{int(mask.sum())} of {len(mask)} labels flipped ({mask.mean():.2%}): {arguments.out}")


def _methods(
    text: str, known: tuple[str, ...], *, default: tuple[str, ...], everything: tuple[str, ...] | None = None
) -> tuple[str, ...]:
    from jaxnoisy.check import one_of

    if not text:
        return default
    if text == "all":
        return everything or known
    return tuple(dict.fromkeys(one_of(name.strip(), (*known, "all"), name="--method") for name in text.split(",")))


def _free_folder(name: str) -> Path:
    """``name``, or ``name-2``, ``name-3``, ... where it is taken."""
    number = 1
    while (path := Path(name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return path


def _finish(findings, out: Path, *, trace: bool = True, overwrite: bool = False) -> None:  # type: ignore[no-untyped-def]
    from rich.console import Console

    from jaxnoisy import report

    report.write(findings, out, trace=trace, overwrite=overwrite)
    Console().print(report.rich_table(report.summarize(findings)))
    flagged = int(findings.detections[findings.primary].flagged.sum())
    print(f"{flagged} of {len(findings)} labels flagged by {findings.primary}; report: {out / 'report.html'}")


if __name__ == "__main__":
    sys.exit(main())
