"""Processes that begin in no time, forked from a server that has imported everything once."""

import multiprocessing
import multiprocessing.process

_PRELOADED = ["jaxnoisy.cli", "jaxnoisy.audit", "jaxnoisy.report.page"]


def start(target, *arguments) -> multiprocessing.process.BaseProcess:
    """Begin ``target(*arguments)``, a function at the top of its module, in a process of its own.

    JAX is imported there and has computed nothing yet; devices and compiled programs are those of the tests.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=target, args=arguments)
    process.start()
    return process
