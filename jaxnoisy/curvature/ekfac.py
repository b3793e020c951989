"""EK-FAC: the eigenbasis of Kronecker factors for each layer, with the curvature along it as it is.

A layer's gradient for one example is sum_q a_q g_q^T over its positions q, for inputs a and gradients g by its outputs.
K-FAC (Martens and Grosse 2015) takes a layer's block of the curvature matrix to be A (x) G, with A the second moments
of the a and G those of the g, summed over positions (the "expand" setting of Eschenhagen et al. 2023). EK-FAC (George
et al. 2018, "Fast approximate natural gradient descent in a Kronecker-factored eigenbasis", equations 9 to 11) keeps
only the eigenvectors of A and G, and puts in the place of the eigenvalues' products the mean square of the examples'
gradients along them, which is the diagonal of the true block in that basis. Grosse et al. (2023, "Studying large
language model generalization with influence functions", section 2.4) solve for influence functions with it.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check, tree
from jaxnoisy.curvature import passes
from jaxnoisy.curvature.kronecker import DiagonalInfo, Ekfac, EkfacInfo, Form, LayerFactors, LayerInfo
from jaxnoisy.curvature.layers import captured
from jaxnoisy.curvature.layers.captured import Captured, Program, Vectors
from jaxnoisy.curvature.layers.sums import Moments, factors, moments, squares
from jaxnoisy.curvature.products import scalar_loss
from jaxnoisy.curvature.stream import Stream
from jaxnoisy.types import Array, ArrayLike, Key, PyTree


class BuildEkfac(Protocol):
    """What :func:`ekfac` returns."""

    def __call__(
        self,
        params: PyTree,
        data: PyTree | Stream,
        *,
        weights: ArrayLike | None = None,
        frozen: PyTree = None,
        key: Key | None = None,
    ) -> Ekfac:
        """The approximate matrix at ``params``.

        Args:
            params: floating point, p numbers in any containers.
            data: a pair (inputs, targets) of arrays with one leading axis, or a stream of such pairs. NumPy arrays,
                memory-mapped ones too, are read batch by batch.
            weights: (n,) nonnegative, or None for equal ones; they are divided by their sum.
            frozen: parameters that are not differentiated, as in :mod:`jaxnoisy.curvature.products`.
            key: typed key, needed where gradients are drawn. An example's draws depend on its place in the data only.

        Raises:
            TypeError: parameters that are not floating point, a loss that is not a real scalar, a key that is not
                typed, or none where gradients are drawn.
            ValueError: data that is no pair, without a common leading axis or with values that are not finite; weights
                of another shape, negative, or all 0.
        """


def ekfac(
    model: Callable[[PyTree, PyTree], PyTree],
    output_loss: Callable[[PyTree, PyTree], Array],
    *,
    gradients: str = "exact",
    draws: int = 1,
    batch_size: int = 64,
) -> BuildEkfac:
    """The EK-FAC approximation of the Gauss-Newton matrix, for dense and convolutional layers of any model.

    The layers are found in the program that the model traces to: parameters that are kernels of contractions or
    convolutions, through any reshapes and transpositions, with the biases added to these. Weights may be shared, over
    positions or between layers. Every other parameter, such as the scales of batch norm, embeddings, kernels of
    grouped convolutions, and what is used inside a ``scan``, has its own diagonal of the same matrix; ``info`` of the
    result says which parameter is where, and why. Nothing is left out.

    Exact for a single layer with one position where all examples share A or G, such as linear least squares; for one
    example; and in general on the diagonal of each layer's eigenbasis.

    Args:
        model: ``model(params, inputs) -> outputs`` for one example; batch norm in evaluation mode.
        output_loss: ``output_loss(outputs, targets) -> scalar`` for one example.
        gradients: whose mean square is taken. "exact": J^T s for the columns s of a root of the loss's Hessian by the
            outputs, as many as outputs: what :func:`gauss_newton` is the sum of, if the Hessian has no negative
            eigenvalues (which are left out here). "drawn": ``draws`` random combinations of these, equal to it in
            expectation. "empirical": the gradient at the targets given, whose mean square :func:`fisher` is.
        draws: random combinations per example.
        batch_size: examples per microbatch. It bounds the memory beside the factors: the patches under a convolution's
            kernel for one microbatch, and a gradient of one layer for each of its examples.

    Returns:
        ``build(params, data, *, weights=None, frozen=None, key=None)``, whose :class:`Ekfac` has ``inverse(damping)``,
        ``preconditioner(damping)``, ``operator()`` and ``info``. Cost: two passes over the data, each of one forward
        and r backward passes by the activations (r = outputs, draws, or 1); for a layer of D inputs (bias included), c
        outputs and q positions, in each pass about n q (D^2 + r c^2 + r D c) operations; and the eigenvectors of
        (D, D) and (c, c). Memory: 2 (D^2 + c^2 + D c) numbers per layer. It can be jitted unless the data is a stream.

    Raises:
        ValueError: another name of ``gradients``, or a batch size or draws below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> half_square = lambda z, y: 0.5 * jnp.sum((z - y) ** 2)
        >>> build = ekfac(lambda p, x: x @ p["w"] + p["b"], half_square)
        >>> params = {"w": jnp.zeros((2, 1)), "b": jnp.zeros(1)}
        >>> matrix = build(params, (jnp.array([[2.0, 0.0], [0.0, 2.0]]), jnp.zeros((2, 1))))
        >>> print(matrix.info)
        ['w'] with ['b']: dense, 3 x 1, 1 use, 1 position
        >>> matrix.operator()({"w": jnp.ones((2, 1)), "b": jnp.zeros(1)})["w"].round(4).tolist()
        [[2.0], [2.0]]
    """
    check.one_of(gradients, ("exact", "drawn", "empirical"), name="gradients")
    kind = "given" if gradients == "empirical" else gradients
    vectors = Vectors(output_loss, kind, check.positive_int(draws, name="draws"))
    static = _Static(model, vectors, check.positive_int(batch_size, name="batch_size"))

    def build(
        params: PyTree,
        data: PyTree | Stream,
        *,
        weights: ArrayLike | None = None,
        frozen: PyTree = None,
        key: Key | None = None,
    ) -> Ekfac:
        tree.real_parameters(params)
        if gradients == "drawn":
            check.typed_key(key)
        elif key is not None:
            raise TypeError(f"a key was given, but gradients={gradients!r} draws nothing: leave it out")
        params = jax.tree.map(jnp.asarray, params)
        w = passes.prepare(data, weights)
        return _build(static, params, data, w, frozen, key)

    return build


@dataclasses.dataclass(frozen=True)
class _Static:
    """What a pass is compiled for."""

    model: Callable[[PyTree, PyTree], PyTree]
    vectors: Vectors
    batch_size: int

    def program(self, params: PyTree, frozen: PyTree, data: PyTree) -> Program:
        return captured.trace(self.model, params, frozen, data[0])


class _Basis(NamedTuple):
    """The eigenvectors of a layer's rows and columns, and the eigenvalues."""

    rows: Array
    columns: Array
    row_values: Array
    column_values: Array


def checked(
    model: Callable[[PyTree, PyTree], PyTree],
    output_loss: Callable[[PyTree, PyTree], Array],
    params: PyTree,
    data: PyTree | Stream,
    frozen: PyTree,
) -> PyTree:
    """Refuse functions that do not fit the parameters and the data; return the data, or a stream's first batch."""
    first = next(iter(data))[0] if isinstance(data, Stream) else data
    if not isinstance(first, (tuple, list)) or len(first) != 2:
        raise ValueError(f"EK-FAC takes data as a pair (inputs, targets), but was given {type(first)}")
    scalar_loss(lambda p, e: output_loss(model(p, e[0]), e[1]), params, first, frozen)
    return first


def _build(
    static: _Static, params: PyTree, data: PyTree | Stream, weights: Array | None, frozen: PyTree, key: Key | None
) -> Ekfac:
    first = checked(static.model, static.vectors.loss, params, data, frozen)
    program = static.program(params, frozen, first)
    form = _form(params, program)
    arrays = (params, frozen, key)
    sums, diagonal = _through(_add_moments, static, (*arrays, ()), data, weights, _no_sums(form))
    bases = _bases(form, sums)
    values = _through(_add_squares, static, (*arrays, bases), data, weights, _no_squares(form))
    found = [LayerFactors(b.rows, b.columns, b.row_values, b.column_values, v) for b, v in zip(bases, values)]
    return Ekfac(tuple(found), diagonal, form)


@functools.partial(jax.jit, static_argnums=0)
def _no_sums(form: Form) -> PyTree:
    start = []
    for layer in form.layers:
        shapes = [layer.shape[::-1] if turned else layer.shape for turned in layer.sides]
        dtype = _wide(form.dtypes[layer.kernel])
        start.append(tuple(Moments(jnp.zeros((d, d), dtype), jnp.zeros((c, c), dtype)) for d, c in shapes))
    return tuple(start), tuple(jnp.zeros(form.shapes[i], _wide(form.dtypes[i])) for i in form.others)


@functools.partial(jax.jit, static_argnums=0)
def _no_squares(form: Form) -> PyTree:
    return tuple(jnp.zeros(layer.shape, _wide(form.dtypes[layer.kernel])) for layer in form.layers)


@functools.partial(jax.jit, static_argnums=0)
def _bases(form: Form, sums: tuple[tuple[Moments, ...], ...]) -> tuple[_Basis, ...]:
    found = []
    for layer, sides in zip(form.layers, sums):
        rows, columns = factors(list(zip(sides, layer.sides)))
        row_values, row_basis = jnp.linalg.eigh((rows + rows.T) / 2)
        column_values, column_basis = jnp.linalg.eigh((columns + columns.T) / 2)
        found.append(_Basis(row_basis, column_basis, row_values, column_values))
    return tuple(found)


def _wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return jnp.promote_types(dtype, jnp.float32)


def _through(
    step: Callable[..., PyTree], static: _Static, arrays: tuple[PyTree, ...], data: Any, weights: Any, start: PyTree
) -> PyTree:
    """One pass: the mean of what ``step(static, arrays, batch, total)`` adds up."""
    if weights is not None and passes.traced(arrays, data, weights):
        return passes.total(lambda s, batch: step(static, arrays, batch, s), start, data, weights, static.batch_size)
    total, weight = start, 0.0
    for batch in passes.on_host(data, weights, static.batch_size):
        total = _compiled(step, static, arrays, batch, total)
        weight += float(check.values(batch.weights).sum(dtype=np.float64))
    return _scaled(total, weight)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=4)
def _compiled(
    step: Callable[..., PyTree], static: _Static, arrays: tuple[PyTree, ...], batch: passes.Batch, total: PyTree
) -> PyTree:
    return step(static, arrays, batch, total)


@jax.jit
def _scaled(total: PyTree, weight: float) -> PyTree:
    return tree.scale(1 / weight, total)


def _capture(static: _Static, arrays: tuple[PyTree, ...], batch: passes.Batch) -> Captured:
    params, frozen, key, _ = arrays
    program = static.program(params, frozen, batch.data)
    return captured.capture(program, static.vectors, params, frozen, batch.data, key, jnp.asarray(batch.places))


def _add_moments(static: _Static, arrays: tuple[PyTree, ...], batch: passes.Batch, total: PyTree) -> PyTree:
    def step(arrays: tuple[PyTree, ...], batch: passes.Batch, total: PyTree) -> PyTree:
        seen, w = _capture(static, arrays, batch), jnp.asarray(batch.weights)
        with jax.default_matmul_precision("highest"):
            sums = tuple(tuple(moments(side, w) for side in sides) for sides in seen.layers)
        others = tuple(jnp.tensordot(w, jnp.sum(g * g, axis=1), 1) for g in seen.others)
        return jax.tree.map(lambda a, b: a + b.astype(a.dtype), total, (sums, others))

    return passes.unsplit(step, batch)(arrays, batch, total)


def _add_squares(static: _Static, arrays: tuple[PyTree, ...], batch: passes.Batch, total: PyTree) -> PyTree:
    def step(arrays: tuple[PyTree, ...], batch: passes.Batch, total: PyTree) -> PyTree:
        seen, w = _capture(static, arrays, batch), jnp.asarray(batch.weights)
        with jax.default_matmul_precision("highest"):
            found = tuple(squares(sides, b.rows, b.columns, w) for sides, b in zip(seen.layers, arrays[3]))
        return jax.tree.map(lambda a, b: a + b.astype(a.dtype), total, found)

    return passes.unsplit(step, batch)(arrays, batch, total)


def _form(params: PyTree, program: Program) -> Form:
    paths, structure = jax.tree_util.tree_flatten_with_path(params)
    names = [jax.tree_util.keystr(path) for path, _ in paths]
    shapes = tuple(tuple(a.shape) for _, a in paths)
    layers, others = program.layers
    info = EkfacInfo(
        tuple(
            LayerInfo(
                kernel=names[layer.kernel],
                bias=None if layer.bias is None else names[layer.bias],
                kind=layer.uses[0].geometry.kind,
                rows=layer.shape[0],
                columns=layer.shape[1],
                uses=len(layer.uses),
                positions=sum(use.positions for use in layer.uses),
            )
            for layer in layers
        ),
        tuple(DiagonalInfo(names[i], int(np.prod(shapes[i])), reason) for i, reason in others),
    )
    dtypes = tuple(np.dtype(a.dtype) for _, a in paths)
    return Form(structure, shapes, dtypes, layers, tuple(i for i, _ in others), info)
