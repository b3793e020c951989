"""What every stage of a network gives: one vector per example, the last of them its features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnoisy.models import Classifier, build
from jaxnoisy.models.resnet_cifar import CifarResNet

KEY = jax.random.key(0, impl="rbg")
WIDTHS = {
    "linear": (128,),
    "mlp": (512,),
    "cnn": (32, 64, 128),
    "resnet18": (64, 128, 256, 512),
    "resnet20": (16, 32, 64),
    "preact-resnet18": (64, 128, 256, 512),
    "vgg16": (64, 128, 256, 512, 512),
}


class ResNet8(CifarResNet):
    depth = 1


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", WIDTHS)  # the others are these with more blocks, or wider ones
def test_widths(name):
    shape = (32, 32, 2) if name == "vgg16" else (8, 8, 2)
    model = nnx.eval_shape(lambda: build(name, input_shape=shape, num_classes=3, key=KEY, dtype=jnp.bfloat16))
    stages = nnx.eval_shape(lambda m, x: m.stages(x), model, jax.ShapeDtypeStruct((5, *shape), jnp.float32))
    assert [stage.shape for stage in stages] == [(5, width) for width in WIDTHS[name]]
    assert {stage.dtype for stage in stages} == {jnp.dtype("float32")}
    assert model.head.in_features == WIDTHS[name][-1]


def test_the_hidden_layers_of_an_mlp():
    model = build("mlp", input_shape=(6,), num_classes=3, key=KEY, hidden=(5, 4, 3))
    h = x = drawn(7, 6)
    for layer, stage in zip(model.layers, model.stages(x), strict=True):
        h = np.maximum(h @ np.asarray(layer.kernel[...]), 0)
        np.testing.assert_allclose(stage, h, rtol=1e-4, atol=1e-5)


def test_the_convolutions_of_the_cnn():
    """Maxima over 2x2 windows and ReLU commute, so that each stage is its convolution after both."""
    model = build("cnn", input_shape=(8, 8, 2), num_classes=3, key=KEY, widths=(5, 4, 3), patch=1, batch_norm=False)
    y = x = drawn(4, 8, 8, 2)
    first, second, third = model.stages(x)
    for conv, stage in zip(model.convs, (first, second)):
        y = np.maximum(conv(y), 0)
        y = y.reshape(4, y.shape[1] // 2, 2, y.shape[2] // 2, 2, -1).max((2, 4))
        np.testing.assert_allclose(stage, y.mean((1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(third, np.maximum(model.convs[2](y), 0).max((1, 2)), rtol=1e-4, atol=1e-5)


def test_the_stages_of_a_resnet_end_where_the_image_shrinks():
    model = ResNet8(num_classes=3, in_channels=2, rngs=nnx.Rngs(params=KEY))
    model.eval()
    x = drawn(4, 4, 4, 2)

    @jax.jit
    def both(x):
        y, seen = jax.nn.relu(model.norm(model.conv(x))), []
        for block, following in zip(model.blocks, [*model.blocks[1:], None]):
            y = block(y)
            if following is None or following.stride == 2:
                seen.append(y.mean((1, 2)))
        return seen, model.stages(x), model.features(x)

    expected, stages, features = both(x)
    for one, other in zip(stages, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(stages[-1], features)


def test_one_pass_in_training_mode():
    """The last stage is the features of the same mode, and the statistics are updated as often: once."""
    options = {"hidden": (6, 5), "batch_norm": True}
    models = [build("mlp", input_shape=(7,), num_classes=3, key=KEY, **options) for _ in range(2)]
    x = drawn(4, 7)
    np.testing.assert_array_equal(models[0].stages(x)[-1], models[1].features(x))
    written = [jax.tree.leaves(nnx.state(model, nnx.BatchStat)) for model in models]
    assert written[0]
    for a, b in zip(*written, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_that_names_no_stages_has_its_features():
    class Scaled(Classifier):
        def __init__(self):
            self.head = nnx.Linear(3, 2, rngs=nnx.Rngs(0))

        def features(self, x):
            return 2 * x

    (only,) = Scaled().stages(drawn(4, 3))
    np.testing.assert_array_equal(only, 2 * drawn(4, 3))


def test_inputs_are_checked():
    model = build("cnn", input_shape=(8, 8, 2), num_classes=3, key=KEY)
    with pytest.raises(ValueError, match=r"CNN was made for images with 2 channels"):
        model.stages(drawn(4, 8, 8, 3))
