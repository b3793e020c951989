"""Small statistics on arrays."""

from jaxnoisy.stats.mixture import Mixture, two_gaussians

__all__ = ["Mixture", "two_gaussians"]
