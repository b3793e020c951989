"""How many operations a function takes, counted from its program: nothing is run, and no compiler is asked.

A matrix product of (m, k) by (k, n) counts 2 m k n, a convolution two for every weight that an output is made of, the
body of a scan once per step, the dearest of several branches. Everything else counts one for each number it reads or
makes, whichever are more. The body of a ``while`` loop, of which nobody knows how often it runs, counts once.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from jaxnoisy.types import PyTree


def operations(function: Callable[..., PyTree], *arguments: PyTree) -> int:
    """Operations of ``function(*arguments)``; arrays may be given by their shapes alone.

    Example:
        >>> import jax.numpy as jnp
        >>> operations(jnp.matmul, jnp.zeros((3, 4)), jnp.zeros((4, 5)))
        120
    """
    return _of_program(jax.make_jaxpr(function)(*arguments).jaxpr)


def _of_program(program: Jaxpr) -> int:
    return sum(_of_equation(equation) for equation in program.eqns)


def _of_equation(equation: JaxprEqn) -> int:
    name, params = equation.primitive.name, equation.params
    inside = [_of_program(program) for program in _programs(params)]
    if name == "cond":
        return max(inside)
    if inside:
        return sum(inside) * (params["length"] if name == "scan" else 1)
    made = sum(_size(a) for a in equation.outvars)
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left = _shape(equation.invars[0])
        return 2 * made * math.prod(left[axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel = _shape(equation.invars[1])
        features = kernel[params["dimension_numbers"].rhs_spec[0]]
        return 2 * made * (math.prod(kernel) // features)
    return max(made, sum(_size(a) for a in equation.invars))


def _programs(value: Any) -> Iterator[Jaxpr]:
    """The programs among an equation's parameters."""
    if isinstance(value, ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, Jaxpr):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _programs(inner)
    elif isinstance(value, (tuple, list)):
        for inner in value:
            yield from _programs(inner)


def _shape(atom: Any) -> tuple[int, ...]:
    return getattr(atom.aval, "shape", ())


def _size(atom: Any) -> int:
    return math.prod(_shape(atom))
