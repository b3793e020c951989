"""A trained network with a robust generative classifier on its stages in the place of its head."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy.data.dataset import Dataset
from jaxnoisy.data.queries import fitted
from jaxnoisy.models import Classifier
from jaxnoisy.repair import RoG, RoGInfo, rog
from jaxnoisy.training.network import functional
from jaxnoisy.training.normalize import normalize
from jaxnoisy.training.outputs import outputs
from jaxnoisy.training.trained import Trained
from jaxnoisy.types import Array, PyTree

_BLOCK = 8192


class Generative(NamedTuple):
    """A network and the Gaussians on its stages.

    Attributes:
        rog: the classifier, a function of the stages' features.
        features: (params, rest, inputs (b, ...) as stored) -> (b, sum of d_l), the stages side by side.
        params: the network's trainable parameters.
        rest: its batch statistics and other state.
    """

    rog: RoG
    features: Callable[[PyTree, PyTree, Array], Array]
    params: PyTree
    rest: PyTree

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Return the class probabilities of inputs as stored, (n, c) float32; one forward pass, block by block.

        Raises:
            ValueError: inputs of another shape than the network was made for.
            FloatingPointError: features that are not finite.
        """
        widths = [layer.kernel.shape[0] for layer in self.rog.layers]
        seen = outputs(self.features, self.params, self.rest, inputs)
        parts = (
            self.rog.probabilities(_layers(np.asarray(seen[i : i + _BLOCK]), widths))
            for i in range(0, len(seen), _BLOCK)
        )
        return np.concatenate([np.asarray(part) for part in parts])

    def accuracy(self, data: Dataset) -> float:
        """Return the share of the examples that are classified as they are labelled."""
        return float(np.mean(self.probabilities(data.inputs).argmax(axis=1) == data.labels))


def generative(
    data: Dataset,
    validation: Dataset,
    trained: Trained,
    *,
    support: float | None = 0.7,
    prior: str = "given",
) -> tuple[Generative, RoGInfo]:
    """Fit :func:`jaxnoisy.repair.rog` on the stages of a trained network; nothing is trained.

    Args:
        data: n training examples under their given labels.
        validation: examples whose labels are believed, which the weights of the stages are fitted on; the paper on
            Influential Rank takes 500 for CIFAR.
        trained: a network with stages, a :class:`jaxnoisy.models.Classifier`, and how its inputs are normalised.
        support: the share of each class kept, or None; see :func:`~jaxnoisy.repair.rog`.
        prior: "given" or "uniform".

    Returns:
        The classifier, and what its fit came to. ``info.supports`` says of every layer which examples it left out.

    Cost: one forward pass over both data sets in evaluation mode, and the fit; (n, sum of d_l) float32 are kept, in an
    unnamed file where they take more than 1 GiB.

    Raises:
        ValueError: a model without stages, validation examples that do not fit the data, or an option out of range.
        FloatingPointError: a model whose features are not finite, as after training has diverged.

    Example:
        >>> from jaxnoisy.data import load
        >>> from jaxnoisy.training.normalize import moments
        >>> from jaxnoisy.training.trained import Trained, start
        >>> digits = load("digits").take(range(300))
        >>> trained = Trained(start("linear", digits), moments(digits.inputs))
        >>> model, info = generative(digits, digits.take(range(50)), trained)
        >>> model.probabilities(digits.inputs[:2]).shape, info.weights.tolist()
        ((2, 10), [1.0])
    """
    if not isinstance(trained.model, Classifier):
        raise ValueError(
            f"RoG needs the features of a network's stages, which a jaxnoisy.models.Classifier has, but was given "
            f"{type(trained.model).__name__}: derive the model from it"
        )
    fit = rog(support=support, prior=prior, num_classes=data.num_classes)
    validation = fitted(validation, data)
    network, params, rest = functional(trained.model)

    def stages(params: PyTree, rest: PyTree, inputs: Array) -> tuple[Array, ...]:
        model = network.merge(params, rest)
        assert isinstance(model, Classifier)
        return model.stages(normalize(jnp.asarray(inputs), trained.scale))

    def features(params: PyTree, rest: PyTree, inputs: Array) -> Array:
        return jnp.concatenate(stages(params, rest, inputs), axis=1)

    one = jax.ShapeDtypeStruct((1, *data.inputs.shape[1:]), data.inputs.dtype)
    widths = [stage.shape[1] for stage in jax.eval_shape(stages, params, rest, one)]
    seen, held = (outputs(features, params, rest, part.inputs) for part in (data, validation))
    found, info = fit(_layers(seen, widths), data.labels, _layers(held, widths), validation.labels)
    return Generative(found, features, params, rest), info


def _layers(features: np.ndarray, widths: list[int]) -> list[np.ndarray]:
    return np.split(features, np.cumsum(widths)[:-1], axis=1)
