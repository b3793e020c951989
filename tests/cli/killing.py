"""Run the command line in a process of its own that is killed, as by ``kill -9``, at a chosen call of a function."""

import importlib
import os
import shlex
import signal
import time

from forked import start


def _at(place, call, end, *, after=False):
    """Make the process do ``end()`` at the given call, from 1, of ``module:name``: before it, or right after it."""
    module, _, name = place.partition(":")
    owner = importlib.import_module(module)
    *path, name = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original, calls = getattr(owner, name), iter(range(1, 1_000_000))

    def wrapper(*arguments, **options):
        now = next(calls) == call
        if now and not after:
            end()
        result = original(*arguments, **options)
        if now and after:
            end()
        return result

    setattr(owner, name, wrapper)


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def _wait():
    time.sleep(3600)


def _child(line, folder, place, call, end, after):
    from jaxnoisy.cli import main

    os.chdir(folder)
    _at(place, call, end, after=after)
    main(shlex.split(line))


def killed(line, place, *, call=1, after=False):
    """Run ``jaxnoisy LINE`` in the current folder and assert that it died at that call."""
    process = start(_child, line, os.getcwd(), place, call, _die, after)
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"{line}: exit code {process.exitcode}, never came to {place}"


def killed_when(line, condition, place, *, call):
    """Run ``jaxnoisy LINE`` and kill it from outside as soon as ``condition()`` holds.

    Its main thread stops for good at that call, so that the run cannot come to its end first however busy the machine.
    """
    process = start(_child, line, os.getcwd(), place, call, _wait, False)
    try:
        while process.is_alive() and not condition():
            process.join(0.01)
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL, f"{line}: it ended by itself, {process.exitcode}"
