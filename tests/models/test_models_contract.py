"""What holds for every model by name: one interface, two modes, pure functions of the parameters."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from scipy import special

from jaxnoisy.models import FLAT_MODELS, IMAGE_MODELS, MODEL_NAMES, build

LIGHT = ("linear", "mlp", "cnn")
# Two networks are another's blocks and more of them: only their shapes are looked at here, and their parameters and
# multiplications beside the published ones. Compiling a deep network and its gradient takes a CPU ten seconds and more;
# one stands for them in a quick run.
DEEPER = ("resnet34", "resnet32")
EVERY = tuple(
    pytest.param(name, marks=() if name in (*LIGHT, "resnet20") else pytest.mark.slow)
    for name in MODEL_NAMES
    if name not in DEEPER
)
CLASSES, EXAMPLES = 3, 4


def drawn_by(seed):
    # This generator compiles several times faster than the default one, once for every shape of a kernel.
    return jax.random.key(seed, impl="rbg")


def shape_of(name):
    return (32, 32, 2) if name == "vgg16" else (8, 8, 2)


def inputs_of(name, n=EXAMPLES):
    return np.random.default_rng(1).normal(size=(n, *shape_of(name))).astype(np.float32)


class Pure(NamedTuple):
    """A model as functions of its parameters."""

    params: Any
    rest: Any
    logits: Any
    features: Any
    train: Any


def pure(model):
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    def evaluation(params, rest):
        return nnx.view(nnx.merge(graphdef, params, rest), deterministic=True, use_running_average=True)

    def train(params, rest, x):
        module = nnx.merge(graphdef, params, rest, copy=True)
        module.train()
        logits = module(x)
        return logits, nnx.split(module, nnx.Param, ...)[2]

    return Pure(
        params,
        rest,
        lambda params, rest, x: evaluation(params, rest)(x),
        lambda params, rest, x: evaluation(params, rest).features(x),
        train,
    )


@functools.cache
def made(name):
    return pure(build(name, input_shape=shape_of(name), num_classes=CLASSES, key=drawn_by(3)))


@functools.cache
def abstract(name, dtype):
    def make():
        return build(name, input_shape=shape_of(name), num_classes=CLASSES, key=drawn_by(3), dtype=dtype)

    return pure(nnx.eval_shape(make))


@functools.cache
def evaluated(name):
    """The jitted logits and features of the model, and what they are for its inputs."""
    model = made(name)
    both = jax.jit(lambda params, rest, x: (model.logits(params, rest, x), model.features(params, rest, x)))
    return both, *both(model.params, model.rest, inputs_of(name))


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def test_the_names_are_these():
    flat = ("linear", "mlp")
    image = ("cnn", "resnet18", "resnet34", "resnet50", "resnet20", "resnet32", "preact-resnet18", "vgg16")
    assert (*flat, *image) == MODEL_NAMES
    assert (flat, image) == (FLAT_MODELS, IMAGE_MODELS)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_shapes_and_dtypes(name, dtype):
    model = abstract(name, dtype)
    x = jax.ShapeDtypeStruct((5, *shape_of(name)), jnp.float32)
    logits, rest = jax.eval_shape(model.train, model.params, model.rest, x)
    assert (logits.shape, logits.dtype) == ((5, CLASSES), jnp.float32)
    features = jax.eval_shape(model.features, model.params, model.rest, x)
    assert features.ndim == 2
    assert features.shape[0] == 5
    assert features.dtype == jnp.float32
    assert model.params["head"]["kernel"].shape == (features.shape[1], CLASSES)
    assert {leaf.dtype for leaf in jax.tree.leaves((model.params, rest))} == {jnp.dtype("float32")}
    # The bfloat16 model really computes in bfloat16 somewhere, and the float32 model nowhere.
    program = str(jax.make_jaxpr(model.logits)(model.params, model.rest, x))
    assert ("bf16" in program) == (dtype == jnp.bfloat16)


@pytest.mark.parametrize("name", EVERY)
def test_a_new_model_starts_from_drawn_kernels_zero_biases_and_unit_scales(name):
    for path, leaf in jax.tree.leaves_with_path(made(name).params):
        where = jax.tree_util.keystr(path)
        if "kernel" in where:
            assert np.isfinite(leaf).all(), where
            assert np.std(leaf) > 0, where
        else:
            np.testing.assert_array_equal(leaf, 1.0 if "scale" in where else 0.0, err_msg=where)


@pytest.mark.parametrize("name", LIGHT)
def test_the_key_decides_the_parameters(name):
    again, other = (
        pure(build(name, input_shape=shape_of(name), num_classes=CLASSES, key=drawn_by(seed))) for seed in (3, 4)
    )
    for (path, a), b, c in zip(
        jax.tree.leaves_with_path(made(name).params), leaves(again.params), leaves(other.params), strict=True
    ):
        np.testing.assert_array_equal(a, b)
        assert ("kernel" in jax.tree_util.keystr(path)) != np.array_equal(a, c)


@pytest.mark.parametrize("name", EVERY)
def test_evaluation(name):
    """Logits are the head's of the features, one by one for each example, and nothing is written."""
    model, x = made(name), inputs_of(name)
    before = leaves(model.rest)
    both, logits, features = evaluated(name)
    kernel, bias = (np.asarray(model.params["head"][part], np.float64) for part in ("kernel", "bias"))
    np.testing.assert_allclose(logits, np.asarray(features, np.float64) @ kernel + bias, rtol=1e-4, atol=1e-4)
    assert np.ptp(logits, axis=0).min() > 0  # the input matters
    company = np.concatenate([x[:1], 3 - 2 * x[1:]])
    np.testing.assert_allclose(both(model.params, model.rest, company)[0][0], logits[0], rtol=1e-4, atol=1e-5)
    for a, b in zip(before, leaves(model.rest), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", EVERY)
def test_training_reaches_every_parameter_and_moves_every_statistic(name):
    model, x = made(name), inputs_of(name)
    before = leaves(model.rest)

    @jax.jit
    def gradient(params, rest, x, labels):
        def loss(params):
            logits, new = model.train(params, rest, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), new

        return jax.grad(loss, has_aux=True)(params)

    gradients, rest = gradient(model.params, model.rest, x, np.arange(EXAMPLES) % CLASSES)
    largest = max(np.abs(leaf).max() for leaf in leaves(gradients))
    for path, leaf in jax.tree.leaves_with_path(gradients):
        where = jax.tree_util.keystr(path)
        assert np.isfinite(leaf).all(), where
        if name == "vgg16" and "convs" in where and "bias" in where:
            assert np.abs(leaf).max() < 1e-4 * largest, where  # the norm that follows takes it away again
        else:
            assert np.abs(leaf).max() > 1e-7 * largest, where
    after = leaves(rest)
    assert len(after) == len(before) == 2 * sum("scale" in str(p) for p, _ in jax.tree.leaves_with_path(model.params))
    for a, b in zip(before, after, strict=True):
        assert np.isfinite(b).all()
        assert not np.array_equal(a, b)
    for a, b in zip(before, leaves(model.rest), strict=True):
        np.testing.assert_array_equal(a, b)  # what was handed in stays as it was


@pytest.mark.parametrize("name", EVERY)
def test_bfloat16_is_close_to_float32(name):
    model, x = made(name), inputs_of(name)
    low = abstract(name, jnp.bfloat16)
    exact = np.asarray(evaluated(name)[2])
    rounded = np.asarray(jax.jit(low.features)(model.params, model.rest, x))
    # Eight bits of mantissa: 0.4 % for each rounding, which add up as a random walk over at most 60 layers.
    assert 0 < np.linalg.norm(rounded - exact) < 0.05 * np.linalg.norm(exact)


@pytest.mark.parametrize("name", LIGHT)
def test_jit_agrees_with_eager(name):
    model, x = made(name), inputs_of(name)
    eager, jitted = model.train(model.params, model.rest, x), jax.jit(model.train)(model.params, model.rest, x)
    for a, b in zip(leaves(eager), leaves(jitted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", LIGHT)
def test_one_example_at_a_time_agrees_with_the_batch(name):
    model, x = made(name), inputs_of(name)
    single = jax.vmap(lambda example: model.logits(model.params, model.rest, example[None])[0])
    np.testing.assert_allclose(jax.jit(single)(x), evaluated(name)[1], rtol=1e-3, atol=1e-4)


def test_two_networks_in_one_stack():
    @jax.jit
    def state(key):
        model = build("mlp", input_shape=(5,), num_classes=CLASSES, key=key, hidden=(6,), batch_norm=True)
        return pure(model)[:2]

    keys = [jax.random.key(3), jax.random.key(4)]
    x = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
    like = nnx.eval_shape(
        lambda: build("mlp", input_shape=(5,), num_classes=CLASSES, key=keys[0], hidden=(6,), batch_norm=True)
    )
    train = jax.jit(pure(like).train)
    logits, rest = jax.vmap(train, in_axes=(0, 0, None))(*jax.vmap(state)(jnp.stack(keys)), x)
    for i, key in enumerate(keys):
        alone, rest_alone = train(*state(key), x)
        np.testing.assert_allclose(logits[i], alone, rtol=1e-4, atol=1e-5)
        for stacked, single in zip(leaves(rest), leaves(rest_alone), strict=True):
            np.testing.assert_allclose(stacked[i], single, rtol=1e-4, atol=1e-6)
    assert not np.allclose(logits[0], logits[1], atol=1e-2)


@pytest.mark.parametrize("name", LIGHT)
def test_hessian_vector_products_go_through(name):
    """The Hessian is symmetric, and its block at the head's kernel is that of softmax regression on the features."""
    model, x = made(name), inputs_of(name)

    def loss(params):
        logits = model.logits(params, model.rest, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, np.arange(EXAMPLES) % CLASSES).mean()

    def drawn(seed):
        tree = jax.tree.structure(model.params)
        rng = np.random.default_rng(seed)
        return jax.tree.unflatten(tree, [rng.normal(size=a.shape).astype(a.dtype) for a in leaves(model.params)])

    hessian = jax.jit(lambda v: jax.jvp(jax.grad(loss), (model.params,), (v,))[1])
    inner = lambda a, b: sum(np.vdot(i.astype(np.float64), j) for i, j in zip(leaves(a), leaves(b), strict=True))  # noqa: E731
    u, v = drawn(0), drawn(1)
    left, right = inner(u, hessian(v)), inner(hessian(u), v)
    assert abs(left - right) < 1e-4 * np.sqrt(inner(u, u) * inner(hessian(v), hessian(v)))

    only_head = jax.tree.map(jnp.zeros_like, model.params)
    only_head["head"]["kernel"] = u["head"]["kernel"]
    logits, features = (np.asarray(part, np.float64) for part in evaluated(name)[1:])
    p = special.softmax(logits, axis=1)
    change = features @ np.asarray(u["head"]["kernel"], np.float64)
    expected = features.T @ (p * (change - (p * change).sum(1, keepdims=True))) / EXAMPLES
    product = np.asarray(hessian(only_head)["head"]["kernel"])
    np.testing.assert_allclose(product, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
