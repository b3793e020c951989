import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoisy.curvature.layers import views
from jaxnoisy.curvature.layers.equations import evaluate, walk
from jaxnoisy.curvature.layers.find import find

DN = ("NHWC", "HWIO", "NHWC")


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng([seed, *shape]).normal(size=shape), jnp.float32)


def conv(x, kernel, *, strides=(1, 1), padding="SAME", dims=DN, **more):
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=dims, **more)


# Each a function of (parameter, x) that is one product with the parameter, and the positions of that product.
PRODUCTS = {
    "vector": (lambda w, x: x @ w, (3,), (3,), 1),
    "matrix": (lambda w, x: x @ w, (3, 4), (5, 3), 5),
    "transposed": (lambda w, x: x @ w.T, (4, 3), (5, 3), 5),
    "kernel first": (lambda w, x: w @ x, (4, 3), (3, 5), 5),
    "heads": (lambda w, x: jnp.einsum("td,dhk->htk", x, w), (3, 2, 4), (5, 3), 5),
    "heads joined": (lambda w, x: jnp.einsum("htk,hkd->td", x, w), (2, 4, 3), (2, 5, 4), 5),
    "reshaped": (lambda w, x: x @ w.reshape(3, 4), (12,), (5, 3), 5),
    "swapped": (lambda w, x: jnp.tensordot(x, jnp.transpose(w, (2, 0, 1)), ((1, 0), (1, 2))), (3, 5, 4), (5, 3), 1),
    "in half precision": (lambda w, x: x @ w.astype(jnp.bfloat16).astype(jnp.float32), (3, 4), (5, 3), 5),
    "within calls": (lambda w, x: jax.checkpoint(jax.jit(lambda w, x: x @ w))(w[None][0], x), (3, 4), (5, 3), 5),
    "convolution": (lambda w, x: conv(x, w), (3, 3, 2, 4), (1, 5, 6, 2), 30),
    "even kernel, strides": (lambda w, x: conv(x, w, strides=(2, 3)), (2, 4, 2, 4), (1, 5, 6, 2), 6),
    "no padding": (lambda w, x: conv(x, w, padding="VALID"), (3, 2, 2, 4), (2, 5, 6, 2), 30),
    "uneven padding": (lambda w, x: conv(x, w, padding=((2, 0), (0, 3))), (3, 3, 2, 4), (1, 5, 6, 2), 35),
    "cropped": (lambda w, x: conv(x, w, padding=((-1, 0), (1, -2))), (3, 3, 2, 4), (1, 5, 6, 2), 6),
    "dilated": (lambda w, x: conv(x, w, rhs_dilation=(2, 1), padding="VALID"), (2, 3, 2, 4), (1, 5, 6, 2), 12),
    "of upsampled input": (
        lambda w, x: conv(x, w, padding=((1, 1), (1, 1)), lhs_dilation=(2, 2)),
        (3, 3, 2, 4),
        (1, 3, 4, 2),
        35,
    ),
    "other layouts": (lambda w, x: conv(x, w, dims=("CWNH", "OWIH", "HNCW")), (4, 3, 2, 2), (2, 6, 1, 5), 30),
    "over time": (
        lambda w, x: conv(x, w, strides=(2,), padding="VALID", dims=("NTC", "TIO", "NTC")),
        (3, 2, 4),
        (1, 9, 2),
        4,
    ),
    "over volumes": (
        lambda w, x: conv(x, w, strides=(1, 2, 1), dims=("NDHWC", "DHWIO", "NDHWC")),
        (2, 3, 2, 2, 3),
        (1, 3, 4, 3, 2),
        18,
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_is_that_of_the_inputs_with_the_layers_matrix(name):
    function, shape, inputs, positions = PRODUCTS[name]
    w, x = normal(*shape), normal(*inputs)
    program = jax.make_jaxpr(function)(w, x)
    found = find(program, 1)
    assert found.others == ()
    ((layer,), (use,)) = found.layers, found.layers[0].uses
    seen = {}

    def visit(number, equation, values):
        outputs = evaluate(equation, values, program)
        if number == use.equation:
            seen.update(inputs=use.geometry.inputs(values[use.operand]), outputs=use.geometry.outputs(outputs[0]))
        return outputs

    (result,) = walk(program, [w, x], visit)
    np.testing.assert_array_equal(result, function(w, x))
    matrix = views.apply(layer.steps, w)
    assert matrix.shape == layer.shape
    assert len(seen["inputs"]) == use.positions == positions
    tolerance = 2e-2 if "half" in name else 1e-4
    np.testing.assert_allclose(seen["inputs"] @ matrix, seen["outputs"], rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(views.undo(layer.steps, matrix, w.shape), w)
    channels = use.geometry.channels(use.shape)
    every = np.broadcast_to(np.arange(layer.shape[1]), seen["outputs"].shape)
    np.testing.assert_array_equal(use.geometry.outputs(jnp.asarray(channels)), every)


def parts(function, params, x):
    """The layers as (kernel, bias, shape, turned uses) and the reasons, by name, of parameters in a dictionary."""
    names = sorted(params)
    found = find(jax.make_jaxpr(function)(params, x), len(names))
    layers = [
        (names[a.kernel], None if a.bias is None else names[a.bias], a.shape, tuple(u.turned for u in a.uses))
        for a in found.layers
    ]
    return layers, {names[i]: reason for i, reason in found.others}


W, V, B, X = normal(3, 4), normal(4, 3), normal(4), normal(5, 3)
IMAGE = normal(1, 4, 4, 2)
ONCE = (False,)

BIASES = {
    "over rows": (lambda p, x: x @ p["w"] + p["b"], {"w": W, "b": B}, X, "b"),
    "on the left": (lambda p, x: p["b"] + x @ p["w"], {"w": W, "b": B}, X, "b"),
    "of a single row": (lambda p, x: (x[:1] @ p["w"] + p["b"])[0], {"w": W, "b": B}, X, "b"),
    "after a reshape": (
        lambda p, x: (x @ p["w"]).reshape(5, 2, 2) + p["b"].reshape(1, 2, 2),
        {"w": W, "b": B},
        X,
        "b",
    ),
    "of the left operand": (lambda p, x: p["w"].T @ x.T + p["b"][:, None], {"w": W, "b": B}, X, "b"),
    "of channels": (lambda p, x: conv(x, p["w"]) + p["b"], {"w": normal(3, 3, 2, 4), "b": B}, IMAGE, "b"),
    "of channels, first": (
        lambda p, x: conv(x, p["w"], dims=("NHWC", "HWIO", "NCHW")) + p["b"].reshape(4, 1, 1),
        {"w": normal(3, 3, 2, 4), "b": B},
        IMAGE,
        "b",
    ),
    "of positions": (lambda p, x: x @ p["w"] + p["b"], {"w": normal(3, 5), "b": normal(5, 1)}, X, None),
    "of every entry": (lambda p, x: x @ p["w"] + p["b"], {"w": W, "b": normal(5, 4)}, X, None),
    "of another order": (lambda p, x: x @ p["w"] + p["b"][::-1], {"w": W, "b": B}, X, None),
    "one for all": (lambda p, x: x @ p["w"] + p["b"], {"w": W, "b": normal(1)}, X, None),
    "subtracted": (lambda p, x: x @ p["w"] - p["b"], {"w": W, "b": B}, X, None),
    "after a nonlinearity": (lambda p, x: jnp.tanh(x @ p["w"]) + p["b"], {"w": W, "b": B}, X, None),
    "where the product is read too": (lambda p, x: (x @ p["w"]) * (x @ p["w"] + p["b"]), {"w": W, "b": B}, X, "b"),
    "where the same product is read too": (
        lambda p, x: (lambda y: y * (y + p["b"]))(x @ p["w"]),
        {"w": W, "b": B},
        X,
        None,
    ),
    "used again": (lambda p, x: x @ p["w"] + p["b"] + p["b"].sum(), {"w": W, "b": B}, X, None),
}


@pytest.mark.parametrize("name", BIASES)
def test_a_bias_is_what_adds_one_number_to_each_output_and_nothing_else(name):
    function, params, x, bias = BIASES[name]
    layers, others = parts(function, params, x)
    if name == "where the product is read too":  # two products, and a bias on one of them
        bias = None
    rows = int(np.prod(params["w"].shape[:-1]))
    shape = (rows + (bias is not None), params["w"].shape[-1])
    assert [(kernel, b, s) for kernel, b, s, _ in layers] == [("w", bias, shape)]
    assert ("b" in others) == (bias is None)


OTHERS = {
    "scaled": (lambda p, x: x @ (2 * p["w"]), {"w": W}, "used in mul"),
    "multiplied with itself": (lambda p, x: x @ (p["w"] @ p["w"].T), {"w": W}, "used in dot_general"),
    "used twice, once elsewhere": (lambda p, x: x @ p["w"] + p["w"].sum(), {"w": W}, "used in reduce_sum"),
    "a part of it": (lambda p, x: x @ p["w"][:, :2], {"w": W}, "slice"),
    "looked up": (lambda p, x: p["w"][jnp.int32(x[0, 0] > 0)], {"w": W}, "used in"),
    "in batches": (lambda p, x: jnp.einsum("td,tdk->tk", x, p["w"]), {"w": normal(5, 3, 2)}, "in batches"),
    "an outer product": (lambda p, x: jnp.tensordot(x, p["w"], 0), {"w": W}, "used in mul|no axis"),
    "returned": (lambda p, x: (x, p["w"]), {"w": W}, "returned"),
    "without use": (lambda p, x: x, {"w": W}, "not used"),
    "uses that do not match": (lambda p, x: x @ p["w"] + x @ p["w"].reshape(4, 3).T, {"w": W}, "different ways"),
    "in a loop": (
        lambda p, x: jax.lax.scan(lambda h, a: (jnp.tanh(h @ p["w"] + a), None), x[0], x)[0],
        {"w": normal(3, 3)},
        "used in scan",
    ),
    "with a derivative of its own": (
        lambda p, x: jax.nn.silu(p["w"]) * x.sum(),
        {"w": W},
        "used in",
    ),
    "an image that is learned": (lambda p, x: conv(p["w"], x[None, None, :3]), {"w": normal(1, 4, 4, 3)}, "not the k"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_parameters_used_in_any_other_way_are_told_apart_with_the_reason(name):
    function, params, reason = OTHERS[name]
    layers, others = parts(function, params, X)
    assert layers == []
    assert list(others) == ["w"]
    assert any(r in others["w"] for r in reason.split("|"))


def test_grouped_convolutions_are_no_layers():
    layers, others = parts(
        lambda p, x: conv(x, p["depthwise"], feature_group_count=2) @ p["w"],
        {"depthwise": normal(3, 3, 1, 2), "w": normal(2, 3)},
        IMAGE,
    )
    assert [kernel for kernel, *_ in layers] == ["w"]
    assert "grouped" in others["depthwise"]


def test_shared_weights_are_one_layer():
    square, b = normal(3, 3), normal(3)

    def unrolled(p, x):
        h = jnp.zeros(3)
        for row in x:
            h = jnp.tanh(row @ p["in"] + h @ p["w"] + p["b"])
        return h

    layers, others = parts(unrolled, {"in": square, "w": square + 1, "b": b}, X)
    assert layers == [("in", None, (3, 3), (False,) * 5), ("w", None, (3, 3), (False,) * 5)]
    assert list(others) == ["b"]  # added to a sum, not to a product

    def twice(p, x):
        layer = lambda a: jnp.tanh(a @ p["w"] + p["b"])  # noqa: E731
        return layer(layer(x))

    assert parts(twice, {"w": square, "b": b}, X) == ([("w", "b", (4, 3), (False, False))], {})

    def once_with_bias(p, x):
        return jnp.tanh(x @ p["w"] + p["b"]) @ p["w"]

    layers, others = parts(once_with_bias, {"w": square, "b": b}, X)
    assert layers == [("w", None, (3, 3), (False, False))]
    assert "one layer in all its uses" in others["b"]

    layers, others = parts(lambda p, x: jnp.tanh(x @ p["w"]) @ p["w"].T + p["b"], {"w": W, "b": b}, X)
    assert layers == [("w", None, (3, 4), (False, True))]
    assert list(others) == ["b"]

    layers, others = parts(lambda p, x: x @ p["w"] + x @ p["v"].T + p["b"], {"w": W, "v": V, "b": B}, X)
    assert [kernel for kernel, *_ in layers] == ["v", "w"]
    assert list(others) == ["b"]


def test_the_order_of_calls_does_not_mix_up_equal_ones():
    layer = jax.jit(lambda w, b, x: jnp.tanh(x @ w + b))

    def model(p, x):
        return functools.reduce(lambda h, i: layer(p[f"w{i}"], p[f"b{i}"], h), range(3), x)

    params = {f"{kind}{i}": normal(*shape, seed=i) for i in range(3) for kind, shape in (("w", (3, 3)), ("b", (3,)))}
    layers, others = parts(model, params, X)
    assert layers == [(f"w{i}", f"b{i}", (4, 3), ONCE) for i in range(3)]
    assert others == {}
