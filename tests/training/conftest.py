"""The training step is compiled as users compile it."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def optimised():
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)
