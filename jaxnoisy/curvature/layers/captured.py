"""What a batch's layers see: their inputs, and the cotangents of their outputs, for each of several vectors."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, JaxprEqn

from jaxnoisy.curvature import examples, output_factors
from jaxnoisy.curvature.layers.equations import evaluate, walk
from jaxnoisy.curvature.layers.find import Layer, Layers, find
from jaxnoisy.curvature.products import whole
from jaxnoisy.types import Array, Key, PyTree


class Side(NamedTuple):
    """The uses of a layer that are turned alike, their positions one after another, as rows and columns of its matrix.

    The gradient of example i by the layer's matrix, along vector r, is the sum over sides of rows^T columns. One of the
    two does not depend on r, and lacks that axis: the inputs, which are the rows unless the uses are turned.

    Attributes:
        inputs: (b, q, D), over q positions in all; with a last entry of 1 where the layer has a bias.
        cotangents: (b, r, q, c).
        turned: whether the inputs are the columns.
    """

    inputs: Array
    cotangents: Array
    turned: bool


class Captured(NamedTuple):
    """Of b examples and r vectors at the outputs of each.

    Attributes:
        layers: for each layer its sides, one or two.
        others: for each parameter outside the layers its gradients, (b, r, ...).
    """

    layers: tuple[tuple[Side, ...], ...]
    others: tuple[Array, ...]


@dataclasses.dataclass(frozen=True)
class Vectors:
    """Which vectors at the outputs are pulled back, for one example.

    Attributes:
        loss: of the outputs.
        kind: "exact", "drawn" or "given", as in :mod:`jaxnoisy.curvature.output_factors`.
        draws: how many, where they are drawn.
    """

    loss: output_factors.OutputLoss
    kind: str
    draws: int = 1

    def __call__(self, outputs: PyTree, targets: PyTree, key: Key | None) -> PyTree:
        """The block of vectors of one example."""
        if self.kind == "exact":
            return output_factors.exact(self.loss, outputs, targets)
        if self.kind == "drawn":
            assert key is not None
            return output_factors.drawn(self.loss, outputs, targets, key, self.draws)
        return output_factors.given(self.loss, outputs, targets)


class Program(NamedTuple):
    """A model for one example as a program, and the structure of what it returns."""

    equations: ClosedJaxpr
    layers: Layers
    outputs: Any


def trace(model: Callable[[PyTree, PyTree], PyTree], params: PyTree, frozen: PyTree, inputs: PyTree) -> Program:
    """Trace a model for one example out of a batch of inputs.

    The program holds what the model closes over: it must not outlive the function that is being traced, if one is.
    """
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(jnp.shape(a), jnp.result_type(a)), (params, frozen))
    with jax.default_matmul_precision("highest"):
        made = jax.make_jaxpr(lambda p, f, x: model(whole(p, f), x), return_shape=True)
        equations, outputs = made(*shapes, examples.one(inputs))
    return Program(equations, find(equations, len(jax.tree.leaves(params))), jax.tree.structure(outputs))


def capture(
    program: Program,
    vectors: Vectors,
    params: PyTree,
    frozen: PyTree,
    data: PyTree,
    key: Key | None = None,
    index: Array | None = None,
) -> Captured:
    """Run a batch forward once and back r times. No gradient by a layer's kernel is formed.

    Args:
        program: from :func:`trace`.
        vectors: what is pulled back from the outputs.
        params: the parameters.
        frozen: the rest of them, or None.
        data: a pair (inputs, targets) of b examples.
        key: from which vectors are drawn, if they are.
        index: (b,) the examples' numbers in the data set: the same example draws the same, in any batch.
    """
    leaves, rest = jax.tree.leaves(params), jax.tree.leaves(frozen)
    layers, others = program.layers
    uses = [use for layer in layers for use in layer.uses]
    order = {use.equation: i for i, use in enumerate(uses)}

    def forward(shifts: list[Array], free: list[Array], x: PyTree) -> tuple[PyTree, list[Array]]:
        here = list(leaves)
        for (leaf, _), a in zip(others, free):
            here[leaf] = a
        seen: list[Array] = [jnp.zeros(())] * len(uses)

        def visit(number: int, equation: JaxprEqn, values: list[Any]) -> list[Any]:
            found = evaluate(equation, values, program.equations)
            if number in order:
                i = order[number]
                seen[i] = uses[i].geometry.inputs(values[uses[i].operand])
                found = [found[0] + shifts[i]]
            return found

        outputs = walk(program.equations, [*here, *rest, *jax.tree.leaves(x)], visit)
        return jax.tree.unflatten(program.outputs, outputs), seen

    def one(x: PyTree, y: PyTree, i: Array | None) -> tuple[list[Array], list[Array], list[Array]]:
        zeros = [jnp.zeros(use.shape, use.dtype) for use in uses]
        free = [leaves[leaf] for leaf, _ in others]
        outputs, pull, seen = jax.vjp(lambda s, f: forward(s, f, x), zeros, free, has_aux=True)
        block = vectors(outputs, y, None if key is None or i is None else jax.random.fold_in(key, i))
        cotangents, gradients = jax.vmap(pull)(block)
        return seen, [jax.vmap(u.geometry.outputs)(g) for u, g in zip(uses, cotangents)], gradients

    with jax.default_matmul_precision("highest"):
        inputs, targets = data
        seen, cotangents, gradients = jax.vmap(one)(inputs, targets, index)
    both = iter(zip(seen, cotangents))
    return Captured(tuple(_sides(layer, [next(both) for _ in layer.uses]) for layer in layers), tuple(gradients))


def _sides(layer: Layer, arrays: list[tuple[Array, Array]]) -> tuple[Side, ...]:
    sides = []
    for turned in layer.sides:
        chosen = [pair for use, pair in zip(layer.uses, arrays) if use.turned == turned]
        inputs = jnp.concatenate([_wide(a) for a, _ in chosen], axis=1)
        if layer.bias is not None:
            inputs = jnp.pad(inputs, ((0, 0), (0, 0), (0, 1)), constant_values=1)
        sides.append(Side(inputs, jnp.concatenate([_wide(g) for _, g in chosen], axis=2), turned))
    return tuple(sides)


def _wide(a: Array) -> Array:
    return a.astype(jnp.promote_types(a.dtype, jnp.float32))
