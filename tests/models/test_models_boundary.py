"""What models and their builder refuse, and what they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnoisy import models
from jaxnoisy.models import build

# Compiles several times faster than the default generator, once for every shape of a kernel.
KEY = jax.random.key(0, impl="rbg")


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"name must be one of linear, mlp, cnn, .*vgg16, but is 'resnet19'"):
        build("resnet19", input_shape=(32, 32, 3), num_classes=10, key=KEY)


@pytest.mark.parametrize("name", models.IMAGE_MODELS)
def test_image_models_refuse_flat_features(name):
    with pytest.raises(ValueError, match=r"takes images.*\(512,\).*choose one of linear, mlp"):
        build(name, input_shape=(512,), num_classes=10, key=KEY)


def test_images_without_a_channel_axis_are_refused():
    with pytest.raises(ValueError, match=r"input_shape is \(28, 28\).*\(h, w, 1\)"):
        build("cnn", input_shape=(28, 28), num_classes=10, key=KEY)


@pytest.mark.parametrize(("name", "least"), [("vgg16", 32), ("resnet20", 4), ("cnn", 4)])
def test_images_too_small_for_the_network_are_refused(name, least):
    with pytest.raises(ValueError, match=rf"{name} halves .*{least}x{least}.* was given {least}x{least - 1}"):
        nnx.eval_shape(lambda: build(name, input_shape=(least, least - 1, 1), num_classes=10, key=KEY))


def test_an_unknown_option_is_answered_with_the_known_ones():
    with pytest.raises(TypeError, match="'mlp' takes the options hidden, batch_norm, but was given 'width'"):
        build("mlp", input_shape=(4,), num_classes=3, key=KEY, width=3)
    with pytest.raises(TypeError, match="'linear' takes no options, but was given 'hidden'"):
        build("linear", input_shape=(4,), num_classes=3, key=KEY, hidden=(3,))


@pytest.mark.parametrize("option", [{"rngs": nnx.Rngs(0)}, {"in_features": 4}])
def test_what_build_sets_itself_is_no_option(option):
    with pytest.raises(TypeError, match="takes the options hidden, batch_norm, but was given"):
        build("mlp", input_shape=(4,), num_classes=3, key=KEY, **option)


@pytest.mark.parametrize("key", [0, np.zeros(2, np.uint32), jax.random.split(KEY, 2)])
def test_a_key_must_be_one_typed_key(key):
    with pytest.raises(TypeError, match=r"jax\.random\.key"):
        build("mlp", input_shape=(4,), num_classes=3, key=key)


@pytest.mark.parametrize("shape", [(), (0,), (4, -1)])
def test_an_input_shape_must_name_positive_sizes(shape):
    with pytest.raises(ValueError, match="input_shape"):
        build("mlp", input_shape=shape, num_classes=3, key=KEY)


@pytest.mark.parametrize("name", ["linear", "mlp", "cnn", "resnet18", "resnet20", "preact-resnet18", "vgg16"])
def test_one_class_and_half_precision_are_refused(name):
    with pytest.raises(ValueError, match="num_classes must be a whole number >= 2"):
        build(name, input_shape=(32, 32, 3), num_classes=1, key=KEY)
    with pytest.raises(ValueError, match="dtype must be float32 or bfloat16, but is float16"):
        build(name, input_shape=(32, 32, 3), num_classes=3, key=KEY, dtype=jnp.float16)


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("mlp", {"hidden": ()}, "hidden must name at least one layer"),
        ("mlp", {"hidden": (8, 0)}, r"hidden\[1\]"),
        ("cnn", {"widths": ()}, "widths must name at least one"),
        ("cnn", {"widths": (8, 2.5)}, r"widths\[1\]"),
        ("cnn", {"patch": 0}, "patch"),
        ("resnet18", {"stem": "mnist"}, "stem must be one of cifar, imagenet"),
    ],
)
def test_options_out_of_range_are_refused(name, option, message):
    with pytest.raises(ValueError, match=message):
        build(name, input_shape=(32, 32, 3), num_classes=3, key=KEY, **option)


def test_a_single_width_is_not_a_tuple():
    with pytest.raises(TypeError, match=r"hidden must be a tuple .*\(64,\)"):
        build("mlp", input_shape=(4,), num_classes=3, key=KEY, hidden=64)


def test_flat_models_refuse_other_sizes_and_integers():
    model = build("mlp", input_shape=(4,), num_classes=3, key=KEY, hidden=(5,))
    with pytest.raises(ValueError, match=r"MLP was made for 4 values .* shape \(2, 5\)"):
        model(jnp.zeros((2, 5)))
    with pytest.raises(ValueError, match=r"shape \(4,\)"):
        model(jnp.zeros(4))
    with pytest.raises(TypeError, match=r"MLP takes floating point .* given uint8"):
        model(jnp.zeros((2, 4), jnp.uint8))


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((8, 8, 3), "x\\[None\\]"),
        ((2, 3, 8, 8), "channels come last"),
        ((2, 8, 8, 1), "with 3 channels"),
        ((2, 192), "with 3 channels"),
    ],
)
def test_image_models_say_how_to_mend_the_shape(shape, hint):
    model = build("cnn", input_shape=(8, 8, 3), num_classes=3, key=KEY, widths=(4,))
    with pytest.raises(ValueError, match=hint):
        model(jnp.zeros(shape))


def test_image_models_check_batches_too():
    grey = build("cnn", input_shape=(8, 8, 1), num_classes=3, key=KEY, widths=(4, 4, 4))
    with pytest.raises(ValueError, match=r"x\[\.\.\., None\]"):
        grey(jnp.zeros((2, 8, 8)))
    with pytest.raises(ValueError, match="was given 3x8"):
        grey(jnp.zeros((2, 3, 8, 1)))
    with pytest.raises(TypeError, match="given int32"):
        grey(jnp.zeros((2, 8, 8, 1), jnp.int32))


def test_the_checks_hold_under_jit():
    model = build("mlp", input_shape=(4,), num_classes=3, key=KEY, hidden=(5,))
    with pytest.raises(ValueError, match="made for 4 values"):
        nnx.jit(lambda model, x: model(x))(model, jnp.zeros((2, 5)))
