"""Curvature of a mean loss over parameters: products with vectors, and solving damped systems."""

from jaxnoisy.curvature.operator import Operator, as_operator, from_function
from jaxnoisy.curvature.products import fisher, gauss_newton, hessian
from jaxnoisy.curvature.stream import Stream

__all__ = ["Operator", "Stream", "as_operator", "fisher", "from_function", "gauss_newton", "hessian"]
