"""What can be refused before a model is trained that is to be looked at afterwards, perhaps hours later."""

from typing import Any

import numpy as np

from jaxnoisy.data.dataset import Dataset
from jaxnoisy.refine.setting import Choices, setting
from jaxnoisy.training.normalize import Moments
from jaxnoisy.training.trained import Trained, start


def refuse_beforehand(
    model: str, data: Dataset, validation: Dataset, *, test: Dataset | None = None, **choices: Any
) -> None:
    """Refuse what :func:`jaxnoisy.refine.refine` would, were it given a model of this name.

    Args:
        model: a name that :func:`jaxnoisy.models.build` knows.
        data: n examples, to be trained on.
        validation: examples with clean labels.
        test: further ones.
        choices: ``method``, ``gamma``, ``damping`` and whatever else decides how examples are found and relabelled.

    Raises:
        ValueError, TypeError: as from :func:`jaxnoisy.refine.refine`.

    Example:
        >>> from jaxnoisy.data import load
        >>> digits = load("digits")
        >>> refuse_beforehand("linear", digits, digits, gamma=11)
        Traceback (most recent call last):
        ...
        ValueError: gamma asks for the votes of 11 classes, but of 10 classes only 10 have the two validation examples \
that a vote takes: give more of them, or gamma as a fraction
    """
    channels = data.inputs.shape[-1]
    plain = Moments(np.zeros(channels, np.float32), np.ones(channels, np.float32))
    untrained = Trained(start(model, data), plain, {"model": model})
    setting(Choices(**choices), data, validation, untrained, test=test)
