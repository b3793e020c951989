"""Settings that train each model well enough to watch it learn, for whoever gives none."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from jaxnoisy import check
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.losses import cross_entropy, negative_log_likelihood
from jaxnoisy.models import FLAT_MODELS
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.types import Array

_CNN_FROM = 8  # pixels; smaller images have nothing to convolve
_HIDDEN = 512  # width of the "mlp" that models.build makes
_OWN_PUSH = 3.0  # nats; chosen by benchmarks/flag_rules.py
_LARGEST_RATE = 0.05


def default_model(data: Dataset) -> str:
    """The model for data of this shape: "cnn" for images, or clips, of at least 8 x 8 pixels, otherwise "mlp"."""
    return "cnn" if data.is_images and min(data.inputs.shape[-3:-1]) >= _CNN_FROM else "mlp"


def objective(data: Dataset) -> Callable[[Array, Array], Array]:
    """The loss that the models of such data are trained with: cross entropy, of clips the mean over their frames.

    Models of clips return mean log-probabilities, see :class:`jaxnoisy.models.FrameConsensus`.
    """
    return negative_log_likelihood if data.is_clips else cross_entropy


def recipe(model: str, data: Dataset, **chosen: Any) -> TrainConfig:
    """The settings for ``model`` on ``data``.

    Small models train for 20 epochs with SGD: "cnn" at 0.05, "linear" and "mlp" at :func:`gentle_rate`. The residual
    networks and VGG train as in the papers, SGD 0.1, weight decay 5e-4, mirrored and cropped colour images. All end on
    a cosine. Detection wants the phase in which right labels are learned and wrong ones are not yet, so fewer epochs
    or smaller steps than the best accuracy asks for are no loss.

    Args:
        model: a name that :func:`jaxnoisy.models.build` knows.
        data: n examples.
        chosen: fields of :class:`~jaxnoisy.training.config.TrainConfig` that replace the recipe's; None is ignored.

    Returns:
        The settings; a batch is at most an eighth of the examples, so that small data sets get steps enough.
    """
    small = model in ("linear", "mlp", "cnn")
    settings: dict[str, Any] = {"epochs": 20, "learning_rate": _LARGEST_RATE if small else 0.1}
    settings["batch_size"] = batch_for(len(data))
    if not small and data.is_images and data.inputs.shape[-1] == 3:
        settings |= {"flip": True, "crop": max(1, data.inputs.shape[-3] // 8)}
    settings |= {name: value for name, value in chosen.items() if value is not None}
    check.positive_int(settings["epochs"], name="epochs")
    config = TrainConfig(**settings)
    if model in FLAT_MODELS and config.optimizer == "sgd" and chosen.get("learning_rate") is None:
        config = dataclasses.replace(config, learning_rate=gentle_rate(model, data, config))
    return config


def batch_for(n: int) -> int:
    """The batch size that gives n examples steps enough: at most an eighth of them, but 8 or all where they are few.

    Example:
        >>> [batch_for(n) for n in (5, 60, 600, 6000)]
        [5, 8, 64, 128]
    """
    return n if n < 8 else min(128, max(8, 1 << (n // 8).bit_length() - 1))


def gentle_rate(model: str, data: Dataset, config: TrainConfig, *, push: float = _OWN_PUSH) -> float:
    """The SGD learning rate at which no example talks the model round to its own label, whatever the others say.

    A step of rate r on a batch of b moves an example's own logits by r K / b times the error that remains on it, where
    K is the squared norm of the gradient of one of its logits, and momentum m multiplies this by 1 / (1 - m). Over t
    epochs of a schedule with mean 1/2, an example that no other resembles can thus push the logit of its given label up
    by r K t / (2 b (1 - m)) nats. The rate returned makes that ``push``: agreement among many examples outweighs it,
    and a wrong label is seen to be contested before it is memorised. On d standardised features K is d + 1 for the
    linear model, and in expectation 512 + d / 2 + 3 / 2 for the network of one hidden layer of 512 ReLU as initialised
    (Jacot et al. 2018 call K the diagonal of the neural tangent kernel).

    Args:
        model: "linear" or "mlp".
        data: n examples of d features, or of d values where they are images or the frames of clips.
        config: gives t, b, m and the schedule; its own learning rate is not read.
        push: in nats.

    Returns:
        The rate, at most 0.05.

    Example:
        >>> from jaxnoisy.data import load
        >>> from jaxnoisy.training import TrainConfig
        >>> round(gentle_rate("mlp", load("digits"), TrainConfig(epochs=20, batch_size=128)), 4)
        0.007
    """
    check.one_of(model, FLAT_MODELS, name="model")
    d = math.prod(data.inputs.shape[2 if data.is_clips else 1 :])
    kernel = d + 1 if model == "linear" else _HIDDEN + (d + 3) / 2
    steps = config.epochs * (0.5 if config.schedule == "cosine" else 1.0) / min(config.batch_size, len(data))
    return min(_LARGEST_RATE, push * (1 - config.momentum) / (kernel * steps))
