"""Programs here run once or twice, on a few numbers: most of the time is spent on optimising them for more."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def compile_quickly():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
