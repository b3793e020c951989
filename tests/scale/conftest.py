"""Programs here run once, on a few numbers: most of the time is spent on optimising them for runs that never come."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def compile_quickly():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="package")
def on_one_device():
    """What each member finds with all examples on one device, when first asked for."""
    import scale_members

    return scale_members.Expected()
