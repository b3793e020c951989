"""The command line: a thin layer over :func:`jaxnoisy.audit.audit`, :func:`jaxnoisy.findings.find` and ``noise``.

Heavy imports (JAX, Flax, matplotlib) happen inside the commands, so that ``--help`` and a mistyped option answer at
once; the options themselves are in :mod:`jaxnoisy.arguments`.
"""

import argparse
import contextlib
import errno
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxnoisy.arguments import BAD_INPUT, parse

if TYPE_CHECKING:
    from jaxnoisy.findings import Findings

FAILED, INTERRUPTED = 1, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 2 bad input or files, 1 training failed, 130 interrupted."""
    arguments = parse(argv)
    run = {"demo": _demo, "detect": _detect, "score": _score, "noise": _noise}[arguments.command]
    try:
        run(arguments)
    except (ValueError, TypeError) as error:
        return _complain(error, BAD_INPUT)
    except OSError as error:
        return _complain(_about_files(error, arguments) + _go_on(arguments), BAD_INPUT)
    except FloatingPointError as error:
        return _complain(error, FAILED)
    except MemoryError as error:
        return _complain(f"out of memory: {error}{_go_on(arguments)}", FAILED)
    except RuntimeError as error:
        if not _of_the_device(error):
            raise
        return _complain(f"JAX could not compute this here: {error}{_go_on(arguments)}", FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted" + _go_on(arguments), INTERRUPTED)
    return 0


def _complain(what: object, code: int) -> int:
    line = " ".join(str(what).split())
    print(f"jaxnoisy: error: {line}", file=sys.stderr)
    return code


def _about_files(error: OSError, arguments: argparse.Namespace) -> str:
    if error.strerror is None:
        return str(error)
    remedy = ": free some space and try again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    # A write that fails does not say in which file: it is one of the results.
    where = arguments.out if error.filename is None else os.fspath(error.filename)
    return f"{where!r}: {error.strerror}{remedy}"


def _go_on(arguments: argparse.Namespace) -> str:
    """How to continue, where there is something to continue."""
    if arguments.command != "detect" or not arguments.out or not _checkpoints(Path(arguments.out)).exists():
        return ""
    return f"; what was finished is kept: go on with --out {arguments.out} --resume"


def _of_the_device(error: RuntimeError) -> bool:
    import jax

    return isinstance(error, jax.errors.JaxRuntimeError)


def _demo(arguments: argparse.Namespace) -> None:
    import jax
    import numpy as np

    from jaxnoisy import data, noise
    from jaxnoisy.audit import METHODS, audit
    from jaxnoisy.progress import epoch_bar

    out = Path(arguments.out) if arguments.out else _free_folder("jaxnoisy-demo")
    _claim(out)
    clean = data.load("digits")
    corrupt = noise.symmetric(num_classes=clean.num_classes, rate=arguments.rate, exact=True)
    flipped = np.asarray(corrupt(jax.random.key(arguments.seed), clean.labels).labels)
    noisy = data.make(
        clean.inputs,
        flipped,
        class_names=clean.class_names,
        clean_labels=clean.labels,
        name=f"digits, {100 * arguments.rate:.3g} % of the labels flipped",
    )
    with epoch_bar() as progress:
        findings = audit(noisy, methods=METHODS, model="mlp", seed=arguments.seed, progress=progress)
    _finish(findings, out)


def _detect(arguments: argparse.Namespace) -> None:
    from jaxnoisy import data
    from jaxnoisy.audit import METHODS, audit, within
    from jaxnoisy.detect import TRACE_METHODS
    from jaxnoisy.mesh import default_mesh
    from jaxnoisy.progress import epoch_bar
    from jaxnoisy.training.checkpoint import quiet_writers
    from jaxnoisy.training.recipes import default_model, recipe

    everything = METHODS if arguments.epochs is None else within(arguments.epochs, METHODS)
    reading_one_run = tuple(name for name in everything if name in TRACE_METHODS)
    methods = _methods(arguments.method, METHODS, everything=everything, default=reading_one_run)
    if arguments.resume and not arguments.out:
        raise ValueError("--resume needs --out, the folder of the run to go on with")
    out = Path(arguments.out) if arguments.out else _free_folder("jaxnoisy-detect")
    arguments.out = str(out)
    _claim(out, overwrite=arguments.resume and _checkpoints(out).exists())
    examples = data.load(
        arguments.data, labels=arguments.labels, data_dir=arguments.data_dir, skip_broken=arguments.skip_broken
    )
    model = default_model(examples) if arguments.model == "auto" else arguments.model
    chosen = ("epochs", "seed", "batch_size", "learning_rate", "optimizer", "record", "flip", "crop")
    config = recipe(model, examples, **{name: getattr(arguments, name) for name in chosen})
    with _nothing_left_by_bad_input(out), quiet_writers(), epoch_bar() as progress:
        findings = audit(
            examples,
            methods=methods,
            model=model,
            config=config,
            seed=arguments.seed,
            dtype=arguments.dtype,
            mesh=default_mesh(arguments.devices, config.batch_size),
            checkpoints=_checkpoints(out),
            resume=arguments.resume,
            progress=progress,
        )
    _finish(findings, out, overwrite=arguments.resume)


def _score(arguments: argparse.Namespace) -> None:
    from jaxnoisy import check, dynamics
    from jaxnoisy.detect import TRACE_METHODS, methods_for
    from jaxnoisy.files import read_named
    from jaxnoisy.findings import find

    if (arguments.trace is None) == (arguments.pred_probs is None):
        raise ValueError("give either --trace FILE, or --pred-probs FILE with --labels FILE")
    if arguments.pred_probs is not None and arguments.labels is None:
        raise ValueError("--pred-probs needs --labels FILE, the given label of each row")
    _claim(Path(arguments.out))
    labels = None if arguments.labels is None else read_named(arguments.labels, "labels")
    if arguments.trace is not None:
        trace = dynamics.load(arguments.trace)
        if labels is not None:
            dynamics.same_labels(trace, labels)
    else:
        assert labels is not None
        trace = dynamics.from_probabilities(read_named(arguments.pred_probs, "pred_probs"), labels)
    check.at_least_two_classes(trace.labels)
    applicable = methods_for(trace)
    methods = _methods(arguments.method, tuple(TRACE_METHODS), everything=applicable, default=applicable)
    flips = None
    if arguments.clean_labels is not None:
        flips = dynamics.flips(trace, read_named(arguments.clean_labels, "clean_labels"))
    settings = {"methods": list(methods), "trace": arguments.trace, "pred_probs": arguments.pred_probs}
    _finish(find(trace, methods, flips=flips, settings=settings), Path(arguments.out), trace=False)


def _noise(arguments: argparse.Namespace) -> None:
    import jax
    import numpy as np

    from jaxnoisy import check, files, noise
    from jaxnoisy.data.dataset import MAX_UNNAMED_CLASSES

    check.one_of(arguments.kind, noise.KINDS, name="--kind")
    out = Path(arguments.out)
    if out.suffix != ".npz" or out.is_dir():
        raise ValueError(f"--out must be the name of an .npz file, but is {arguments.out!r}")
    _writable(out.parent, made=False)
    clean = check.labels(files.read_named(arguments.labels, "labels"))
    c = arguments.num_classes or int(clean.max()) + 1
    if arguments.num_classes is None:
        check.at_least_two_classes(clean)
        if c > MAX_UNNAMED_CLASSES:
            raise ValueError(f"the largest label is {c - 1}: number the classes from 0 to c - 1, or give --num-classes")
    needed = {"instance": "inputs", "superclass": "groups"}.get(arguments.kind)
    for option in ("inputs", "groups"):
        given = getattr(arguments, option) is not None
        if given != (option == needed):
            what = f"does not use --{option}: leave it out" if given else f"needs --{option} npy:FILE"
            raise ValueError(f"--kind {arguments.kind} {what}")
    groups = None if arguments.groups is None else files.read_named(arguments.groups, "groups")
    inputs = None if arguments.inputs is None else files.read_named(arguments.inputs, "inputs")
    corrupt = noise.by_kind(
        arguments.kind, num_classes=c, rate=arguments.rate, groups=groups, features=arguments.features
    )
    noisy = corrupt(jax.random.key(arguments.seed), clean, inputs)
    mask = np.asarray(noisy.mask)
    files.write_npz(out, {"labels": np.asarray(noisy.labels), "mask": mask, "clean_labels": clean})
    print(f"{int(mask.sum())} of {len(mask)} labels flipped ({mask.mean():.2%}): {arguments.out}")


def _methods(
    text: str, known: tuple[str, ...], *, everything: tuple[str, ...], default: tuple[str, ...]
) -> tuple[str, ...]:
    """The methods that ``a,b`` names, once each and in order; "all" stands for ``everything``."""
    from jaxnoisy.check import one_of

    names: list[str] = []
    for part in text.split(",") if text else default:
        name = one_of(part.strip(), (*known, "all"), name="--method")
        names += everything if name == "all" else [name]
    return tuple(dict.fromkeys(names))


def _checkpoints(out: Path) -> Path:
    return out / "checkpoints"


def _free_folder(name: str) -> Path:
    """``name``, or ``name-2``, ``name-3``, ... where it is taken."""
    number = 1
    while (path := Path(name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return path


def _claim(out: Path, *, overwrite: bool = False) -> None:
    """Refuse a folder that the results could not be written to, before the work is done."""
    from jaxnoisy import report

    report.refuse_other_run(out, overwrite=overwrite)
    _writable(out, made=True)


def _writable(folder: Path, *, made: bool) -> None:
    there = folder
    while made and not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        what = "is not a folder" if os.path.lexists(there) else "does not exist"
        raise ValueError(f"--out cannot be written: {str(there)!r} {what}; name another")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"--out cannot be written: no permission to write in {str(there)!r}; name another folder")


@contextlib.contextmanager
def _nothing_left_by_bad_input(out: Path) -> Iterator[None]:
    """Remove the checkpoints of a new run that could not go on in any case; what can be resumed stays."""
    missing = [folder for folder in (out, *out.parents) if not folder.exists()]
    new = not _checkpoints(out).exists()
    try:
        yield
    except (ValueError, TypeError, FloatingPointError):
        if new:
            shutil.rmtree(_checkpoints(out), ignore_errors=True)
            with contextlib.suppress(OSError):
                for folder in missing:
                    folder.rmdir()
        raise


def _finish(findings: "Findings", out: Path, *, trace: bool = True, overwrite: bool = False) -> None:
    from rich.console import Console

    from jaxnoisy import report

    report.write(findings, out, trace=trace, overwrite=overwrite)
    Console().print(report.rich_table(report.summarize(findings)))
    flagged = int(findings.detections[findings.primary].flagged.sum())
    print(f"{flagged} of {len(findings)} labels flagged by {findings.primary}; report: {out / 'report.html'}")


if __name__ == "__main__":
    sys.exit(main())
