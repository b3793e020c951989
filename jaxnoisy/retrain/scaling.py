"""The batch that goes with fewer examples."""

import dataclasses

from jax.sharding import Mesh

from jaxnoisy import mesh as sharding
from jaxnoisy.training.config import TrainConfig


def scaled(config: TrainConfig, share: float, mesh: Mesh | None = None) -> TrainConfig:
    """Shrink the batch with the training set, so that an epoch keeps its number of steps.

    Jia et al. (2023), appendix B.2: a batch of 256 becomes 256 x (1 - removed fraction). Everything else, the learning
    rate and its schedule too, stays.

    Args:
        config: for the whole set.
        share: of the examples that are left, in (0, 1].
        mesh: the batch is rounded to a multiple of its devices.

    Example:
        >>> scaled(TrainConfig(batch_size=256), 0.7).batch_size
        179
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], but is {share!r}")
    devices = sharding.shards(mesh)
    return dataclasses.replace(config, batch_size=max(devices, round(config.batch_size * share / devices) * devices))
