"""Products of the Hessian, the Gauss-Newton matrix and the Fisher matrix of a mean loss with vectors.

Each constructor takes the functions and returns ``build(params, data, weights=None, frozen=None) -> Operator``, the
matrix at these parameters, averaged over the data: sum_i w_i A_i / sum_i w_i. An example given twice is an example of
weight 2.

``data`` is a tree of arrays with one leading axis of n examples, or a :class:`~jaxnoisy.curvature.Stream`. ``frozen``
holds parameters that are not differentiated, as the second half of :func:`jaxnoisy.tree.split`; the functions see the
whole tree.

Products are taken forward over reverse, at the highest matrix precision that the device has (a GPU or TPU would
otherwise round to 10 or 8 bits). The model is linearised once where what that keeps, its intermediate values for all n
examples, fits in ``memory``; otherwise each product runs through microbatches and computes them anew, at the cost of
one more gradient pass. Vectors of a block share the pass, as many at once as fit in ``memory``.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from jaxnoisy import check, tree
from jaxnoisy.curvature import examples
from jaxnoisy.curvature.assemble import Linear, Static, operator
from jaxnoisy.curvature.operator import Operator
from jaxnoisy.curvature.stream import Stream
from jaxnoisy.types import Array, ArrayLike, PyTree

Loss = Callable[[PyTree, PyTree], Array]
"""``loss(params, example) -> scalar``."""


class Build(Protocol):
    """What every constructor here returns."""

    def __call__(
        self, params: PyTree, data: PyTree | Stream, *, weights: ArrayLike | None = None, frozen: PyTree = None
    ) -> Operator:
        """The matrix at ``params``, of (p, p) for the p numbers in ``params`` (those in ``frozen`` not counted).

        Raises:
            TypeError: parameters that are not floating point, a loss that is not a real scalar.
            ValueError: data without a common leading axis or (outside ``jit``) with values that are not finite; weights
                of another shape, negative, or all 0; from a product: a vector of another structure or shape.
        """


def hessian(loss: Loss, *, batch_size: int = 256, memory: int = 1 << 30) -> Build:
    """The Hessian of the mean loss. It is indefinite for most deep networks; see :func:`gauss_newton`.

    Args:
        loss: ``loss(params, example) -> scalar``.
        batch_size: examples per microbatch, where the linearised model does not fit in ``memory``.
        memory: bytes that the linearised model, or the intermediate values of a block's vectors, may take; 0 always
            takes microbatches.

    Returns:
        ``build(params, data, weights=None, frozen=None) -> Operator``. Cost of a product: about two gradient passes
        over the data per vector, three in microbatches.

    Raises:
        ValueError: a batch size below 1, or negative memory.

    Example:
        >>> import jax.numpy as jnp
        >>> loss = lambda w, example: 0.5 * (example[0] @ w - example[1]) ** 2
        >>> matrix = hessian(loss)(jnp.zeros(2), (jnp.eye(2), jnp.ones(2)))
        >>> matrix(jnp.array([2.0, 4.0])).tolist()
        [1.0, 2.0]
    """
    return _constructor(_Hessian(loss), batch_size, memory)


def gauss_newton(
    model: Callable[[PyTree, PyTree], PyTree],
    output_loss: Callable[[PyTree, PyTree], Array],
    *,
    batch_size: int = 256,
    memory: int = 1 << 30,
) -> Build:
    """The generalised Gauss-Newton matrix, mean_i J_i^T (d^2 loss / d outputs^2) J_i (Schraudolph 2002, section 3).

    Positive semidefinite where the output loss is convex in the outputs. For a loss that is the negative
    log-likelihood of an exponential family in its natural parameters, such as softmax cross entropy on logits or half
    the squared error, it is the Fisher matrix, the expectation taken over the model's own predictions (Martens 2020,
    "New insights and perspectives on the natural gradient method", section 9.2).

    Args:
        model: ``model(params, inputs) -> outputs`` for one example.
        output_loss: ``output_loss(outputs, targets) -> scalar`` for one example.
        batch_size: as in :func:`hessian`.
        memory: as in :func:`hessian`.

    Returns:
        ``build(params, data, weights=None, frozen=None) -> Operator``, with data a pair (inputs, targets). Cost of a
        product: about one gradient pass over the data per vector, two in microbatches.

    Raises:
        ValueError: a batch size below 1, or negative memory; from ``build``: data that is not a pair.

    Example:
        >>> import jax.numpy as jnp
        >>> half_square = lambda z, y: 0.5 * (z - y) ** 2
        >>> build = gauss_newton(lambda w, x: jnp.tanh(x @ w), half_square)
        >>> build(jnp.zeros(2), (jnp.eye(2), jnp.ones(2)))(jnp.array([2.0, 4.0])).tolist()
        [1.0, 2.0]
    """
    return _constructor(_GaussNewton(model, output_loss), batch_size, memory)


def fisher(loss: Loss, *, batch_size: int = 256, memory: int = 1 << 30) -> Build:
    """The empirical Fisher matrix, mean_i g_i g_i^T with g_i the gradient of the loss at the *given* label.

    Positive semidefinite, of rank at most n. It is not the Fisher matrix proper, whose labels are drawn from the model:
    for that take :func:`gauss_newton`, which equals it for the usual losses, or put drawn labels in the data. The two
    part ways on mislabeled examples, whose gradients are large (Kunstner et al. 2019, "Limitations of the empirical
    Fisher approximation").

    Args:
        loss: ``loss(params, example) -> scalar``.
        batch_size: as in :func:`hessian`.
        memory: as in :func:`hessian`.

    Returns:
        ``build(params, data, weights=None, frozen=None) -> Operator``. Cost of a product: as for :func:`gauss_newton`.

    Raises:
        ValueError: a batch size below 1, or negative memory.

    Example:
        >>> import jax.numpy as jnp
        >>> build = fisher(lambda w, x: x @ w)
        >>> build(jnp.zeros(2), jnp.array([[1.0, 1.0]]))(jnp.array([1.0, 2.0])).tolist()
        [3.0, 3.0]
    """
    return _constructor(_Fisher(loss), batch_size, memory)


def _constructor(local: "_Hessian | _GaussNewton | _Fisher", batch_size: int, memory: int) -> Build:
    static = Static(
        local,
        check.positive_int(batch_size, name="batch_size"),
        check.positive_int(memory, name="memory", minimum=0),
    )

    def build(
        params: PyTree, data: PyTree | Stream, *, weights: ArrayLike | None = None, frozen: PyTree = None
    ) -> Operator:
        tree.real_parameters(params)
        return operator(static, params, data, weights, frozen)

    return build


def whole(params: PyTree, frozen: PyTree) -> PyTree:
    """All parameters: those differentiated, and the frozen ones if there are any."""
    return params if frozen is None else tree.merge(params, frozen)


def _scalar(value: Any, *, what: str) -> None:
    if not hasattr(value, "shape") or value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(
            f"{what} must return a real scalar for one example, but returns {value}: "
            "reduce it to one number, without an axis for the batch and without auxiliary results"
        )


def scalar_loss(loss: Loss, params: PyTree, data: PyTree, frozen: PyTree) -> None:
    """Refuse a loss that is not a real scalar for one example of the data."""
    value = jax.eval_shape(lambda p, f, e: loss(whole(p, f), e), params, frozen, examples.one(data))
    _scalar(value, what="loss")


@dataclasses.dataclass(frozen=True)
class _Hessian:
    loss: Loss

    def check(self, params: PyTree, data: PyTree, frozen: PyTree) -> None:
        scalar_loss(self.loss, params, data, frozen)

    def __call__(self, params: PyTree, data: PyTree, weights: Array, frozen: PyTree) -> Linear:
        def total(p: PyTree) -> Array:
            return jnp.sum(weights * jax.vmap(lambda e: self.loss(whole(p, frozen), e))(data))

        return jax.linearize(jax.grad(total), params)[1]


@dataclasses.dataclass(frozen=True)
class _GaussNewton:
    model: Callable[[PyTree, PyTree], PyTree]
    output_loss: Callable[[PyTree, PyTree], Array]

    def check(self, params: PyTree, data: PyTree, frozen: PyTree) -> None:
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise ValueError(
                f"Gauss-Newton products take data as a pair (inputs, targets), but were given {type(data)}"
            )
        inputs, targets = examples.one(data)
        outputs = jax.eval_shape(lambda p, f, x: self.model(whole(p, f), x), params, frozen, inputs)
        _scalar(jax.eval_shape(self.output_loss, outputs, targets), what="output_loss")

    def __call__(self, params: PyTree, data: PyTree, weights: Array, frozen: PyTree) -> Linear:
        inputs, targets = data
        outputs, push = jax.linearize(lambda p: jax.vmap(lambda x: self.model(whole(p, frozen), x))(inputs), params)

        def total(z: PyTree) -> Array:
            return jnp.sum(weights * jax.vmap(self.output_loss)(z, targets))

        return jax.tree_util.Partial(_through_outputs, push, jax.linearize(jax.grad(total), outputs)[1])


@dataclasses.dataclass(frozen=True)
class _Fisher:
    loss: Loss

    def check(self, params: PyTree, data: PyTree, frozen: PyTree) -> None:
        scalar_loss(self.loss, params, data, frozen)

    def __call__(self, params: PyTree, data: PyTree, weights: Array, frozen: PyTree) -> Linear:
        _, push = jax.linearize(lambda p: jax.vmap(lambda e: self.loss(whole(p, frozen), e))(data), params)
        return jax.tree_util.Partial(_through_outputs, push, jax.tree_util.Partial(_times, weights))


def _times(weights: Array, values: Array) -> Array:
    return (weights * values).astype(values.dtype)


def _through_outputs(push: Callable[[PyTree], PyTree], bend: Callable[[PyTree], PyTree], vector: PyTree) -> PyTree:
    """J^T B J v, with J^T the transpose of the same linearised pass."""
    return jax.linear_transpose(push, vector)(bend(push(vector)))[0]
