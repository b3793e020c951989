"""Parameters and multiplications of the published networks, held against published and derived numbers."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxnoisy import models


@functools.cache
def published(name, **arguments):
    """The named network with shapes in the place of arrays."""
    return nnx.eval_shape(lambda: getattr(models, name)(**arguments, rngs=nnx.Rngs(0)))


def parameters(model):
    """The number of trained values of a model."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ResNet18", 11_173_962),
        ("ResNet34", 21_282_122),
        ("ResNet50", 23_520_842),
        ("ResNet20", 269_722),
        ("ResNet32", 464_154),
        ("ResNet44", 658_586),
        ("ResNet56", 853_018),
        ("PreActResNet18", 11_171_146),
        ("VGG16", 14_728_266),
    ],
)
def test_cifar_networks_have_the_published_number_of_parameters(name, expected):
    assert parameters(published(name, num_classes=10)) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("ResNet18", 11_689_512), ("ResNet34", 21_797_672), ("ResNet50", 25_557_032)]
)
def test_imagenet_networks_have_the_published_number_of_parameters(name, expected):
    assert parameters(published(name, num_classes=1000, stem="imagenet")) == expected


@pytest.mark.parametrize(("name", "depth"), [("ResNet20", 3), ("ResNet32", 5)])
def test_small_residual_networks_follow_the_formula(name, depth):
    # 6 depth + 1 convolutions with two norm parameters per channel, no shortcut parameters, and the head.
    channels = [1] + [16] * (2 * depth + 1) + [32] * 2 * depth + [64] * 2 * depth
    expected = sum(9 * a * b + 2 * b for a, b in itertools.pairwise(channels)) + 64 * 7 + 7
    assert parameters(published(name, num_classes=7, in_channels=1)) == expected


def test_preact_resnet18_follows_the_formula():
    total, channels = 9 * 3 * 64, 64
    for width in (64, 128, 256, 512):
        total += 2 * channels + 9 * channels * width + 2 * width + 9 * width * width
        total += channels * width if width != channels else 0
        total += 2 * (2 * width + 9 * width * width)
        channels = width
    total += 512 * 10 + 10
    assert parameters(published("PreActResNet18", num_classes=10)) == total


def test_flat_models_follow_the_formula():
    linear = published("SoftmaxRegression", in_features=20, num_classes=3)
    assert parameters(linear) == 21 * 3
    plain = {"in_features": 20, "num_classes": 3, "hidden": (7, 5)}
    expected = 21 * 7 + 8 * 5 + 6 * 3
    assert parameters(published("MLP", **plain)) == expected
    # A bias gives way to the scale and shift of the norm.
    assert parameters(published("MLP", **plain, batch_norm=True)) == expected + 7 + 5


@pytest.mark.parametrize(("patch", "first"), [(1, 9 * 3), (2, 4 * 12), (4, 4 * 48)])
def test_the_cnn_follows_the_formula(patch, first):
    make = {"num_classes": 10, "widths": (4, 8), "patch": patch}
    weights, head = first * 4 + 9 * 4 * 8, 9 * 10
    assert parameters(published("CNN", **make)) == weights + 2 * (4 + 8) + head
    assert parameters(published("CNN", **make, batch_norm=False)) == weights + 4 + 8 + head


def multiplications(model, shape):
    """Multiply-adds of the convolutions and matrix products in one forward pass, counted in the traced program."""
    graphdef, state = nnx.split(model)

    def forward(state, x):
        model = nnx.merge(graphdef, state)
        model.eval()
        return model(x)

    return _count(jax.make_jaxpr(forward)(state, jax.ShapeDtypeStruct(shape, jnp.float32)).jaxpr)


def _count(jaxpr):
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("conv_general_dilated", "dot_general"):
            # All but the last axis of a kernel (h, w, in, out) or (in, out) is summed over.
            total += math.prod(equation.outvars[0].aval.shape) * math.prod(equation.invars[1].aval.shape[:-1])
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            total += _count(inner) if hasattr(inner, "eqns") else 0
    return total


@pytest.mark.parametrize(("name", "giga"), [("ResNet18", 1.81), ("ResNet34", 3.66), ("ResNet50", 4.09)])
def test_imagenet_networks_do_the_published_number_of_multiplications(name, giga):
    # This pins every stride and the pooling of the stem: each halving divides what follows by four.
    count = multiplications(published(name, num_classes=1000, stem="imagenet"), (1, 224, 224, 3))
    assert round(count / 1e9, 2) == giga


@pytest.mark.parametrize(
    ("name", "giga", "digits"),
    [
        ("ResNet20", 0.041, 3),
        ("ResNet32", 0.069, 3),
        ("ResNet18", 0.56, 2),
        ("ResNet34", 1.16, 2),
        ("ResNet50", 1.30, 2),
        ("PreActResNet18", 0.56, 2),
        ("VGG16", 0.31, 2),
    ],
)
def test_cifar_networks_do_the_published_number_of_multiplications(name, giga, digits):
    count = multiplications(published(name, num_classes=10), (1, 32, 32, 3))
    assert round(count / 1e9, digits) == giga
