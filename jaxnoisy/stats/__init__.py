"""Small statistics on arrays."""

from jaxnoisy.stats.benjamini_hochberg import Rejections, benjamini_hochberg
from jaxnoisy.stats.conformal import conformal_p_values
from jaxnoisy.stats.hoc import Consensus, NoiseEstimate, consensus, expected_consensus, hoc
from jaxnoisy.stats.knn import Neighbours, nearest_neighbours
from jaxnoisy.stats.mcd import Mcd, mcd
from jaxnoisy.stats.mixture import Mixture, two_gaussians
from jaxnoisy.stats.simplex import MixingWeights, mixing_weights

__all__ = [
    "Consensus",
    "Mcd",
    "MixingWeights",
    "Mixture",
    "Neighbours",
    "NoiseEstimate",
    "Rejections",
    "benjamini_hochberg",
    "conformal_p_values",
    "consensus",
    "expected_consensus",
    "hoc",
    "mcd",
    "mixing_weights",
    "nearest_neighbours",
    "two_gaussians",
]
