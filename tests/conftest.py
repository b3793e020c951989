"""Eight virtual CPU devices for the whole suite, so that sharded code is tested on any machine.

Whatever names no mesh still runs on the first device alone.
"""

import jax

jax.config.update("jax_num_cpu_devices", 8)
