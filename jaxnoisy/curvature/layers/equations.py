"""Walking through what a function computes, primitive by primitive, into the functions that it calls."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

# Calls that only group what they compute. Those with an own derivative (custom_jvp and custom_vjp) are not among them:
# inside, it would be lost. Loops and branches are not either: what is inside is computed any number of times.
_ENTERED = {"jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"}

Visit = Callable[[int, JaxprEqn, list[Any]], Sequence[Any]]
"""``visit(number, equation, inputs) -> outputs``; equations are numbered in the order of the walk."""


def walk(
    program: ClosedJaxpr, arguments: Sequence[Any], visit: Visit, *, constant: Callable[[Any], Any] = lambda a: a
) -> list[Any]:
    """Run a program by a function of one equation.

    Args:
        program: from ``jax.make_jaxpr``.
        arguments: what stands for its inputs: arrays, or whatever ``visit`` understands.
        visit: called for every equation that is not a call to be entered.
        constant: turns an array that the program holds into what ``visit`` understands.

    Returns:
        What stands for the program's outputs.
    """
    number = 0

    def run(jaxpr: Jaxpr, consts: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        nonlocal number
        known: dict[Any, Any] = dict(zip(jaxpr.constvars, map(constant, consts)))
        known.update(zip(jaxpr.invars, inputs))

        def value(atom: Any) -> Any:
            return constant(atom.val) if isinstance(atom, Literal) else known[atom]

        for equation in jaxpr.eqns:
            values = [value(a) for a in equation.invars]
            body = _body(equation)
            if body is None:
                outputs = visit(number, equation, values)
                number += 1
            else:
                outputs = run(*body, values)
            known.update(zip(equation.outvars, outputs))
        return [value(a) for a in jaxpr.outvars]

    return run(program.jaxpr, program.consts, arguments)


def evaluate(equation: JaxprEqn, values: Sequence[Any], program: ClosedJaxpr) -> list[Any]:
    """What one equation of a program computes from arrays."""
    given = {atom: a for atom, a in zip(equation.invars, values) if not isinstance(atom, Literal)}
    single = program.jaxpr.replace(constvars=[], invars=list(given), outvars=equation.outvars, eqns=[equation])
    return jax.core.eval_jaxpr(single, [], *given.values())


def aval(atom: Any) -> Any:
    """The shape and dtype of an input or output of an equation."""
    return atom.aval


def _body(equation: JaxprEqn) -> tuple[Jaxpr, Sequence[Any]] | None:
    if equation.primitive.name not in _ENTERED:
        return None
    body: Any = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    return (body.jaxpr, body.consts) if isinstance(body, ClosedJaxpr) else (body, ())
