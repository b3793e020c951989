"""Run the command line in a process of its own that is killed, as by ``kill -9``, at a chosen call of a function."""

import importlib
import multiprocessing
import os
import shlex
import signal

_PRELOADED = ["jaxnoisy.cli", "jaxnoisy.audit", "jaxnoisy.report.page", "killing"]


def _die_at(place, call, *, after):
    """Make the process kill itself at the given call, from 1, of ``module:name``: before it, or right after it."""
    module, _, name = place.partition(":")
    owner = importlib.import_module(module)
    *path, name = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original, calls = getattr(owner, name), iter(range(1, 1_000_000))

    def wrapper(*arguments, **options):
        now = next(calls) == call
        if now and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **options)
        if now:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, wrapper)


def _child(line, folder, place, call, after):
    import jax

    from jaxnoisy.cli import main

    os.chdir(folder)
    jax.config.update("jax_num_cpu_devices", 8)  # as in the process that resumes
    if place is not None:
        _die_at(place, call, after=after)
    main(shlex.split(line))


def killed(line, place, *, call=1, after=False):
    """Run ``jaxnoisy LINE`` in the current folder and assert that it died at that call."""
    process = _start(line, place, call, after)
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"{line}: exit code {process.exitcode}, never came to {place}"


def killed_when(line, condition, *, patience=120.0):
    """Run ``jaxnoisy LINE`` and kill it from outside as soon as ``condition()`` holds."""
    process = _start(line, None, 0, False)
    try:
        for _ in range(int(patience / 0.01)):
            if condition() or not process.is_alive():
                break
            process.join(0.01)
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL, f"{line}: it ended by itself, {process.exitcode}"


def _start(line, place, call, after):
    # A server that has imported everything once: each process then begins in no time.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=_child, args=(line, os.getcwd(), place, call, after))
    process.start()
    return process
