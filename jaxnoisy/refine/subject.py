"""The network that a repair works on: its functions, for whatever parameters the rounds come to."""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from jaxnoisy.data.dataset import Dataset
from jaxnoisy.influence.overfitting import HeadData
from jaxnoisy.models import Classifier
from jaxnoisy.training.loop import Fit
from jaxnoisy.training.network import functional
from jaxnoisy.training.normalize import Moments
from jaxnoisy.training.outputs import outputs, predictions
from jaxnoisy.training.trained import Trained, pure
from jaxnoisy.types import Array, PyTree

_BLOCK = 8192


class Weights(NamedTuple):
    """What training changes.

    Attributes:
        params: trainable parameters.
        rest: batch statistics and other state.
    """

    params: PyTree
    rest: PyTree


class Subject(NamedTuple):
    """A classifier of features and a head, apart. Its functions stay the same, so that each is compiled once.

    Attributes:
        logits: (params, rest, inputs as stored) -> (b, c), in evaluation mode.
        outputs: the same -> (b, d + c), the head's inputs and then its logits.
        merge: (params, rest) -> the module.
        scale: how inputs are normalised.
    """

    logits: Callable[[PyTree, PyTree, Array], Array]
    outputs: Callable[[PyTree, PyTree, Array], Array]
    merge: Callable[[PyTree, PyTree], nnx.Module]
    scale: Moments


def apart(trained: Trained) -> tuple[Subject, Weights]:
    """Take a trained classifier apart, with its parameters on one device.

    Raises:
        ValueError: a model without features and a head.

    Example:
        >>> from jaxnoisy.data import load
        >>> from jaxnoisy.training.normalize import moments
        >>> from jaxnoisy.training.trained import start
        >>> digits = load("digits")
        >>> subject, weights = apart(Trained(start("linear", digits), moments(digits.inputs)))
        >>> features, logits, labels = head_data(subject, weights, digits)
        >>> features.shape, logits.shape, labels.shape
        ((1797, 64), (1797, 10), (1797,))
    """
    model = trained.model
    if not isinstance(model, Classifier):
        raise ValueError(
            f"a repair looks at the last layer and needs a jaxnoisy.models.Classifier, a module with features and a "
            f"head, but was given {type(model).__name__}: derive the model from it"
        )
    functions, (network, params, rest) = pure(trained), functional(model)
    assert functions.outputs is not None
    subject = Subject(functions.logits, functions.outputs, network.merge, trained.scale)
    return subject, Weights(*jax.device_put(jax.device_get((params, rest))))


def learned(done: Fit) -> Weights:
    """What a run came to, on one device."""
    return Weights(*jax.device_put(jax.device_get((done.state.params, done.state.rest))))


def head_data(subject: Subject, weights: Weights, data: Dataset, rows: np.ndarray | None = None) -> HeadData:
    """Features (n, d), logits (n, c) and given labels of all examples, or of some, computed block by block."""
    seen = outputs(subject.outputs, *weights, data.inputs, rows)
    c = data.num_classes
    return seen[:, :-c], seen[:, -c:], data.labels if rows is None else data.labels[rows]


def head_params(subject: Subject, weights: Weights) -> dict[str, Array]:
    """The head's kernel (d, c) and, where it has one, its bias (c,)."""
    head = subject.merge(*weights).head  # type: ignore[attr-defined]
    named = {"kernel": head.kernel, "bias": getattr(head, "bias", None)}
    return {name: value[...] for name, value in named.items() if value is not None}


def accuracy(subject: Subject, weights: Weights, data: Dataset) -> float:
    """Share of examples that are predicted as labelled."""
    return float((predictions(outputs(subject.logits, *weights, data.inputs)) == data.labels).mean())


def probabilities(subject: Subject, weights: Weights, data: Dataset) -> np.ndarray:
    """Softmax of the logits of all examples, (n, c) float32."""
    logits = outputs(subject.logits, *weights, data.inputs)
    return np.concatenate([np.exp(_log_softmax(part)).astype(np.float32) for part in _blocks(logits)])


def losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross entropy of each example's label, (n,) float32, in nats."""
    pairs = zip(_blocks(logits), _blocks(labels))
    parts = [-_log_softmax(part)[np.arange(len(given)), given] for part, given in pairs]
    return np.concatenate(parts).astype(np.float32)


def fingerprint(subject: Subject, weights: Weights) -> str:
    """Sixteen hex digits that change with any parameter, statistic or scale."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves((weights, subject.scale)):
        is_key = isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        values = np.asarray(jax.random.key_data(leaf) if is_key else leaf)
        digest.update(repr((values.shape, values.dtype.str)).encode() + values.tobytes())
    return digest.hexdigest()[:16]


def _blocks(values: np.ndarray) -> list[np.ndarray]:
    return [values[i : i + _BLOCK] for i in range(0, len(values), _BLOCK)]


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    # On the host: no program need be compiled for each number of examples that the rounds leave.
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
