"""Whether this machine can hold the exact algebra of a head, asked before it is begun rather than killed halfway."""

import os

import jax


def lacking_room(features: int, num_classes: int) -> str:
    """Why the algebra of :mod:`jaxnoisy.curvature.last_layer` cannot be done for such a head, or nothing to say.

    Args:
        features: D, what the head is applied to, one more where it has a bias.
        num_classes: c.

    Returns:
        A sentence without its stop, or "". Only a CPU's memory is known; accelerators say so themselves.

    Example:
        >>> lacking_room(65, 10)
        ''
    """
    size = (num_classes - 1) * features
    if jax.default_backend() != "cpu" or not hasattr(os, "sysconf"):
        return ""
    needed, memory = 20 * size**2, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed <= memory:
        return ""
    return (
        f"the last layer has {size:,} parameters beside those common to all classes: its exact Hessian takes "
        f"{needed / 2**30:,.0f} GiB where the machine has {memory / 2**30:,.0f}"
    )
