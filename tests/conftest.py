"""Eight virtual CPU devices for the whole suite, so that sharded code is tested on any machine.

Whatever names no mesh still runs on the first device alone. Compiled programs are kept for the session, and shared by
its workers and by every process that a test starts: most of the time of a test that trains is compilation, and many
train the same network again. Who sets ``JAX_COMPILATION_CACHE_DIR`` to a folder keeps them from run to run.
"""

import gc
import os
import tempfile

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

# Their names repeat from folder to folder, and the search for doctests would take them for one module.
collect_ignore_glob = ["conftest.py", "*/conftest.py"]


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield
