"""Small statistics on arrays."""

from jaxnoisy.stats.mcd import Mcd, mcd
from jaxnoisy.stats.mixture import Mixture, two_gaussians
from jaxnoisy.stats.simplex import MixingWeights, mixing_weights

__all__ = ["Mcd", "MixingWeights", "Mixture", "mcd", "mixing_weights", "two_gaussians"]
