"""Programs here run once, on a few numbers: most of the time is spent on optimising them for runs that never come.

Users' programs are optimised, and so are those of the doctests and of the tests elsewhere that use this package. What
is compiled so must be held against dense algebra, as it is here: XLA on CPUs then trains a small convolutional network
to chance (jaxlib 0.10.2).
"""

import jax
import pytest


@pytest.fixture(autouse=True)
def compile_quickly():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
