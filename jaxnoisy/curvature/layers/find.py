"""Finding the layers of a model in the program that it traces to.

A layer is a parameter that is multiplied, as the kernel of a contraction or a convolution, with what does not itself
rearrange a parameter; reshapes and transpositions on the way do not matter, nor do the names and containers of the
parameters. A bias is a parameter added to that product, one number per output, and to nothing else. Everything that a
parameter is used for is looked at: one use of another kind, and it is no layer.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from jax.extend.core import ClosedJaxpr, JaxprEqn

from jaxnoisy.curvature.layers import geometry, views
from jaxnoisy.curvature.layers.equations import aval, walk
from jaxnoisy.curvature.layers.geometry import Geometry
from jaxnoisy.curvature.layers.views import Steps


class Use(NamedTuple):
    """One product with a layer's kernel.

    Attributes:
        equation: its number in the walk through the program.
        operand: which of its operands is the activation, 0 or 1.
        turned: whether the outputs of this product are the rows of the layer's matrix, as where a network multiplies
            with a kernel and with its transpose.
        geometry: how it is a matrix product.
        shape: of what it returns.
        dtype: of the same.
    """

    equation: int
    operand: int
    turned: bool
    geometry: Geometry
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def positions(self) -> int:
        """Rows of the matrix product."""
        return int(np.prod(self.shape)) // self.geometry.width(self.shape)


class Layer(NamedTuple):
    """Parameters that form one matrix.

    Attributes:
        kernel: which parameter, in the order of ``jax.tree.leaves``.
        bias: the parameter that is the matrix's last row, or None.
        steps: from the kernel to (inputs, outputs).
        shape: of the matrix: inputs, one more with a bias, and outputs.
        uses: at least one; more where weights are shared.
    """

    kernel: int
    bias: int | None
    steps: Steps
    shape: tuple[int, int]
    uses: tuple[Use, ...]

    @property
    def sides(self) -> tuple[bool, ...]:
        """Which kinds of uses there are: not turned, turned, or both in this order."""
        return tuple(sorted({use.turned for use in self.uses}))


class Layers(NamedTuple):
    """All parameters, each in a layer or among the others.

    Attributes:
        layers: in the order of their kernels.
        others: parameters that are in no layer, and why.
    """

    layers: tuple[Layer, ...]
    others: tuple[tuple[int, str], ...]


@dataclasses.dataclass(eq=False)
class _Product:
    """A product with a parameter as it was met, and who reads it."""

    use: Use
    steps: Steps
    readers: int = 0


@dataclasses.dataclass(eq=False)
class _Value:
    """What is known of an array: a parameter or a product that was rearranged, possibly spread over more axes."""

    leaf: int | None = None
    product: _Product | None = None
    steps: Steps = ()
    spread: tuple[tuple[int, ...], tuple[int, ...]] | None = None  # from which axes, to which shape


@dataclasses.dataclass
class _Reads:
    """What a parameter is used for."""

    kernel: list[_Product] = dataclasses.field(default_factory=list)
    bias: list[_Product] = dataclasses.field(default_factory=list)
    other: list[str] = dataclasses.field(default_factory=list)


def find(program: ClosedJaxpr, count: int) -> Layers:
    """Find the layers among the first ``count`` inputs of a program, which are the parameters.

    Args:
        program: the model for one example, from ``jax.make_jaxpr``.
        count: how many of its inputs are parameters.
    """
    shapes = [tuple(a.shape) for a in program.in_avals]
    reads = [_Reads() for _ in range(count)]

    def terminal(value: _Value, reason: str) -> None:
        if value.leaf is not None:
            reads[value.leaf].other.append(reason)
        if value.product is not None:
            value.product.readers += 1

    def visit(number: int, equation: JaxprEqn, values: list[_Value]) -> list[_Value]:
        known = values[0] if values else None
        if known is not None and known.spread is None and (known.leaf is not None or known.product is not None):
            moved = views.steps(equation)
            if moved is not None:
                return [dataclasses.replace(known, steps=known.steps + moved)]
            if equation.primitive.name == "broadcast_in_dim" and known.leaf is not None:
                axes = tuple(equation.params["broadcast_dimensions"])
                return [dataclasses.replace(known, spread=(axes, tuple(aval(equation.outvars[0]).shape)))]
        reason = f"it is used in {equation.primitive.name}"
        kernels = [i for i, v in enumerate(values) if v.leaf is not None and v.spread is None]
        if equation.primitive.name in ("dot_general", "conv_general_dilated") and len(kernels) == 1:
            (i,) = kernels
            terminal(values[1 - i], reason)
            leaf = values[i].leaf
            assert leaf is not None
            found = geometry.read(equation, i)
            if not isinstance(found, str):
                laid, steps = found
                out = aval(equation.outvars[0])
                use = Use(number, 1 - i, False, laid, tuple(out.shape), np.dtype(out.dtype))
                product = _Product(use, values[i].steps + steps)
                reads[leaf].kernel.append(product)
                return [_Value(product=product)]
            terminal(values[i], found)
            return [_Value()]
        if equation.primitive.name == "add":
            for a, b in (values, values[::-1]):
                if a.product is not None and b.leaf is not None and _per_output(a, b, shapes):
                    a.product.readers += 1
                    reads[b.leaf].bias.append(a.product)
                    return [_Value()]
        for v in values:
            terminal(v, reason)
        return [_Value() for _ in equation.outvars]

    inputs = [_Value(leaf=i) if i < count else _Value() for i in range(len(shapes))]
    for value in walk(program, inputs, visit, constant=lambda a: _Value()):
        terminal(value, "it is returned as it is")
    return _assign(reads, shapes)


def _per_output(product: _Value, bias: _Value, shapes: list[tuple[int, ...]]) -> bool:
    """Whether what is added has entry j wherever the product is output j."""
    assert product.product is not None
    assert bias.leaf is not None
    use = product.product.use
    channels = views.apply(product.steps, use.geometry.channels(use.shape))
    entries = views.entries(bias.steps, shapes[bias.leaf])
    if bias.spread is not None:
        axes, shape = bias.spread
        entries = np.broadcast_to(np.expand_dims(entries, [i for i in range(len(shape)) if i not in axes]), shape)
    if entries.ndim != channels.ndim or any(a not in (1, b) for a, b in zip(entries.shape, channels.shape)):
        return False
    # The primitive itself spreads axes of length 1.
    spread = np.broadcast_to(entries, channels.shape)
    return int(np.prod(shapes[bias.leaf])) == channels.max() + 1 and np.array_equal(channels, spread)


def _assign(reads: list[_Reads], shapes: list[tuple[int, ...]]) -> Layers:
    reasons: dict[int, str] = {}
    kernels: dict[int, tuple[Use, ...]] = {}
    for leaf, read in enumerate(reads):
        if read.other:
            reasons[leaf] = read.other[0]
        elif read.kernel and read.bias:
            reasons[leaf] = "it is both a kernel and a bias"
        elif read.kernel:
            uses = _oriented(read.kernel, shapes[leaf])
            if uses is None:
                reasons[leaf] = "its uses lay it out in different ways"
            else:
                kernels[leaf] = uses
        elif not read.bias:
            reasons[leaf] = "it is not used"
    owner = {id(product): leaf for leaf in kernels for product in reads[leaf].kernel}
    biases: dict[int, int] = {}
    for leaf, read in enumerate(reads):
        if leaf in reasons or leaf in kernels:
            continue
        kernel = owner.get(id(read.bias[0]))
        if kernel is not None and kernel not in biases and _covers(read.bias, reads[kernel].kernel, kernels[kernel]):
            biases[kernel] = leaf
        else:
            reasons[leaf] = "it is a bias, but not that of one layer in all its uses"
    layers = []
    for leaf, uses in kernels.items():
        steps = reads[leaf].kernel[0].steps
        rows, columns = views.entries(steps, shapes[leaf]).shape
        bias = biases.get(leaf)
        layers.append(Layer(leaf, bias, steps, (rows + (bias is not None), columns), uses))
    return Layers(tuple(layers), tuple(sorted(reasons.items())))


def _oriented(products: list[_Product], shape: tuple[int, ...]) -> tuple[Use, ...] | None:
    """The uses of a kernel, each told to be turned or not against the first; None where neither fits."""
    first = views.entries(products[0].steps, shape)
    uses = []
    for product in products:
        here = views.entries(product.steps, shape)
        if not np.array_equal(here, first):
            if not np.array_equal(here.T, first):
                return None
            uses.append(product.use._replace(turned=True))
        else:
            uses.append(product.use)
    return tuple(uses)


def _covers(added: list[_Product], products: list[_Product], uses: tuple[Use, ...]) -> bool:
    """Whether a bias is added to each of a kernel's products, once, before anything else reads them."""
    same = {id(p) for p in added} == {id(p) for p in products} and len(added) == len(products)
    return same and all(p.readers == 1 for p in products) and not any(use.turned for use in uses)
