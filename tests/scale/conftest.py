"""What the tests of scale share."""

import pytest


@pytest.fixture(scope="package")
def on_one_device():
    """What each member finds with all examples on one device, when first asked for."""
    import scale_members

    return scale_members.Expected()
