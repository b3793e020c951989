"""Eight virtual CPU devices for the whole suite, so that sharded code is tested on any machine.

Whatever names no mesh still runs on the first device alone. Compiled programs are kept for the session: most of the
time of a test that trains is compilation, and many train the same network again.
"""

import tempfile

import jax

# Their names repeat from folder to folder, and the search for doctests would take them for one module.
collect_ignore_glob = ["conftest.py", "*/conftest.py"]

_compiled = tempfile.TemporaryDirectory(prefix="jaxnoisy-tests-")

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_compilation_cache_dir", _compiled.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
