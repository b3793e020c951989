import functools

import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType

from jaxnoisy import curvature, tree
from jaxnoisy.curvature import Status, Stream, kronecker

EXACT = {"rtol": 1e-9, "atol": 1e-11}
N = 11


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def _grouped(params, x):
    """A layer used at two places, with its bias; a grouped convolution; scales; a parameter that is not used."""
    conv = functools.partial(jax.lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    y = conv(x[None], params["wide"], (2, 1), "SAME") + params["wide_bias"]
    y = conv(jnp.tanh(y), params["depthwise"], (1, 1), "VALID", feature_group_count=2)[0] * params["scale"]
    h = y.mean((0, 1))
    for _ in range(2):
        h = jnp.tanh(h @ params["twice"] + params["twice_bias"])
    return h @ params["head"]


@functools.cache
def problem(name):
    """Call under ``jax.enable_x64(True)``."""
    if name != "grouped":
        return nets.problem(name, n=N)
    rng = np.random.default_rng(5)
    shapes = {
        **{"wide": (3, 2, 2, 2), "wide_bias": (2,), "depthwise": (2, 2, 1, 2), "scale": (2,), "unused": (3,)},
        **{"twice": (2, 2), "twice_bias": (2,), "head": (2, 3)},
    }
    params = {k: jnp.asarray(rng.normal(size=s)) for k, s in shapes.items()}
    data = jnp.asarray(rng.normal(size=(N, 5, 4, 2))), jnp.asarray(rng.integers(0, 3, N), jnp.int32)
    return nets.Problem(_grouped, params, data, nets.cross_entropy)


NAMES = (*nets.NAMES, "grouped")


def weights():
    return np.random.default_rng(3).uniform(size=N)


@functools.cache
def built(name, **static):
    p = problem(name)
    return curvature.ekfac(p.model, p.output_loss, batch_size=4, **static)(p.params, p.data, weights=weights())


@functools.cache
def dense(name, kind="gauss_newton"):
    return nets.dense(kind, problem(name), weights=weights())


def identity(params):
    flat, unravel = ravel_pytree(params)
    return jax.vmap(unravel)(jnp.eye(flat.size, dtype=flat.dtype))


@jax.jit
def basis(matrix, params):
    """(p, p) with the eigenvectors as columns, and their eigenvalues."""
    flat = lambda v: jnp.concatenate([a.ravel() for a in kronecker.rotated(matrix, v)])  # noqa: E731
    return jax.vmap(flat)(identity(params)), jnp.concatenate([a.ravel() for a in kronecker.eigenvalues(matrix)])


@jax.jit
def products(operator, block):
    return operator.block(block)


def formed(matrix, params):
    u, e = basis(matrix, params)
    return np.asarray(u * e @ u.T)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", NAMES)
def test_eigenvalues_are_the_diagonal_of_gauss_newton_in_an_orthonormal_basis(name):
    u, e = basis(built(name), problem(name).params)
    np.testing.assert_allclose(u.T @ u, np.eye(len(e)), atol=1e-12)
    np.testing.assert_allclose(e, np.diag(u.T @ dense(name) @ u), **EXACT)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", NAMES)
def test_products_inverse_and_preconditioner_are_those_of_the_matrix_formed(name):
    matrix, p = built(name), problem(name)
    a = formed(matrix, p.params)
    block, v = nets.vectors(p.params, 3)

    @jax.jit
    def apply(matrix, block):
        return matrix.operator().block(block), jax.vmap(matrix.preconditioner(0.1))(block), matrix.inverse(0.1)(block)

    product, preconditioned, (x, info) = apply(matrix, block)
    np.testing.assert_allclose(nets.as_matrix(product), v @ a, **EXACT)
    expected = np.linalg.solve(a + 0.1 * np.eye(len(a)), v.T).T
    for found in (preconditioned, x):
        np.testing.assert_allclose(nets.as_matrix(found), expected, **EXACT)
    assert info.converged.all()
    assert info.residual.max() < 1e-13
    assert int(info.steps) == 0


@pytest.mark.usefixtures("float64")
def test_the_factors_are_second_moments_of_inputs_and_of_output_gradients():
    p, w = problem("mlp"), weights() / weights().sum()
    x, labels = (np.asarray(a) for a in p.data)
    first, bias, last = (np.asarray(a) for a in (p.params["in"]["w"], p.params["in"]["b"], p.params["out"]))
    hidden = np.tanh(x @ first + bias)
    prob = np.asarray(jax.nn.softmax(hidden @ last))
    bent = np.einsum("ij,jk->ijk", prob, np.eye(3)) - np.einsum("ij,ik->ijk", prob, prob)
    through = (1 - hidden**2)[:, :, None] * last
    ones = np.hstack([x, np.ones((N, 1))])
    expected = {
        "['in']['w']": (ones, np.einsum("n,nij,njk,nlk->il", w, through, bent, through)),
        "['out']": (hidden, np.einsum("n,nij->ij", w, bent)),
    }
    matrix = built("mlp")
    for layer, found in zip(matrix.info.layers, matrix.layers):
        inputs, gradients = expected[layer.kernel]
        rows = found.rows * found.row_values @ found.rows.T
        np.testing.assert_allclose(rows, (inputs * w[:, None]).T @ inputs, **EXACT)
        np.testing.assert_allclose(found.columns * found.column_values @ found.columns.T, gradients, **EXACT)
    assert len(labels) == N


@pytest.mark.usefixtures("float64")
def test_a_convolution_is_the_dense_layer_on_its_patches():
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(N, 5, 6, 2))), jnp.asarray(rng.normal(size=(N, 3)))
    params = {"w": jnp.asarray(rng.normal(size=(3, 3, 2, 3))), "b": jnp.asarray(rng.normal(size=3))}
    padded = np.pad(np.asarray(x), ((0, 0), (1, 1), (0, 1), (0, 0)))  # what SAME is at strides of 1 and 2
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, :, ::2]
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(N, 15, 18)

    def convolved(p, x):
        maps = jax.lax.conv_general_dilated(x[None], p["w"], (1, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jnp.tanh(maps + p["b"])[0].sum((0, 1))

    def multiplied(p, a):
        return jnp.tanh(a @ p["w"].reshape(18, 3) + p["b"]).sum(0)

    a = curvature.ekfac(convolved, nets.half_square)(params, (x, y))
    b = curvature.ekfac(multiplied, nets.half_square)(params, (jnp.asarray(patches), y))
    assert [(i.kind, i.rows, i.positions) for i in (*a.info.layers, *b.info.layers)] == [
        ("convolution", 19, 15),
        ("dense", 19, 15),
    ]
    np.testing.assert_allclose(formed(a, params), formed(b, params), **EXACT)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("bias", [False, True])
def test_it_is_gauss_newton_itself_for_linear_least_squares(bias):
    rng = np.random.default_rng(1)
    x, y = jnp.asarray(rng.normal(size=(N, 4))), jnp.asarray(rng.normal(size=(N, 3)))
    params = {"w": jnp.asarray(rng.normal(size=(3, 4))), **({"b": jnp.zeros(3)} if bias else {})}
    model = lambda p, x: p["w"] @ x + p.get("b", 0.0)  # noqa: E731
    p = nets.Problem(model, params, (x, y), nets.half_square)
    matrix = curvature.ekfac(p.model, p.output_loss)(params, p.data, weights=weights())
    assert [(i.rows, i.columns) for i in matrix.info.layers] == [(4 + bias, 3)]
    np.testing.assert_allclose(formed(matrix, params), nets.dense("gauss_newton", p, weights=weights()), **EXACT)


@pytest.mark.usefixtures("float64")
def test_for_one_example_it_is_the_diagonal_blocks_of_gauss_newton():
    p = problem("mlp")
    one = p._replace(data=jax.tree.map(lambda a: a[:1], p.data))
    expected = nets.dense("gauss_newton", one)
    first = tree.size(p.params["in"])
    expected[:first, first:] = expected[first:, :first] = 0
    found = curvature.ekfac(p.model, p.output_loss)(p.params, one.data)
    np.testing.assert_allclose(formed(found, p.params), expected, **EXACT)


@pytest.mark.usefixtures("float64")
def test_every_parameter_is_accounted_for():
    info = built("grouped").info
    assert [(i.kernel, i.bias, i.kind, i.rows, i.columns, i.uses, i.positions) for i in info.layers] == [
        ("['head']", None, "dense", 2, 3, 1, 1),
        ("['twice']", "['twice_bias']", "dense", 3, 2, 2, 2),
        ("['wide']", "['wide_bias']", "convolution", 13, 2, 1, 12),
    ]
    reasons = {i.parameter: i.reason for i in info.diagonal}
    assert reasons == {
        "['depthwise']": "its convolution is grouped",
        "['scale']": "it is used in mul",
        "['unused']": "it is not used",
    }
    sizes = sum(i.rows * i.columns for i in info.layers) + sum(i.size for i in info.diagonal)
    assert sizes == tree.size(problem("grouped").params)
    assert str(info).splitlines()[-1] == "['unused']: diagonal only, as it is not used"


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["mlp", "grouped"])
def test_empirical_gradients_are_those_of_the_fisher_matrix(name):
    matrix, p = built(name, gradients="empirical"), problem(name)
    u, e = basis(matrix, p.params)
    np.testing.assert_allclose(e, np.diag(u.T @ dense(name, "fisher") @ u), **EXACT)
    assert np.abs(e - basis(built(name), p.params)[1]).max() > 1e-2


@pytest.mark.usefixtures("float64")
def test_drawn_gradients_give_the_exact_ones_in_expectation():
    p = problem("mlp")
    made = curvature.ekfac(p.model, p.output_loss, gradients="drawn", draws=4000)
    matrix = made(p.params, p.data, key=jax.random.key(0), weights=weights())
    u, e = basis(matrix, p.params)
    expected = np.diag(u.T @ dense("mlp") @ u)
    # A sum of squares of normal variables has a relative deviation of at most sqrt(2 / draws).
    assert (np.abs(e - expected) <= 5 * np.sqrt(2 / 4000) * expected + 1e-12).all()
    assert np.abs(e - expected).max() > 1e-6 * expected.max()


@pytest.mark.usefixtures("float64")
def test_draws_belong_to_the_example_whatever_the_batches():
    p = problem("mlp")
    found = []
    for size, key in ((4, 0), (11, 0), (4, 1)):
        made = curvature.ekfac(p.model, p.output_loss, gradients="drawn", batch_size=size)
        found.append(formed(made(p.params, p.data, key=jax.random.key(key)), p.params))
    batches = Stream([tuple(np.asarray(a[i : i + 6]) for a in p.data) for i in (0, 6)])
    made = curvature.ekfac(p.model, p.output_loss, gradients="drawn", batch_size=4)
    streamed = formed(made(p.params, batches, key=jax.random.key(0)), p.params)
    np.testing.assert_allclose(found[1], found[0], **EXACT)
    np.testing.assert_allclose(streamed, found[0], **EXACT)
    assert np.abs(found[2] - found[0]).max() > 1e-2


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("how", ["host arrays", "stream", "jit", "closed over"])
def test_data_in_any_form_gives_the_same(how):
    p = problem("mlp")
    made = curvature.ekfac(p.model, p.output_loss, batch_size=4)
    host = jax.tree.map(np.asarray, p.data)
    if how == "host arrays":
        matrix = made(p.params, host, weights=weights())
    elif how == "stream":
        batches = [tuple(a[i : i + 6] for a in host) for i in (0, 6)]
        matrix = made(p.params, Stream(batches, weights=weights()))
    elif how == "jit":
        matrix = jax.jit(lambda q, d, w: made(q, d, weights=w))(p.params, p.data, weights())
    else:
        # The model itself holds what is traced, as batch statistics are when a whole analysis is one program.
        def all_of_it(q, scale):
            model = lambda q, x: p.model(q, scale * x)  # noqa: E731
            return curvature.ekfac(model, p.output_loss, batch_size=4)(q, p.data, weights=weights())

        matrix = jax.jit(all_of_it)(p.params, jnp.ones(()))
    np.testing.assert_allclose(formed(matrix, p.params), formed(built("mlp"), p.params), **EXACT)


@pytest.mark.usefixtures("float64")
def test_an_example_twice_is_weight_two_and_order_does_not_matter():
    p = problem("mlp")
    made = curvature.ekfac(p.model, p.output_loss, batch_size=4)
    w = np.ones(N)
    w[3] = 2
    expected = formed(made(p.params, p.data, weights=w), p.params)
    order = np.random.default_rng(0).permutation(N)
    for rows, each in ((np.concatenate([np.arange(N), [3]]), None), (order, w[order])):
        data = jax.tree.map(lambda a, rows=rows: a[rows], p.data)
        np.testing.assert_allclose(formed(made(p.params, data, weights=each), p.params), expected, **EXACT)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("chosen", ["in", "b"])
def test_frozen_parameters_leave_the_matrix_of_the_rest(chosen):
    p = problem("mlp")
    inside, rest = tree.split(p.params, lambda path, leaf: f"'{chosen}'" in path)
    matrix = curvature.ekfac(p.model, p.output_loss)(inside, p.data, frozen=rest, weights=weights())
    u, e = basis(matrix, inside)
    where = slice(0, 3) if chosen == "b" else slice(0, 15)  # "b" sorts before "w"
    block = dense("mlp")[where, where]
    np.testing.assert_allclose(e, np.diag(u.T @ block @ u), **EXACT)
    assert len(matrix.info.diagonal) == (chosen == "b")
    x, info = jax.jit(lambda m, b: m.inverse(0.1)(b))(matrix, identity(inside))
    assert info.converged.all()
    np.testing.assert_allclose(nets.as_matrix(x), np.linalg.inv(u * e @ u.T + 0.1 * np.eye(len(e))), **EXACT)


@functools.cache
def ill_conditioned():
    """Gauss-Newton and EK-FAC of a network whose inputs span three orders, and right-hand sides."""
    rng = np.random.default_rng(2)
    scale = np.geomspace(1e-2, 1e1, 8)
    x = jnp.asarray(rng.normal(size=(40, 8)) @ np.linalg.qr(rng.normal(size=(8, 8)))[0] * scale)
    params = {
        "a": jnp.asarray(rng.normal(size=(8, 6))) / 8,
        "b": jnp.zeros(6),
        "c": jnp.asarray(rng.normal(size=(6, 4))),
    }
    model = lambda p, x: jnp.tanh(x @ p["a"] + p["b"]) @ p["c"]  # noqa: E731
    data = x, jnp.asarray(rng.integers(0, 4, 40))
    matrix = curvature.gauss_newton(model, nets.cross_entropy)(params, data)
    approximate = curvature.ekfac(model, nets.cross_entropy)(params, data)
    return matrix, approximate, nets.vectors(params, 2)[0]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("method", [curvature.cg, curvature.block_cg])
def test_as_a_preconditioner_it_saves_more_than_half_of_the_steps(method):
    matrix, approximate, b = ill_conditioned()
    solve = jax.jit(lambda a, b, c: method(damping=1e-4, tolerance=1e-4)(a, b, preconditioner=c))
    plain, info = solve(matrix, b, None)
    fast, better = solve(matrix, b, approximate.preconditioner(1e-4))
    assert info.converged.all()
    assert better.converged.all()
    assert int(info.steps) > 20
    assert 2 * int(better.steps) <= int(info.steps)
    difference = tree.norm(tree.axpy(-1.0, plain, fast)) / tree.norm(plain)
    assert float(difference) < 0.05


@pytest.mark.usefixtures("float64")
def test_singular_directions_without_damping_have_a_status():
    p, matrix = problem("mlp"), built("mlp")
    u, e = basis(matrix, p.params)
    null = e < 1e-12
    assert 0 < null.sum() < len(e)
    inside = u[:, ~null] @ np.ones((~null).sum())
    unravel = ravel_pytree(p.params)[1]
    rows = [inside, inside + u[:, np.argmax(null)], 0 * inside, np.nan * inside]
    apply = jax.jit(lambda m, b, i: (m.inverse()(b), jax.vmap(m.preconditioner())(i)))
    (x, info), found = apply(matrix, jax.vmap(unravel)(jnp.stack(rows)), identity(p.params))
    expected = [Status.CONVERGED, Status.NEGATIVE_CURVATURE, Status.CONVERGED, Status.NOT_FINITE]
    assert info.status.tolist() == expected
    np.testing.assert_allclose(nets.as_matrix(x)[0], u[:, ~null] @ (1 / e[~null]), rtol=1e-6)
    np.testing.assert_allclose(nets.as_matrix(x)[1], nets.as_matrix(x)[0], rtol=1e-6)
    assert not nets.as_matrix(x)[2].any()
    np.testing.assert_allclose(info.residual[:3], [0, 1 / np.sqrt((~null).sum() + 1), 0], atol=1e-6)
    found = nets.as_matrix(found)
    assert np.linalg.eigvalsh((found + found.T) / 2)[0] > 0


def test_a_matrix_and_its_inverse_pass_through_jit_without_compiling_again():
    p = nets.problem("mlp")
    made = curvature.ekfac(p.model, p.output_loss, batch_size=4)
    block, _ = nets.vectors(p.params, 2)
    traced = []

    @jax.jit
    def apply(inverse, block):
        traced.append(1)
        return inverse(block)[0]

    first = apply(made(p.params, p.data).inverse(0.1), block)
    second = apply(made(tree.scale(2.0, p.params), p.data).inverse(0.2), block)
    assert len(traced) == 1
    assert float(tree.norm(tree.axpy(-1.0, first, second))) > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_lower_precision(dtype):
    with jax.enable_x64(True):
        expected = formed(built("mlp"), problem("mlp").params)
    p = nets.problem("mlp")
    params = jax.tree.map(lambda a: a.astype(dtype), p.params)
    matrix = curvature.ekfac(p.model, p.output_loss, batch_size=4)(params, p.data, weights=weights())
    assert {a.dtype for a in jax.tree.leaves(matrix)} == {jnp.dtype("float32")}
    block, _ = nets.vectors(params, 2)
    assert {a.dtype for a in jax.tree.leaves(matrix.operator().block(block))} == {jnp.dtype(dtype)}
    found = formed(matrix, p.params)
    np.testing.assert_allclose(found, expected, atol=(1e-5 if dtype == "float32" else 3e-2) * expected.max())


@pytest.mark.parametrize(
    ("axis_type", "compiled"), [(AxisType.Auto, True), (AxisType.Explicit, True), (AxisType.Explicit, False)]
)
def test_eight_devices_agree_with_one(axis_type, compiled):
    p = nets.problem("mlp", n=40)
    made = curvature.ekfac(p.model, p.output_loss, batch_size=16)
    build = lambda q, d, w: made(q, d, weights=w).operator()  # noqa: E731
    w = jnp.arange(40.0)
    block, _ = nets.vectors(p.params, 3)
    expected = nets.as_matrix(products(build(p.params, p.data, w), block))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        data, each = jax.device_put((p.data, w), jax.NamedSharding(mesh, jax.P("data")))
        params, vectors = jax.device_put((p.params, block), jax.NamedSharding(mesh, jax.P()))
        found = (jax.jit(build) if compiled else build)(params, data, each)
        after = jax.device_get(products(found, vectors))
    np.testing.assert_allclose(nets.as_matrix(after), expected, rtol=2e-5, atol=2e-6)


def bad_arguments():
    p = nets.problem("mlp")
    x, y = p.data
    key = jax.random.key(0)
    return {
        "integer parameters": ({}, {**p.params, "steps": jnp.int32(0)}, p.data, {}, TypeError, "int32"),
        "no pair": ({}, p.params, x, {}, ValueError, "pair"),
        "a stream of no pairs": ({}, p.params, Stream([x]), {}, ValueError, "pair"),
        "nan": ({}, p.params, (x.at[2, 1].set(jnp.nan), y), {}, ValueError, r"data\[0\].*\(2, 1\)"),
        "lengths": ({}, p.params, (x, y[:5]), {}, ValueError, "in common"),
        "weights": ({}, p.params, p.data, {"weights": -jnp.ones(11)}, ValueError, "negative"),
        "weights beside a stream": ({}, p.params, Stream([p.data]), {"weights": y}, ValueError, "Stream"),
        "no key": ({"gradients": "drawn"}, p.params, p.data, {}, TypeError, "typed key"),
        "a key without use": ({}, p.params, p.data, {"key": key}, TypeError, "leave it out"),
        "kind": ({"gradients": "sampled"}, p.params, p.data, {}, ValueError, "exact, drawn, empirical"),
        "draws": ({"draws": 0}, p.params, p.data, {}, ValueError, "draws"),
        "batch size": ({"batch_size": 0}, p.params, p.data, {}, ValueError, "batch_size"),
    }


@pytest.mark.parametrize("case", bad_arguments())
def test_bad_arguments_are_refused(case):
    static, params, data, more, error, message = bad_arguments()[case]
    p = nets.problem("mlp")
    with pytest.raises(error, match=message):
        curvature.ekfac(p.model, p.output_loss, **static)(params, data, **more)


def test_bad_vectors_and_losses_are_refused():
    p = nets.problem("mlp")
    with pytest.raises(TypeError, match="real scalar"):
        curvature.ekfac(p.model, lambda z, y: z)(p.params, p.data)
    matrix = curvature.ekfac(p.model, p.output_loss, batch_size=4)(p.params, p.data)
    block, _ = nets.vectors(p.params, 2)
    for call in (matrix.inverse(0.1), matrix.operator().block):
        with pytest.raises(ValueError, match="lacks"):
            call({"out": block["out"]})
        with pytest.raises(ValueError, match="shape"):
            call({**block, "out": block["out"][:, :2]})
    with pytest.raises(TypeError, match="int32"):
        matrix.inverse(0.1)(jax.tree.map(lambda a: a.astype(jnp.int32), block))
    for make in (matrix.inverse, matrix.preconditioner):
        with pytest.raises(ValueError, match="damping"):
            make(-1.0)
    with pytest.raises(ValueError, match="tolerance"):
        matrix.inverse(0.1, tolerance=2.0)
