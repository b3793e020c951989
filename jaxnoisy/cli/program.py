"""Run the command that was asked for, and say in one line what went wrong.

Heavy imports (JAX, Flax, matplotlib) happen inside the commands, so that ``--help`` and a mistyped option answer at
once; the options themselves are in :mod:`jaxnoisy.arguments`.
"""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxnoisy.arguments import BAD_INPUT, parse
from jaxnoisy.cli import demo, detect, influence, noise, repair, score, train_detector
from jaxnoisy.cli.folders import checkpoints

FAILED, INTERRUPTED = 1, 130

_COMMANDS = {
    "demo": demo.run,
    "detect": detect.run,
    "score": score.run,
    "influence": influence.run,
    "noise": noise.run,
    "repair": repair.run,
    "train-detector": train_detector.run,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 2 bad input or files, 1 training failed, 130 interrupted."""
    arguments = parse(argv)
    try:
        _COMMANDS[arguments.command](arguments)
    except (ValueError, TypeError) as error:
        return _complain(error, BAD_INPUT)
    except ImportError as error:
        if error.name is not None:  # a module that ought to be there, and not an extra that a message names
            raise
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
    if (
        arguments.command not in ("detect", "repair")
        or not arguments.out
        or not checkpoints(Path(arguments.out)).exists()
    ):
        return ""
    return f"; what was finished is kept: go on with --out {arguments.out} --resume"


def _of_the_device(error: RuntimeError) -> bool:
    import jax

    return isinstance(error, jax.errors.JaxRuntimeError)
