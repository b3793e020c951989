"""A curvature matrix that is diagonal in the Kronecker eigenbasis of each layer: products, inverses, and what it is."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import tree
from jaxnoisy.curvature import krylov
from jaxnoisy.curvature.krylov import RUNNING, Preconditioner
from jaxnoisy.curvature.layers import views
from jaxnoisy.curvature.layers.find import Layer
from jaxnoisy.curvature.operator import Block, Operator
from jaxnoisy.curvature.solution import SolveInfo, Status
from jaxnoisy.types import Array, PyTree


class LayerInfo(NamedTuple):
    """How a layer was found.

    Attributes:
        kernel: path of the parameter.
        bias: path of the bias, or None.
        kind: "dense" or "convolution".
        rows: inputs of the layer's matrix, one more where it has a bias.
        columns: its outputs.
        uses: how often the model multiplies with the kernel.
        positions: places (pixels, time steps, uses) over which an example's gradient sums.
    """

    kernel: str
    bias: str | None
    kind: str
    rows: int
    columns: int
    uses: int
    positions: int


class DiagonalInfo(NamedTuple):
    """A parameter that has only its diagonal.

    Attributes:
        parameter: its path.
        size: how many numbers it holds.
        reason: why it is in no layer.
    """

    parameter: str
    size: int
    reason: str


class EkfacInfo(NamedTuple):
    """How every parameter is represented, each in one of the two.

    Attributes:
        layers: the layers' :class:`LayerInfo`.
        diagonal: a :class:`DiagonalInfo` for every parameter outside the layers.
    """

    layers: tuple[LayerInfo, ...]
    diagonal: tuple[DiagonalInfo, ...]

    def __str__(self) -> str:
        """One line per layer and per remaining parameter."""
        lines = [
            f"{a.kernel}{f' with {a.bias}' if a.bias else ''}: {a.kind}, {a.rows} x {a.columns}, "
            f"{a.uses} use{'s' * (a.uses > 1)}, {a.positions} position{'s' * (a.positions > 1)}"
            for a in self.layers
        ]
        return "\n".join([*lines, *(f"{d.parameter}: diagonal only, as {d.reason}" for d in self.diagonal)])


class LayerFactors(NamedTuple):
    """A layer's matrix is sum_jk values[j, k] (u_j v_k^T) (u_j v_k^T)^T, over its entries.

    Attributes:
        rows: (D, D) eigenvectors u_j of the inputs' second moments, as columns.
        columns: (c, c) eigenvectors v_k of those of the outputs' gradients.
        row_values: (D,) eigenvalues.
        column_values: (c,) eigenvalues.
        values: (D, c) the mean square of an example's gradient along u_j v_k^T.
    """

    rows: Array
    columns: Array
    row_values: Array
    column_values: Array
    values: Array


class Form(NamedTuple):
    """What is fixed in an :class:`Ekfac`: the tree of parameters and its layers."""

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[np.dtype[Any], ...]
    layers: tuple[Layer, ...]
    others: tuple[int, ...]
    info: EkfacInfo

    def like(self) -> PyTree:
        """The shapes and dtypes of the parameters."""
        shapes = [jax.ShapeDtypeStruct(s, d) for s, d in zip(self.shapes, self.dtypes)]
        return jax.tree.unflatten(self.structure, shapes)

    def apart(self, vector: PyTree) -> tuple[list[Array], list[Array]]:
        """A vector as the layers' matrices, and the other parameters."""
        leaves = jax.tree.leaves(vector)
        matrices = []
        for layer in self.layers:
            matrix = _wide(views.apply(layer.steps, leaves[layer.kernel]))
            if layer.bias is not None:
                matrix = jnp.concatenate([matrix, _wide(leaves[layer.bias]).reshape(1, -1)])
            matrices.append(matrix)
        return matrices, [_wide(leaves[i]) for i in self.others]

    def together(self, matrices: list[Array], others: list[Array]) -> PyTree:
        """The vector, in the parameters' dtypes."""
        found = dict(zip(self.others, others))
        for layer, matrix in zip(self.layers, matrices):
            if layer.bias is not None:
                matrix, found[layer.bias] = matrix[:-1], matrix[-1].reshape(self.shapes[layer.bias])
            found[layer.kernel] = views.undo(layer.steps, matrix, self.shapes[layer.kernel])
        leaves = [found[i].astype(dtype) for i, dtype in enumerate(self.dtypes)]
        return jax.tree.unflatten(self.structure, leaves)


@functools.partial(jax.tree_util.register_dataclass, data_fields=("layers", "diagonal"), meta_fields=("form",))
@dataclasses.dataclass(frozen=True)
class Ekfac:
    """The approximate matrix of a model, from :func:`ekfac`: a pytree of the factors.

    Attributes:
        layers: a :class:`LayerFactors` for each layer.
        diagonal: for each parameter outside the layers its diagonal, shaped as it is.
        form: which parameter is where.
    """

    layers: tuple[LayerFactors, ...]
    diagonal: tuple[Array, ...]
    form: Form

    @property
    def info(self) -> EkfacInfo:
        """How every parameter is represented."""
        return self.form.info

    def operator(self) -> Operator:
        """The approximate matrix itself, without damping, as an operator."""
        return Operator(jax.tree_util.Partial(_products, self))

    def inverse(self, damping: float = 0.0, *, tolerance: float = 1e-5) -> jax.tree_util.Partial:
        """(E + damping I)^-1 of the approximate matrix E.

        Args:
            damping: >= 0. Without damping, directions whose eigenvalue is below rounding are left at 0, and right-hand
                sides that have a part in them get the status NEGATIVE_CURVATURE: the matrix is singular.
            tolerance: the relative residual up to which a solution counts as converged; beyond it the status is
                STAGNATED.

        Returns:
            ``inverse(block) -> (block, SolveInfo)`` of 0 steps, a pytree. The residual is that of E, not of the matrix
            that E approximates: it tells of rounding, and nothing of how good the approximation is. Cost:
            16 k D c (D + c) operations per layer.

        Raises:
            ValueError: damping or tolerance out of range; from ``inverse``: right-hand sides that are no block of the
                parameters.
            TypeError: from ``inverse``: right-hand sides that are not floating point.
        """
        limit = krylov.limits(damping, tolerance, 1)
        return jax.tree_util.Partial(_solve, self, jnp.asarray(limit.damping), jnp.asarray(limit.tolerance))

    def preconditioner(self, damping: float = 0.0) -> Preconditioner:
        """The same inverse as a function of one vector, for :func:`cg` and :func:`block_cg`.

        Where an eigenvalue and the damping are both 0, nothing is divided, so that it is always positive definite.

        It mends what differs between layers and between the directions of their inputs and outputs. Where the matrix
        has no curvature in most directions, because examples times outputs are fewer than parameters, E has some in
        them all the same; dividing by it at the small damping of the system then costs more steps than it saves. Take
        a larger damping here than in the system (the solution does not depend on it), or :func:`nystrom`.

        Args:
            damping: >= 0, that of the system or more.

        Raises:
            ValueError: damping out of range.
        """
        return jax.tree_util.Partial(_divided, self, jnp.asarray(krylov.nonnegative(damping, name="damping")))


def rotated(matrix: Ekfac, vector: PyTree) -> list[Array]:
    """The coordinates of a vector in the eigenbasis: a matrix for each layer, then the other parameters."""
    inside, others = matrix.form.apart(vector)
    with jax.default_matmul_precision("highest"):
        return [f.rows.T @ a @ f.columns for f, a in zip(matrix.layers, inside)] + others


def back(matrix: Ekfac, coordinates: list[Array]) -> PyTree:
    """The vector with these coordinates."""
    number = len(matrix.layers)
    with jax.default_matmul_precision("highest"):
        inside = [f.rows @ a @ f.columns.T for f, a in zip(matrix.layers, coordinates)]
    return matrix.form.together(inside, coordinates[number:])


def eigenvalues(matrix: Ekfac) -> list[Array]:
    """In the order of :func:`rotated`."""
    return [f.values for f in matrix.layers] + list(matrix.diagonal)


def _products(matrix: Ekfac, vectors: Block) -> Block:
    tree.block_size(vectors, matrix.form.like(), name="vector")

    def one(vector: PyTree) -> PyTree:
        return back(matrix, [e * a for e, a in zip(eigenvalues(matrix), rotated(matrix, vector))])

    return jax.vmap(one)(vectors)


def _divided(matrix: Ekfac, damping: Array, vector: PyTree) -> PyTree:
    moved, regular = shifted(matrix, damping)
    return back(matrix, [a / jnp.where(r, e, 1) for e, r, a in zip(moved, regular, rotated(matrix, vector))])


def _solve(matrix: Ekfac, damping: Array, tolerance: Array, rhs: Block) -> tuple[Block, SolveInfo]:
    prob = krylov.problem(rhs)
    tree.block_size(rhs, matrix.form.like(), name="rhs")
    moved, regular = shifted(matrix, damping)

    def one(b: PyTree) -> tuple[PyTree, Array, Array]:
        inside = rotated(matrix, b)
        x = back(matrix, [jnp.where(r, a / jnp.where(r, e, 1), 0) for e, r, a in zip(moved, regular, inside)])
        # From the x that is returned, through its own rotation, so that rounding anywhere shows.
        left = tree.axpy(-1.0, back(matrix, [e * a for e, a in zip(moved, rotated(matrix, x))]), b)
        outside = sum(jnp.sum(jnp.where(r, 0, a) ** 2) for r, a in zip(regular, inside))
        return x, tree.norm(left), jnp.sqrt(outside)

    sound = krylov.pick(prob.status == RUNNING, rhs, tree.zeros_like(rhs))
    x, left, outside = jax.vmap(one)(sound)
    relative = jnp.where(prob.status == Status.NOT_FINITE, jnp.nan, left / prob.length)
    status = jnp.select(
        [prob.status != RUNNING, ~jnp.isfinite(relative), outside > tolerance * prob.length, relative <= tolerance],
        [prob.status, Status.NOT_FINITE, Status.NEGATIVE_CURVATURE, Status.CONVERGED],
        Status.STAGNATED,
    )
    return x, SolveInfo(jnp.zeros((), jnp.int32), relative.astype(prob.length.dtype), status.astype(jnp.int32))


def shifted(matrix: Ekfac, damping: Array) -> tuple[list[Array], list[Array]]:
    """The damped eigenvalues, and which can be divided by: with damping, all that are above 0."""
    values = eigenvalues(matrix)
    largest = functools.reduce(jnp.maximum, [jnp.max(e) for e in values])
    longest = max([10, *(d for layer in matrix.form.layers for d in layer.shape)])
    floor = jnp.where(damping > 0, 0, 10 * longest * jnp.finfo(largest.dtype).eps * largest)
    moved = [e + damping.astype(e.dtype) for e in values]
    return moved, [e > floor for e in moved]


def _wide(a: Array) -> Array:
    return a.astype(jnp.promote_types(a.dtype, jnp.float32))
