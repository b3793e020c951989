"""Curvature of a mean loss over parameters: products with vectors, and solving damped systems."""

from jaxnoisy.curvature import last_layer
from jaxnoisy.curvature.block_cg import block_cg
from jaxnoisy.curvature.cg import cg
from jaxnoisy.curvature.cholesky import Factorised, cholesky, dense, factorised
from jaxnoisy.curvature.diagonal import diagonal_estimate, fisher_diagonal
from jaxnoisy.curvature.operator import Operator, as_operator, from_function
from jaxnoisy.curvature.preconditioners import jacobi, nystrom
from jaxnoisy.curvature.products import fisher, gauss_newton, hessian
from jaxnoisy.curvature.solution import Inverse, SolveInfo, Solver, Status, describe, one
from jaxnoisy.curvature.stream import Stream

__all__ = [
    "Factorised",
    "Inverse",
    "Operator",
    "SolveInfo",
    "Solver",
    "Status",
    "Stream",
    "as_operator",
    "block_cg",
    "cg",
    "cholesky",
    "dense",
    "describe",
    "diagonal_estimate",
    "factorised",
    "fisher",
    "fisher_diagonal",
    "from_function",
    "gauss_newton",
    "hessian",
    "jacobi",
    "last_layer",
    "nystrom",
    "one",
]
