"""Make a model from its name and the shape of an example."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxnoisy import check
from jaxnoisy.models import boundary
from jaxnoisy.models.classifier import Classifier
from jaxnoisy.models.cnn import CNN
from jaxnoisy.models.linear import SoftmaxRegression
from jaxnoisy.models.mlp import MLP
from jaxnoisy.models.narrowed import Narrowed
from jaxnoisy.models.preact_resnet import PreActResNet18
from jaxnoisy.models.resnet import ResNet18, ResNet34, ResNet50
from jaxnoisy.models.resnet_cifar import ResNet20, ResNet32
from jaxnoisy.models.vgg import VGG16
from jaxnoisy.types import Key

_FLAT: dict[str, type[Classifier]] = {"linear": SoftmaxRegression, "mlp": MLP}
_IMAGE: dict[str, type[Classifier]] = {
    "cnn": CNN,
    "resnet18": ResNet18,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
    "resnet20": ResNet20,
    "resnet32": ResNet32,
    "preact-resnet18": PreActResNet18,
    "vgg16": VGG16,
}

FLAT_MODELS = tuple(_FLAT)
"""The names of the models that take feature vectors, and images flattened to vectors."""

IMAGE_MODELS = tuple(_IMAGE)
"""The names of the models that take images (h, w, channels) only."""

MODEL_NAMES = FLAT_MODELS + IMAGE_MODELS
"""The names that :func:`build` knows."""

_SET_BY_BUILD = ("num_classes", "in_features", "in_channels", "dtype", "rngs")
_UNPATCHED_BELOW = 16


def build(
    name: str,
    *,
    input_shape: tuple[int, ...],
    num_classes: int,
    key: Key,
    dtype: DTypeLike = jnp.float32,
    penultimate: int | None = None,
    **options: Any,
) -> Classifier:
    """Return a new model, in training mode, for inputs of shape ``(n, *input_shape)``.

    Args:
        name: one of :data:`MODEL_NAMES`.
        input_shape: the shape of one example: (h, w, channels), or (d,) for :data:`FLAT_MODELS`, which flatten images.
        num_classes: c.
        key: a typed key; the same key gives the same parameters.
        dtype: the compute dtype, float32 or bfloat16; parameters are float32 either way.
        penultimate: units of a further hidden layer before the head, see :class:`jaxnoisy.models.Narrowed`; by default
            there is none.
        options: the keyword arguments of the model's own class, such as ``hidden=(256, 256)`` for ``"mlp"`` or
            ``stem="imagenet"`` for ``"resnet50"``. ``"cnn"`` gets ``patch=1`` for images under 16 pixels unless told.

    Raises:
        TypeError: ``key`` is not a typed key, or the model has no such option.
        ValueError: an unknown name, an image model for flat features, images too small for the network, or an option
            out of its range.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxnoisy.models import build
        >>> model = build("mlp", input_shape=(8, 8, 1), num_classes=10, key=jax.random.key(0))
        >>> model(jnp.zeros((3, 8, 8, 1))).shape
        (3, 10)
    """
    check.one_of(name, MODEL_NAMES, name="name")
    check.typed_key(key)
    shape = tuple(check.positive_int(size, name=f"input_shape[{i}]") for i, size in enumerate(input_shape))
    cls = _FLAT.get(name) or _IMAGE[name]
    _known_options(name, cls, options)
    rngs = nnx.Rngs(params=key)
    model = _made(name, cls, shape, {"num_classes": num_classes, "dtype": dtype, "rngs": rngs, **options})
    return model if penultimate is None else Narrowed(model, penultimate, rngs=rngs)


def _made(name: str, cls: type[Classifier], shape: tuple[int, ...], arguments: dict[str, Any]) -> Classifier:
    maker: Callable[..., Classifier] = cls
    if name in FLAT_MODELS:
        if not shape:
            raise ValueError("input_shape must give at least one axis, such as (d,), but is ()")
        return maker(in_features=math.prod(shape), **arguments)
    height, width, channels = _image_shape(name, shape)
    if name == "cnn" and min(height, width) < _UNPATCHED_BELOW:
        arguments.setdefault("patch", 1)
    model = maker(in_channels=channels, **arguments)
    boundary.large_enough(height, width, min_size=model.min_size, model=name)
    return model


def _known_options(name: str, cls: type[Classifier], options: dict[str, Any]) -> None:
    # The signature of the class itself is that of its metaclass, (*args, **kwargs).
    known = [p for p in inspect.signature(cls.__init__).parameters if p not in ("self", *_SET_BY_BUILD)]
    for option in options:
        if option not in known:
            what = f"the options {', '.join(known)}" if known else "no options"
            raise TypeError(f"model {name!r} takes {what}, but was given {option!r}")


def _image_shape(name: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(shape) == 3:
        return shape
    if len(shape) == 1:
        raise ValueError(
            f"model {name!r} takes images of shape (h, w, channels), but input_shape is {shape}: "
            f"for feature vectors choose one of {', '.join(FLAT_MODELS)}"
        )
    raise ValueError(
        f"model {name!r} takes images of shape (h, w, channels), but input_shape is {shape}: "
        "give grey images one channel, (h, w, 1)"
    )
