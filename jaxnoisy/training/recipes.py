"""Settings that train each model well enough to watch it learn, for whoever gives none."""

from typing import Any

from jaxnoisy import check
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.training.config import TrainConfig

_CNN_FROM = 8  # pixels; smaller images have nothing to convolve


def default_model(data: Dataset) -> str:
    """The model for data of this shape: "cnn" for images of at least 8 x 8 pixels, otherwise "mlp"."""
    return "cnn" if data.is_images and min(data.inputs.shape[1:3]) >= _CNN_FROM else "mlp"


def recipe(model: str, data: Dataset, **chosen: Any) -> TrainConfig:
    """The settings for ``model`` on ``data``.

    Small models train for 20 epochs with SGD 0.05; the residual networks and VGG as in the papers, SGD 0.1, weight
    decay 5e-4, mirrored and cropped colour images. All end on a cosine. Detection wants the phase in which right labels
    are learned and wrong ones are not yet, so fewer epochs than the best accuracy asks for are no loss.

    Args:
        model: a name that :func:`jaxnoisy.models.build` knows.
        data: n examples.
        chosen: fields of :class:`~jaxnoisy.training.config.TrainConfig` that replace the recipe's; None is ignored.

    Returns:
        The settings; a batch is at most an eighth of the examples, so that small data sets get steps enough.
    """
    small = model in ("linear", "mlp", "cnn")
    settings: dict[str, Any] = {"epochs": 20, "learning_rate": 0.05 if small else 0.1}
    settings["batch_size"] = min(128, max(8, 1 << (len(data) // 8).bit_length() - 1)) if len(data) >= 8 else len(data)
    if not small and data.is_images and data.inputs.shape[-1] == 3:
        settings |= {"flip": True, "crop": max(1, data.inputs.shape[1] // 8)}
    settings |= {name: value for name, value in chosen.items() if value is not None}
    check.positive_int(settings["epochs"], name="epochs")
    return TrainConfig(**settings)
