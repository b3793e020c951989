"""Overfitting scores of Influential Rank, from any model and loss, or exactly from a linear head."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxnoisy import check
from jaxnoisy.curvature import examples, head_inputs, last_layer
from jaxnoisy.curvature.last_layer import HeadFactor
from jaxnoisy.curvature.products import Loss
from jaxnoisy.curvature.solution import Inverse, SolveInfo
from jaxnoisy.curvature.stream import Stream
from jaxnoisy.influence import head
from jaxnoisy.influence.gradients import gradients
from jaxnoisy.influence.overfitting_scores import OverfittingScores, overfitting_scores
from jaxnoisy.influence.pairwise import pairwise
from jaxnoisy.influence.per_class import per_class
from jaxnoisy.influence.self_influence import self_influence
from jaxnoisy.types import ArrayLike, PyTree

HeadData: TypeAlias = tuple[ArrayLike, ArrayLike, ArrayLike]
"""Features (n, d), logits (n, c) and labels (n,) at a linear head."""


class OverfittingInfo(NamedTuple):
    """How the linear systems behind the scores were solved.

    Attributes:
        train: for the gradient of every training example; None where their norms have a closed form.
        validation: for the gradient of every validation example.
    """

    train: SolveInfo | None
    validation: SolveInfo


def overfitting(
    loss: Loss, *, num_classes: int, normalise: str = "examples", batch_size: int = 64, memory: int = 1 << 30
) -> Callable[..., tuple[OverfittingScores, OverfittingInfo]]:
    """OSM and OSD by the parameters, or some of them, of any model and any loss.

    For a linear head under softmax cross entropy, :func:`head_overfitting` has the same exactly and much sooner.

    Args:
        loss: ``loss(params, example) -> scalar``, that was trained with. For examples of several parts that share a
            label, such as the frames of a clip, the mean over them.
        num_classes: c >= 2.
        normalise: the reading of equation 4, see :func:`overfitting_scores`.
        batch_size: the most examples that are differentiated and solved for at once.
        memory: bytes that their gradients may take; a solver holds several such blocks.

    Returns:
        ``scores(params, train, validation, validation_labels, inverse, *, frozen=None)``, which returns
        :class:`OverfittingScores` and an :class:`OverfittingInfo`. ``train`` and ``frozen`` are as for
        :func:`~jaxnoisy.influence.pairwise`, ``inverse`` is as for :func:`~jaxnoisy.influence.self_influence`: by
        conjugate gradient, EK-FAC or a factorised matrix; the paper adds 0.01 to the Hessian's diagonal. ``validation``
        is a tree of arrays with one leading axis of k examples with clean labels, which ``validation_labels`` (k,)
        name again as classes 0..c-1. Scores are on the host where ``train`` is. Cost: a gradient and a solution for
        each of the n + k examples, and one pass of :func:`~jaxnoisy.influence.pairwise`. Memory: n c numbers, and two
        blocks of k vectors; no (n, k) matrix is held.

    Raises:
        ValueError: fewer than two classes, another normalisation, a batch size below 1, negative memory; from
            ``scores``: no validation examples, labels out of range or not one per example, parameters or examples that
            are not finite.
        TypeError: from ``scores``: parameters that are not floating point, a loss that is not a real scalar, labels
            that are not integers, an inverse that is no function.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxnoisy import curvature
        >>> loss = lambda w, example: jax.nn.logsumexp(example[0] @ w) - (example[0] @ w)[example[1]]
        >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.9, 0.0], [0.0, 1.2], [0.1, 0.8]])
        >>> y, w = jnp.array([0, 1, 1, 0, 1, 1]), 3 * jnp.eye(2)
        >>> train, validation = (x[:3], y[:3]), (x[3:], y[3:])
        >>> inverse = curvature.factorised(curvature.hessian(loss)(w, train), w, damping=0.01)
        >>> found, info = overfitting(loss, num_classes=2)(w, train, validation, y[3:], inverse)
        >>> int(found.osm.argmax()), found.queries.tolist()  # the third has the first one's features, another label
        (2, [1, 2])
    """
    classes = check.positive_int(num_classes, name="num_classes", minimum=2)
    combine = overfitting_scores(normalise=normalise)
    lengths = self_influence(loss, batch_size=batch_size, memory=memory)
    products = pairwise(loss, batch_size=batch_size, memory=memory)
    of_queries = gradients(loss, batch_size=batch_size)

    def scores(
        params: PyTree,
        train: PyTree | Stream,
        validation: PyTree,
        validation_labels: ArrayLike,
        inverse: Inverse,
        *,
        frozen: PyTree = None,
    ) -> tuple[OverfittingScores, OverfittingInfo]:
        _clean_labels(validation_labels, classes, k=_validation_size(validation))
        examples.finite(params, name="params")
        own, train_info = lengths(params, train, inverse, frozen=frozen)
        solved, info = inverse(of_queries(params, validation, frozen=frozen))
        rows = products(params, train, solved, frozen=frozen)
        spread = per_class(num_classes=classes)(rows, validation_labels)
        return combine(own.norms, spread), OverfittingInfo(train_info, info)

    return scores


def head_overfitting(
    *, normalise: str = "examples", block_size: int = 2048
) -> Callable[[HeadFactor, HeadData, HeadData], tuple[OverfittingScores, OverfittingInfo]]:
    """OSM and OSD by the parameters of a linear head under softmax cross entropy, in closed form.

    Args:
        normalise: the reading of equation 4, see :func:`overfitting_scores`.
        block_size: rows per block.

    Returns:
        ``scores(factor, train, validation)``, which returns :class:`OverfittingScores` and an
        :class:`OverfittingInfo`. ``factor`` is the head's damped Hessian from
        :func:`jaxnoisy.curvature.last_layer.factorise`, of the training examples or, as the paper does where they are
        many, of a sample of them; the paper's damping is 0.01. ``train`` and ``validation`` are triples of features
        (n, d), logits (n, c) and labels (n,); those of the training set are all NumPy arrays, which are read by blocks
        (memory-mapped ones too), or all on devices, and so are the scores. Time: that of
        :func:`jaxnoisy.influence.head.self_influence`, and 2 n k c D operations for k validation examples. Memory
        beside the features: n c numbers and 5 m^2 for m = (c - 1) D.

    Raises:
        ValueError: another normalisation, a block size below 1; from ``scores``: no validation examples, features and
            logits that do not belong to the head, labels out of range, values that are not finite.
        TypeError: from ``scores``: features or logits that are not floating point, labels that are not integers.

    Example:
        >>> import numpy as np
        >>> from jaxnoisy.curvature import last_layer
        >>> x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.9, 0.0], [0.0, 1.2], [0.1, 0.8]], np.float32)
        >>> data = x, 3 * x, np.array([0, 1, 1, 0, 1, 1])
        >>> train, validation = tuple(a[:3] for a in data), tuple(a[3:] for a in data)
        >>> factor = last_layer.factorise(*train[:2], damping=0.01, bias=False)
        >>> found, info = head_overfitting()(factor, train, validation)
        >>> int(found.osm.argmax()), found.osd[:, 0].tolist(), bool(info.validation.converged.all())
        (2, [0.0, 0.0, 0.0], True)
    """
    combine = overfitting_scores(normalise=normalise)
    size = check.positive_int(block_size, name="block_size")

    def scores(factor: HeadFactor, train: HeadData, validation: HeadData) -> tuple[OverfittingScores, OverfittingInfo]:
        features, logits, labels = validation
        _clean_labels(labels, factor.like.shape[1], k=_validation_size(features))
        for name, a in (("validation features", features), ("validation logits", logits)):
            if check.is_concrete(a):
                check.finite(a, name=name)
        for given in (train, validation):
            head_inputs.fits(factor.like.shape, *given[:2])
        if features.shape[1] != train[0].shape[1]:
            raise ValueError(
                f"validation features have {features.shape[1]} columns, but training features have "
                f"{train[0].shape[1]}: take both from what the head is applied to"
            )
        bias = train[0].shape[1] < factor.like.shape[0]
        solved, info = last_layer.solve(factor, head.gradients(features, logits, labels, bias=bias))
        own = head.self_influence(factor, *train, block_size=size)
        rows = head.pairwise(solved, *train, block_size=size)
        spread = per_class(num_classes=factor.like.shape[1])(rows, labels)
        return combine(own.norms, spread), OverfittingInfo(None, info)

    return scores


def _validation_size(validation: PyTree) -> int:
    lengths = {jnp.shape(a)[:1] for a in jax.tree.leaves(validation)}
    if lengths <= {(0,)}:
        raise ValueError(
            "there are no validation examples: OSD needs some with clean labels, at least two of each class that is to "
            "have a say"
        )
    return examples.count(validation)


def _clean_labels(labels: ArrayLike, num_classes: int, *, k: int) -> None:
    if check.is_concrete(labels):
        check.labels(labels, num_classes=num_classes, n=k, name="validation labels")
    elif jnp.shape(labels) != (k,):
        raise ValueError(f"validation labels must have shape ({k},), one per example, but have {jnp.shape(labels)}")
