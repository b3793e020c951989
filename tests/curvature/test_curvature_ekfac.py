import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest
from ekfac_problems import NAMES, N, basis, built, dense, formed, identity, problem, weights

from jaxnoisy import curvature, tree
from jaxnoisy.curvature import Stream

EXACT = {"rtol": 1e-9, "atol": 1e-11}


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
