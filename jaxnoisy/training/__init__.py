"""Training: one loop with its dynamics recorded, and what it is made of."""

from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.evaluate import predict
from jaxnoisy.training.learning import LearnedWeights, Learning
from jaxnoisy.training.loop import EpochReport, Fit, fit
from jaxnoisy.training.network import Network, functional

__all__ = [
    "EpochReport",
    "Fit",
    "LearnedWeights",
    "Learning",
    "Network",
    "TrainConfig",
    "fit",
    "functional",
    "predict",
]
