"""Overfitting scores through a classifier's last layer, by three ways to its inverse curvature."""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxnoisy import influence
from jaxnoisy.curvature import Stream, block_cg, describe, ekfac, gauss_newton, last_layer
from jaxnoisy.curvature.head_room import lacking_room
from jaxnoisy.curvature.solution import Inverse
from jaxnoisy.influence import OverfittingScores
from jaxnoisy.influence.overfitting import HeadData
from jaxnoisy.losses import cross_entropy
from jaxnoisy.types import Array, PyTree

_BATCH = 256
_TOLERANCE, _MAX_STEPS = 1e-3, 500


class HeadTask(NamedTuple):
    """What is asked of a head.

    Attributes:
        train: features (n, d), logits (n, c) and given labels of the examples to score.
        validation: those of k examples with clean labels.
        sample: (m,) which of the n the curvature is of; None for all.
        damping: added to its diagonal.
        params: the head's kernel (d, c) and, where it has one, its bias (c,), by these names.
    """

    train: HeadData
    validation: HeadData
    sample: np.ndarray | None
    damping: float
    params: dict[str, Array]

    @property
    def bias(self) -> bool:
        """Whether the head has one."""
        return "bias" in self.params

    @property
    def curved(self) -> HeadData:
        """The examples that the curvature is of."""
        if self.sample is None:
            return self.train
        return _rows(self.train, self.sample)


class HeadInfluence(NamedTuple):
    """A head with its inverse curvature.

    Attributes:
        scores: of the n training examples, and a sentence on how the systems were solved.
        influences: of (r,) training rows on (q,) validation rows, (r, q).
    """

    scores: Callable[[], tuple[OverfittingScores, str]]
    influences: Callable[[np.ndarray, np.ndarray], np.ndarray]


def exactly(task: HeadTask) -> HeadInfluence:
    """In closed form, see :mod:`jaxnoisy.curvature.last_layer`."""
    factor = last_layer.factorise(*task.curved[:2], damping=task.damping, bias=task.bias)

    def scores() -> tuple[OverfittingScores, str]:
        found, info = influence.head_overfitting()(factor, task.train, task.validation)
        return found, describe(info.validation)

    def influences(rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
        gradients = influence.head.gradients(*_rows(task.validation, queries), bias=task.bias)
        solved, _ = last_layer.solve(factor, gradients)
        return np.asarray(influence.matrix(influence.head.pairwise(solved, *_rows(task.train, rows))))

    return HeadInfluence(scores, influences)


def by_ekfac(task: HeadTask) -> HeadInfluence:
    """Under the EK-FAC approximation, which takes (d^2 + c^2) numbers in the place of (d c)^2."""
    features, _, labels = task.curved
    build = ekfac(_model, _output_loss, batch_size=_BATCH)
    approximate = build(task.params, (features, labels))
    return _solved(task, approximate.inverse(task.damping, tolerance=_TOLERANCE))


def by_cg(task: HeadTask) -> HeadInfluence:
    """By block conjugate gradient, with a solution for every training example: the head's exact scores, slowly.

    Of a head, the Gauss-Newton matrix is the Hessian.
    """
    features, _, labels = task.curved
    data = (
        _stream(features, np.asarray(labels))
        if isinstance(features, np.memmap)
        else (jnp.asarray(features), jnp.asarray(labels))
    )
    matrix = gauss_newton(_model, _output_loss, batch_size=_BATCH)(task.params, data)
    solve = block_cg(damping=task.damping, tolerance=_TOLERANCE, max_steps=_MAX_STEPS)
    return _solved(task, functools.partial(solve, matrix))


SOLVERS: Mapping[str, Callable[[HeadTask], HeadInfluence]] = {"exact": exactly, "ekfac": by_ekfac, "cg": by_cg}


def refuse_too_wide(solver: str, features: int, num_classes: int) -> None:
    """Refuse the exact way where the machine has no room for it; ``features`` counts the bias."""
    if solver == "exact" and (lack := lacking_room(features, num_classes)):
        raise ValueError(
            f'{lack}. Choose solver="ekfac", an approximation that needs little memory, or solver="cg", which is '
            "exact up to its tolerance and takes a solution per example; or a model with fewer features"
        )


def _solved(task: HeadTask, inverse: Inverse) -> HeadInfluence:
    params, c = task.params, np.shape(task.train[1])[1]

    def scores() -> tuple[OverfittingScores, str]:
        of = influence.overfitting(_loss, num_classes=c, batch_size=_BATCH)
        found, info = of(params, _pairs(task.train), _pairs(task.validation), task.validation[2], inverse)
        assert info.train is not None
        if not np.isfinite(np.asarray(found.osm)).all():
            raise FloatingPointError(f"the overfitting scores are not finite: {describe(info.train)}")
        return OverfittingScores(*(np.asarray(a) for a in found)), describe(info.train)

    def influences(rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
        solved, _ = inverse(influence.gradients(_loss)(params, _pairs(_rows(task.validation, queries))))
        return np.asarray(influence.matrix(influence.pairwise(_loss)(params, _pairs(_rows(task.train, rows)), solved)))

    return HeadInfluence(scores, influences)


def _model(params: PyTree, features: Array) -> Array:
    logits = features @ params["kernel"]
    return logits + params["bias"] if "bias" in params else logits


def _output_loss(logits: Array, label: Array) -> Array:
    return cross_entropy(logits[None], label[None])[0]


def _loss(params: PyTree, example: tuple[Array, Array]) -> Array:
    return _output_loss(_model(params, example[0]), example[1])


def _rows(data: HeadData, rows: np.ndarray) -> HeadData:
    features, logits, labels = (np.asarray(a[rows]) for a in data)
    return features, logits, labels


def _pairs(data: HeadData) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(data[0]), np.asarray(data[2])


def _stream(features: np.ndarray, labels: np.ndarray) -> Stream:
    def begin():  # type: ignore[no-untyped-def]
        for start in range(0, len(labels), _BATCH):
            yield np.asarray(features[start : start + _BATCH]), labels[start : start + _BATCH]

    return Stream(begin)
