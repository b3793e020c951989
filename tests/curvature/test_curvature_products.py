import functools

import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType

from jaxnoisy import curvature, tree
from jaxnoisy.curvature import Stream

EXACT = {"rtol": 1e-10, "atol": 1e-12}


def product(kind, p, block, *, weights=None, frozen=None, **static):
    """A product with a block, as one program."""
    return compiled(kind, p.model, p.output_loss, **static)(p.params, p.data, weights, frozen, block)


@functools.cache
def compiled(kind, model, output_loss, **static):
    made = nets.made(kind, nets.Problem(model, None, None, output_loss), **static)
    return jax.jit(lambda q, d, w, f, v: made(q, d, weights=w, frozen=f).block(v))


def batched(data, size):
    n = len(data[0])
    return [tuple(np.asarray(a[i : i + size]) for a in data) for i in range(0, n, size)]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", nets.NAMES)
@pytest.mark.parametrize("kind", nets.KINDS)
def test_products_are_those_of_the_dense_matrix(name, kind):
    p = nets.problem(name)
    w = np.random.default_rng(3).uniform(size=11)
    block, v = nets.vectors(p.params, 3)
    expected = v @ nets.dense(kind, p, weights=w)
    found = product(kind, p, block, weights=w, memory=0, batch_size=4)
    np.testing.assert_allclose(nets.as_matrix(found), expected, **EXACT)
    if name == "mlp":
        np.testing.assert_allclose(nets.as_matrix(product(kind, p, block, weights=w)), expected, **EXACT)
        streamed = nets.made(kind, p)(p.params, Stream(batched(p.data, 6), weights=w)).block(block)
        np.testing.assert_allclose(nets.as_matrix(streamed), expected, **EXACT)


@pytest.mark.usefixtures("float64")
def test_one_vector_is_a_block_of_one():
    p = nets.problem("mlp")
    block, v = nets.vectors(p.params, 1)
    expected = v[0] @ nets.dense("fisher", p)
    made = nets.made("fisher", p)
    one = jax.tree.map(lambda a: a[0], block)
    found = jax.jit(lambda q, d, x: made(q, d)(x))(p.params, p.data, one)
    np.testing.assert_allclose(nets.as_vector(found), expected, **EXACT)
    streamed = made(p.params, Stream([p.data]))
    assert streamed.streamed
    np.testing.assert_allclose(nets.as_vector(streamed(one)), expected, **EXACT)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("size", [4, 10])
def test_an_uneven_last_batch_changes_nothing(size):
    p = nets.problem("mlp")
    block, v = nets.vectors(p.params, 2)
    expected = v @ nets.dense("hessian", p)
    pieces = product("hessian", p, block, memory=0, batch_size=size)
    # Batches that are themselves too large to linearise whole run through microbatches of two.
    made = nets.made("hessian", p, memory=0, batch_size=2)
    streamed = made(p.params, Stream(batched(p.data, size))).block(block)
    np.testing.assert_allclose(nets.as_matrix(pieces), expected, **EXACT)
    np.testing.assert_allclose(nets.as_matrix(streamed), expected, **EXACT)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", nets.KINDS)
def test_matrices_are_symmetric_and_linear_and_squares_are_not_negative(kind):
    p = nets.problem("mlp")
    size = tree.size(p.params)
    identity = jax.vmap(ravel_pytree(p.params)[1])(jnp.eye(size))
    extra, v = nets.vectors(p.params, 2)
    block = jax.tree.map(lambda a, b: jnp.concatenate([a, b, 2.5 * b[:1] - b[1:]]), identity, extra)
    found = nets.as_matrix(product(kind, p, block, memory=0, batch_size=4))
    a, (x, y, both) = found[:size], found[size:]
    np.testing.assert_allclose(a, a.T, **EXACT)
    np.testing.assert_allclose(both, 2.5 * x - y, **EXACT)
    np.testing.assert_allclose(x, v[0] @ a, **EXACT)
    lowest = np.linalg.eigvalsh(a)[0]
    if kind == "hessian":
        assert lowest < -1e-3  # what Gauss-Newton is for
    else:
        assert lowest > -1e-12


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", nets.KINDS)
def test_an_example_twice_is_weight_two_and_order_does_not_matter(kind):
    p = nets.problem("mlp")
    block, v = nets.vectors(p.params, 3)
    weights = np.ones(11)
    weights[3] = 2
    expected = v @ nets.dense(kind, p, weights=weights)
    order = np.random.default_rng(0).permutation(11)
    for rows, w in ((np.concatenate([np.arange(11), [3]]), None), (order, weights[order])):
        moved = p._replace(data=jax.tree.map(lambda a, rows=rows: a[rows], p.data))
        found = product(kind, moved, block, weights=w, memory=0, batch_size=4)
        np.testing.assert_allclose(nets.as_matrix(found), expected, **EXACT)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", nets.KINDS)
def test_frozen_parameters_leave_a_principal_submatrix(kind):
    p = nets.problem("mlp")
    inside, rest = tree.split(p.params, lambda path, leaf: "in" in path)
    first = tree.size(inside)  # "in" sorts before "out"
    block, v = nets.vectors(inside, 2)
    expected = v @ nets.dense(kind, p)[:first, :first]
    parted = p._replace(params=inside)
    streamed = nets.made(kind, p)(inside, Stream([p.data]), frozen=rest).block(block)
    for found in (streamed, product(kind, parted, block, frozen=rest)):
        np.testing.assert_allclose(nets.as_matrix(found), expected, **EXACT)


@pytest.mark.usefixtures("float64")
def test_frozen_parameters_may_be_integers():
    def loss(params, x):
        return params["shift"] * (params["w"] @ x) ** 2

    inside, rest = tree.split({"w": jnp.ones(2), "shift": jnp.int32(3)}, lambda path, leaf: "w" in path)
    matrix = curvature.hessian(loss)(inside, jnp.eye(2), frozen=rest)
    np.testing.assert_allclose(matrix({"w": jnp.array([1.0, 2.0]), "shift": None})["w"], [3.0, 6.0])


@pytest.mark.parametrize("kind", nets.KINDS)
def test_single_precision(kind):
    p = nets.problem("mlp")
    with jax.enable_x64(True):
        wide = nets.problem("mlp")
        expected = nets.dense(kind, wide)
    block, v = nets.vectors(p.params, 2)
    found = product(kind, p, block, weights=jnp.full(11, 2.0), memory=0, batch_size=4)
    assert {a.dtype for a in jax.tree.leaves(found)} == {jnp.dtype("float32")}
    np.testing.assert_allclose(nets.as_matrix(found), v @ expected, rtol=2e-4, atol=2e-5)


def test_an_operator_passes_through_jit_as_an_argument_without_compiling_again():
    p = nets.problem("mlp")
    made = nets.made("hessian", p, memory=0, batch_size=4)
    block, _ = nets.vectors(p.params, 2)
    traced = []

    @jax.jit
    def apply(matrix, block):
        traced.append(1)
        return matrix.block(block)

    first = apply(made(p.params, p.data), block)
    second = apply(made(tree.scale(2.0, p.params), p.data), block)
    assert len(traced) == 1
    assert float(tree.norm(tree.axpy(-1.0, first, second))) > 1e-3


@pytest.mark.usefixtures("float64")
def test_memory_decides_what_is_kept_and_changes_no_product():
    p = nets.problem("mlp")
    block, v = nets.vectors(p.params, 5)
    expected = v @ nets.dense("gauss_newton", p)

    def loops(memory):
        made = nets.made("gauss_newton", p, memory=memory, batch_size=3)
        return str(jax.make_jaxpr(lambda q, v: made(q, p.data).block(v))(p.params, block)).count("scan[")

    # 11 examples keep some thousand bytes: nothing fits, then the model but not five vectors, then all.
    assert loops(0) == 2
    assert loops(8000) == 1
    assert loops(1 << 30) == 0
    for memory in (0, 8000):
        found = product("gauss_newton", p, block, memory=memory, batch_size=3)
        np.testing.assert_allclose(nets.as_matrix(found), expected, **EXACT)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize(
    ("kind", "memory"), [("hessian", 0), ("hessian", 1 << 30), ("gauss_newton", 0), ("fisher", 1 << 30)]
)
def test_eight_devices_agree_with_one(kind, axis_type, memory):
    p = nets.problem("mlp", n=40)
    block, _ = nets.vectors(p.params, 3)
    w = jnp.arange(40.0)
    made = nets.made(kind, p, memory=memory, batch_size=16)
    expected = nets.as_matrix(product(kind, p, block, weights=w))
    apply = jax.jit(lambda q, d, u, v: made(q, d, weights=u).block(v))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        data, weights = jax.device_put((p.data, w), jax.NamedSharding(mesh, jax.P("data")))
        params, rhs = jax.device_put((p.params, block), jax.NamedSharding(mesh, jax.P()))
        found = jax.device_get(apply(params, data, weights, rhs))
    np.testing.assert_allclose(nets.as_matrix(found), expected, rtol=2e-5, atol=2e-6)


def test_microbatches_move_no_rows_between_devices():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    p = nets.problem("mlp", n=64)
    made = nets.made("gauss_newton", p, memory=0, batch_size=16)
    block, _ = nets.vectors(p.params, 1)
    data = jax.device_put(p.data, jax.NamedSharding(mesh, jax.P("data")))
    params, rhs = jax.device_put((p.params, block), jax.NamedSharding(mesh, jax.P()))
    text = jax.jit(lambda q, d, v: made(q, d).block(v)).lower(params, data, rhs).compile().as_text()
    assert "all-reduce" in text
    for movement in ("all-gather", "all-to-all", "collective-permute"):
        assert movement not in text


def test_the_highest_precision_is_asked_of_every_matrix_product():
    p = nets.problem("mlp")
    for kind in nets.KINDS:
        block, _ = nets.vectors(p.params, 1)
        text = str(jax.make_jaxpr(lambda q, v, kind=kind: nets.made(kind, p)(q, p.data).block(v))(p.params, block))
        assert text.count("dot_general") > 2
        assert text.count("dot_general") == text.count("precision=(Precision.HIGHEST, Precision.HIGHEST)")


def bad_arguments():
    p = nets.problem("mlp")
    x, y = p.data
    return {
        "integer parameters": ("hessian", {**p.params, "steps": jnp.int32(0)}, p.data, {}, TypeError, "int32"),
        "empty": ("hessian", p.params, (x[:0], y[:0]), {}, ValueError, "n >= 1"),
        "lengths": ("fisher", p.params, (x, y[:5]), {}, ValueError, "in common"),
        "nan": ("hessian", p.params, (x.at[2, 1].set(jnp.nan), y), {}, ValueError, r"data\[0\].*\(2, 1\)"),
        "weight shape": ("hessian", p.params, p.data, {"weights": jnp.ones(5)}, ValueError, r"\(11,\)"),
        "negative weight": ("hessian", p.params, p.data, {"weights": -jnp.ones(11)}, ValueError, "negative"),
        "zero weights": ("hessian", p.params, p.data, {"weights": jnp.zeros(11)}, ValueError, "all 0"),
        "boolean weights": ("hessian", p.params, p.data, {"weights": jnp.ones(11, bool)}, TypeError, "bool"),
        "no pair": ("gauss_newton", p.params, x, {}, ValueError, "pair"),
        "weights beside a stream": ("hessian", p.params, Stream([p.data]), {"weights": y}, ValueError, "Stream"),
    }


@pytest.mark.parametrize("case", bad_arguments())
def test_bad_arguments_are_refused(case):
    kind, params, data, more, error, message = bad_arguments()[case]
    with pytest.raises(error, match=message):
        nets.made(kind, nets.problem("mlp"))(params, data, **more)


@pytest.mark.parametrize(
    "output", [lambda z: z, lambda z: (z.sum(), z), lambda z: z.sum()[None], lambda z: jnp.int32(1)]
)
def test_a_loss_that_is_no_scalar_is_refused(output):
    p = nets.problem("mlp")

    def bad(params, example):
        return output(p.model(params, example[0]))

    for made in (curvature.hessian(bad), curvature.fisher(bad)):
        with pytest.raises(TypeError, match="real scalar"):
            made(p.params, p.data)
    made = curvature.gauss_newton(p.model, lambda z, y: output(z))
    with pytest.raises(TypeError, match="output_loss must return a real scalar"):
        made(p.params, p.data)


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_vectors_that_differ_from_the_parameters_are_refused(memory):
    p = nets.problem("mlp")
    matrix = nets.made("hessian", p, memory=memory)(p.params, p.data)
    with pytest.raises(ValueError, match="lacks"):
        matrix({"out": p.params["out"]})
    with pytest.raises(ValueError, match="shape"):
        matrix({**p.params, "out": jnp.zeros((4, 3))})
    with pytest.raises(ValueError, match=r"x\[None\]"):
        matrix.block(jax.tree.map(lambda a: a[:0][None][:0], p.params))
    for static in ({"batch_size": 0}, {"memory": -1}):
        with pytest.raises(ValueError, match=next(iter(static))):
            curvature.hessian(p.loss, **static)


def test_functions_of_one_vector_are_operators():
    a = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    a = a + a.T
    matrix = curvature.as_operator(lambda v: a @ v)
    block = jnp.asarray(np.random.default_rng(1).normal(size=(4, 3)), jnp.float32)
    np.testing.assert_allclose(matrix.block(block), block @ a, rtol=1e-5)
    assert curvature.as_operator(matrix) is matrix
    with pytest.raises(TypeError, match="lambda v: M @ v"):
        curvature.as_operator(a)
    bound = curvature.from_function(jax.tree_util.Partial(jnp.matmul, jnp.asarray(a)))
    assert len(jax.tree.leaves(bound)) == 1
    np.testing.assert_allclose(jax.jit(lambda m, v: m(v))(bound, block[0]), a @ block[0], rtol=1e-5)
