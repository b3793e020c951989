import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest
from jax.sharding import AxisType
from test_curvature_ekfac import built, problem

from jaxnoisy import curvature, tree
from jaxnoisy.curvature import Stream

FORMS = {"quadratic": curvature.ekfac_quadratic_forms, "norms": curvature.ekfac_inverse_norms}


def by_solving(matrix, p, damping, params=None, frozen=None):
    """Both forms, from the inverse applied to every example's gradient."""
    params = p.params if params is None else params

    def loss(q, example):
        return p.loss(q if frozen is None else tree.merge(q, frozen), example)

    @jax.jit
    def solve(matrix, params):
        gradients = jax.vmap(jax.grad(loss), (None, 0))(params, p.data)
        return gradients, matrix.inverse(damping)(gradients)[0]

    g, x = (nets.as_matrix(block) for block in solve(matrix, params))
    return {"quadratic": (g * x).sum(axis=1), "norms": np.linalg.norm(x, axis=1)}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["mlp", "cnn", "tied", "grouped"])
def test_forms_are_those_of_the_inverse_applied_to_gradients(name):
    p, matrix = problem(name), built(name)
    expected = by_solving(matrix, p, 0.05)
    for kind, make in FORMS.items():
        found = make(p.model, p.output_loss, damping=0.05, batch_size=4)(matrix, p.params, p.data)
        assert isinstance(found, jax.Array)
        np.testing.assert_allclose(found, expected[kind], rtol=1e-9)


@pytest.mark.usefixtures("float64")
def test_examples_keep_their_order_in_any_form_of_data():
    p, matrix = problem("mlp"), built("mlp")
    expected = by_solving(matrix, p, 0.05)["quadratic"]
    host = jax.tree.map(np.asarray, p.data)
    stream = Stream([tuple(a[i : i + 6] for a in host) for i in (0, 6)])
    forms = curvature.ekfac_quadratic_forms(p.model, p.output_loss, damping=0.05, batch_size=4)
    for data in (host, stream):
        found = forms(matrix, p.params, data)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(jax.jit(forms)(matrix, p.params, p.data), expected, rtol=1e-9)
    order = np.random.default_rng(0).permutation(len(expected))
    moved = forms(matrix, p.params, jax.tree.map(lambda a: a[order], p.data))
    np.testing.assert_allclose(moved, expected[order], rtol=1e-9)


@pytest.mark.usefixtures("float64")
def test_frozen_parameters_have_no_part_in_the_forms():
    p = problem("mlp")
    inside, rest = tree.split(p.params, lambda path, leaf: "in" in path)
    matrix = curvature.ekfac(p.model, p.output_loss, batch_size=4)(inside, p.data, frozen=rest)
    expected = by_solving(matrix, p, 0.05, inside, rest)
    forms = curvature.ekfac_inverse_norms(p.model, p.output_loss, damping=0.05, batch_size=4)
    np.testing.assert_allclose(forms(matrix, inside, p.data, frozen=rest), expected["norms"], rtol=1e-9)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_eight_devices_agree_with_one(axis_type):
    p = nets.problem("mlp", n=40)
    matrix = curvature.ekfac(p.model, p.output_loss)(p.params, p.data)
    forms = curvature.ekfac_quadratic_forms(p.model, p.output_loss, damping=0.05, batch_size=16)
    expected = forms(matrix, p.params, p.data)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        data = jax.device_put(p.data, jax.NamedSharding(mesh, jax.P("data")))
        whole, params = jax.device_put((matrix, p.params), jax.NamedSharding(mesh, jax.P()))
        found = jax.device_get(jax.jit(forms)(whole, params, data))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_without_damping_singular_directions_count_nothing():
    model, x = (lambda w, x: x @ w), jnp.array([[2.0, 0.0, 0.0]])
    data = x, jnp.array([3.0])
    half_square = lambda z, y: 0.5 * (z - y) ** 2  # noqa: E731
    matrix = curvature.ekfac(model, half_square)(jnp.zeros(3), data)
    queries = jnp.array([[2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), jnp.array([1.0, 1.0])
    found = curvature.ekfac_quadratic_forms(model, half_square, damping=0.0)(matrix, jnp.zeros(3), queries)
    np.testing.assert_allclose(found, [1.0, 0.0], atol=1e-6)  # (2, 1, 0) along (1, 0, 0), squared, over 4


def test_bad_arguments_are_refused():
    p = nets.problem("mlp")
    matrix = curvature.ekfac(p.model, p.output_loss, batch_size=4)(p.params, p.data)
    forms = curvature.ekfac_quadratic_forms(p.model, p.output_loss, damping=0.1)
    x, y = p.data
    for make in FORMS.values():
        with pytest.raises(ValueError, match="damping"):
            make(p.model, p.output_loss, damping=-1.0)
        with pytest.raises(ValueError, match="batch_size"):
            make(p.model, p.output_loss, damping=1.0, batch_size=0)
    with pytest.raises(ValueError, match="lacks"):
        forms(matrix, {"out": p.params["out"]}, p.data)
    with pytest.raises(ValueError, match="pair"):
        forms(matrix, p.params, x)
    with pytest.raises(ValueError, match="not finite"):
        forms(matrix, p.params, (x.at[0, 0].set(jnp.nan), y))
    with pytest.raises(TypeError, match="real scalar"):
        curvature.ekfac_inverse_norms(p.model, lambda z, y: z, damping=0.1)(matrix, p.params, p.data)
