"""Eight virtual CPU devices for the whole suite, so that sharded code is tested on any machine.

Whatever names no mesh still runs on the first device alone. Compiled programs are kept for the session, and shared by
its workers and by every process that a test starts: most of the time of a test that trains is compilation, and many
train the same network again. Who sets ``JAX_COMPILATION_CACHE_DIR`` to a folder keeps them from run to run.
"""

import gc
import os
import tempfile
from importlib import metadata
from pathlib import Path

# Of XLA's two ways to generate code on CPUs, the older one compiles a third faster; it is optimised as well. Users have
# the newer one, and so has the demo that stands before the tests in .ci/run. XLA refuses flags that it does not know:
# this one is given to the versions that have been seen to know it.
if metadata.version("jaxlib").startswith("0.10.") and "fusion_emitters" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".strip()

# Through the environment, so that it reaches the processes that tests start, and the workers of pytest-xdist.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _compiled = tempfile.TemporaryDirectory(prefix="jaxnoisy-tests-", ignore_cleanup_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _compiled.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_NUM_CPU_DEVICES"] = "8"

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)  # where something else has imported it before the variables were set
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

# What JAX has traced stays, millions of small objects: to look through them for garbage as often as Python does by
# default takes a good part of the suite's time.
gc.set_threshold(50_000, 20, 100)

# Programs there run once or twice, on a few numbers, and most of the time would go on optimising them for runs that
# never come. Users' programs are optimised, and so are those of the doctests and of the tests elsewhere that use these
# parts. What is compiled so must be held against definitions or dense algebra, as it is there: XLA on CPUs then trains
# a small convolutional network to chance (jaxlib 0.10.2).
NOT_OPTIMISED = {"curvature", "ground", "influence", "noise", "scale", "weights"}

# Their names repeat from folder to folder, and the search for doctests would take them for one module.
collect_ignore_glob = ["conftest.py", "*/conftest.py"]


def not_optimised(item):
    return item.path.parent.parent == Path(__file__).parent and item.path.parent.name in NOT_OPTIMISED


def optimise(always):
    """Compile from now on with or without optimisation.

    What JAX has compiled it keeps without asking how. Programs that were not optimised round otherwise: kept, they
    would give a later test another draw of the same key than a process has that the test starts.
    """
    if jax.config.read("jax_disable_most_optimizations") == always:
        jax.clear_caches()
        jax.config.update("jax_disable_most_optimizations", not always)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    optimise(not not_optimised(item))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    if nextitem is None or not not_optimised(nextitem):  # the doctests ask nothing of this file
        optimise(True)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield
