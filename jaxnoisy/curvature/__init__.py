"""Curvature of a mean loss over parameters: products with vectors, and solving damped systems."""

from jaxnoisy.curvature import last_layer
from jaxnoisy.curvature.arnoldi import Eigenpairs, arnoldi
from jaxnoisy.curvature.block_cg import block_cg
from jaxnoisy.curvature.cg import cg
from jaxnoisy.curvature.cholesky import Factorised, cholesky, dense, factorised
from jaxnoisy.curvature.diagonal import diagonal_estimate, fisher_diagonal
from jaxnoisy.curvature.ekfac import ekfac
from jaxnoisy.curvature.ekfac_forms import ekfac_inverse_norms, ekfac_quadratic_forms
from jaxnoisy.curvature.gauss_newton_rows import gauss_newton_rows
from jaxnoisy.curvature.kronecker import Ekfac, EkfacInfo
from jaxnoisy.curvature.lanczos import spectral_bound
from jaxnoisy.curvature.lissa import lissa
from jaxnoisy.curvature.operator import Operator, as_operator, from_function
from jaxnoisy.curvature.parts import Parts, parts
from jaxnoisy.curvature.preconditioners import jacobi, nystrom
from jaxnoisy.curvature.products import fisher, gauss_newton, hessian
from jaxnoisy.curvature.solution import Inverse, SolveInfo, Solver, Status, describe, one
from jaxnoisy.curvature.stepwise import stepwise
from jaxnoisy.curvature.stochastic_lissa import stochastic_lissa
from jaxnoisy.curvature.stream import Stream

__all__ = [
    "Eigenpairs",
    "Ekfac",
    "EkfacInfo",
    "Factorised",
    "Inverse",
    "Operator",
    "Parts",
    "SolveInfo",
    "Solver",
    "Status",
    "Stream",
    "arnoldi",
    "as_operator",
    "block_cg",
    "cg",
    "cholesky",
    "dense",
    "describe",
    "diagonal_estimate",
    "ekfac",
    "ekfac_inverse_norms",
    "ekfac_quadratic_forms",
    "factorised",
    "fisher",
    "fisher_diagonal",
    "from_function",
    "gauss_newton",
    "gauss_newton_rows",
    "hessian",
    "jacobi",
    "last_layer",
    "lissa",
    "nystrom",
    "one",
    "parts",
    "spectral_bound",
    "stepwise",
    "stochastic_lissa",
]
