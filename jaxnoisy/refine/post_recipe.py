"""How to train on from a trained model, for whoever does not say."""

import dataclasses
from typing import Any

from jaxnoisy.data.dataset import Dataset
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.recipes import recipe

_EPOCHS = 20
_DROPS = (0.25, 0.75)  # of the epochs


def post_recipe(model: str, data: Dataset, *, base: TrainConfig | None = None, **chosen: Any) -> TrainConfig:
    """The settings of a round of post-training.

    Park et al., "Influential Rank", appendix B.2.1: 20 epochs; the learning rate goes back to where training began, so
    that the model leaves the minimum it is in, and is multiplied by 0.1 after epochs 5 and 15. With another number of
    epochs it drops after the same fractions of them. Everything else is as in ``base``.

    Args:
        model: a name that :func:`jaxnoisy.models.build` knows; not read where ``base`` is given.
        data: n examples.
        base: how the model was trained; by default :func:`~jaxnoisy.training.recipes.recipe`.
        chosen: fields of :class:`~jaxnoisy.training.config.TrainConfig` that replace these; None is ignored.

    Example:
        >>> from jaxnoisy.data import load
        >>> config = post_recipe("cnn", load("digits"), epochs=40)
        >>> config.learning_rate, config.step_epochs
        (0.05, (10, 30))
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    epochs = given.get("epochs", _EPOCHS)
    drops = tuple(sorted({min(max(1, round(part * epochs)), epochs - 1) for part in _DROPS} - {0}))
    settings = {"epochs": epochs, "record": "none", "schedule": "step" if drops else "constant", "step_epochs": drops}
    return dataclasses.replace(base or recipe(model, data), **{**settings, "step_factor": 0.1, **given})
