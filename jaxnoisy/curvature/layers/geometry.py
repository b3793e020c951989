"""How contractions and convolutions are matrix products: rows of inputs, one per position, times (inputs, outputs)."""

import itertools
from typing import NamedTuple

import jax
import numpy as np
from jax.extend.core import JaxprEqn

from jaxnoisy.curvature.layers.equations import aval
from jaxnoisy.curvature.layers.views import Steps
from jaxnoisy.types import Array

Ints = tuple[int, ...]


class Contraction(NamedTuple):
    """A ``dot_general`` of an activation with a kernel; positions are the activation's free axes.

    Attributes:
        contracted: axes of the activation.
        columns: outputs, the kernel's free axes taken together.
        kernel_first: whether the kernel is the left operand, whose free axes then lead in the output.
    """

    contracted: Ints
    columns: int
    kernel_first: bool

    @property
    def kind(self) -> str:
        """What people call it."""
        return "dense"

    def inputs(self, activation: Array) -> Array:
        """(positions, inputs)."""
        free = [i for i in range(activation.ndim) if i not in self.contracted]
        size = int(np.prod([activation.shape[i] for i in self.contracted]))
        return activation.transpose([*free, *self.contracted]).reshape(-1, size)

    def outputs(self, output: Array) -> Array:
        """(positions, outputs)."""
        return output.reshape(self.columns, -1).T if self.kernel_first else output.reshape(-1, self.columns)

    def width(self, shape: Ints) -> int:
        """The number of outputs of a product of this shape."""
        return self.columns

    def channels(self, shape: Ints) -> np.ndarray:
        """Which output each entry of the product is."""
        rest = int(np.prod(shape)) // self.columns
        found = np.tile(np.arange(self.columns), (rest, 1))
        return (found.T if self.kernel_first else found).reshape(shape)


class Convolution(NamedTuple):
    """A convolution of an activation with a kernel; positions are the output's pixels.

    Attributes:
        dimension_numbers: as ``jax.lax.ConvDimensionNumbers`` holds them: axes of the batch (of the output features,
            for the kernel), the features, and space.
        window: the kernel's extent in space.
        strides, padding, input_dilation, kernel_dilation: one entry per axis of space.
    """

    dimension_numbers: tuple[Ints, Ints, Ints]
    window: Ints
    strides: Ints
    padding: tuple[tuple[int, int], ...]
    input_dilation: Ints
    kernel_dilation: Ints

    @property
    def kind(self) -> str:
        """What people call it."""
        return "convolution"

    def inputs(self, activation: Array) -> Array:
        """(positions, inputs): the patch under the kernel, for every place to which it is moved."""
        batch, feature, *space = self.dimension_numbers[0]
        x = activation.transpose([batch, *space, feature])
        spread = [(low, high, dilation - 1) for (low, high), dilation in zip(self.padding, self.input_dilation)]
        x = jax.lax.pad(x, np.zeros((), x.dtype), [(0, 0, 0), *spread, (0, 0, 0)])
        reach = [(size - 1) * dilation for size, dilation in zip(self.window, self.kernel_dilation)]
        places = [(size - r - 1) // stride + 1 for size, r, stride in zip(x.shape[1:-1], reach, self.strides)]
        # Slices, one per entry of the kernel: a convolution with one-hot kernels in groups is slow on a CPU.
        parts = []
        for offset in itertools.product(*(range(size) for size in self.window)):
            first = [o * dilation for o, dilation in zip(offset, self.kernel_dilation)]
            last = [f + (p - 1) * stride + 1 for f, p, stride in zip(first, places, self.strides)]
            begin, end = (0, *first, 0), (x.shape[0], *last, x.shape[-1])
            parts.append(jax.lax.slice(x, begin, end, (1, *self.strides, 1)))
        patches = jax.numpy.stack(parts, axis=-2)
        return patches.reshape(-1, patches.shape[-2] * patches.shape[-1])

    def outputs(self, output: Array) -> Array:
        """(positions, outputs)."""
        batch, feature, *space = self.dimension_numbers[2]
        return output.transpose([batch, *space, feature]).reshape(-1, output.shape[feature])

    def width(self, shape: Ints) -> int:
        """The number of outputs of a product of this shape."""
        return shape[self.dimension_numbers[2][1]]

    def channels(self, shape: Ints) -> np.ndarray:
        """Which output each entry of the product is."""
        feature = self.dimension_numbers[2][1]
        return np.moveaxis(np.broadcast_to(np.arange(shape[feature]), _last(shape, feature)), -1, feature)


Geometry = Contraction | Convolution


def read(equation: JaxprEqn, kernel: int) -> tuple[Geometry, Steps] | str:
    """The geometry of a contraction or convolution whose operand 0 or 1 is a kernel.

    Returns:
        The geometry, and the steps from the kernel to (inputs, outputs); or the reason why the equation is not a matrix
        product with the kernel.
    """
    if equation.primitive.name == "dot_general":
        return _contraction(equation, kernel)
    return _convolution(equation) if kernel == 1 else "it is the input of a convolution, not the kernel"


def _contraction(equation: JaxprEqn, kernel: int) -> tuple[Geometry, Steps] | str:
    contracted, batch = equation.params["dimension_numbers"]
    if batch[kernel]:
        return "its products are taken in batches"
    if not contracted[kernel]:
        return "its product sums over no axis"
    shape = aval(equation.invars[kernel]).shape
    rows = tuple(int(i) for i in contracted[kernel])
    columns = tuple(i for i in range(len(shape)) if i not in rows)
    inputs, outputs = (int(np.prod([shape[i] for i in axes])) for axes in (rows, columns))
    geometry = Contraction(tuple(int(i) for i in contracted[1 - kernel]), outputs, kernel == 0)
    return geometry, (("transpose", (*rows, *columns)), ("reshape", (inputs, outputs)))


def _convolution(equation: JaxprEqn) -> tuple[Geometry, Steps] | str:
    p = equation.params
    if p["feature_group_count"] != 1 or p["batch_group_count"] != 1:
        return "its convolution is grouped"
    left, right, out = (tuple(int(i) for i in spec) for spec in p["dimension_numbers"])
    output, feature, *space = right
    shape = aval(equation.invars[1]).shape
    geometry = Convolution(
        dimension_numbers=(left, right, out),
        window=tuple(shape[i] for i in space),
        strides=tuple(int(i) for i in p["window_strides"]),
        padding=tuple((int(low), int(high)) for low, high in p["padding"]),
        input_dilation=tuple(int(i) for i in p["lhs_dilation"]),
        kernel_dilation=tuple(int(i) for i in p["rhs_dilation"]),
    )
    inputs = int(np.prod(shape)) // shape[output]
    return geometry, (("transpose", (*space, feature, output)), ("reshape", (inputs, shape[output])))


def _last(shape: Ints, axis: int) -> Ints:
    return (*shape[:axis], *shape[axis + 1 :], shape[axis])
