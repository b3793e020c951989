import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest
import systems

from jaxnoisy import curvature, tree
from jaxnoisy.curvature import Stream

METHODS = {"cg": curvature.cg, "block_cg": curvature.block_cg}
P = 80


def vector_operator(a):
    return jax.tree_util.Partial(jnp.matmul, jnp.asarray(a))


def steps(method, a, damping, preconditioner, k=2):
    b = jnp.asarray(np.random.default_rng(5).normal(size=(k, len(a))))
    solve = jax.jit(lambda m, r, c: method(damping=damping, tolerance=1e-6)(m, r, preconditioner=c))
    x, info = solve(vector_operator(a), b, preconditioner)
    assert info.converged.all()
    expected = np.linalg.solve(a + damping * np.eye(len(a)), b.T).T
    np.testing.assert_allclose(x, expected, atol=1e-4 * np.abs(expected).max())
    return int(info.steps)


def approximated(a, **options):
    sketch = jax.jit(lambda m: curvature.nystrom(jax.random.key(1), m, jnp.zeros(P), **options))
    return sketch(vector_operator(a))


def estimated(matrix, like, *, probes):
    draw = jax.jit(lambda m: curvature.diagonal_estimate(jax.random.key(0), m, like, probes=probes))
    return draw(matrix)


def badly_scaled():
    """Well conditioned up to the units of the parameters, which span six orders."""
    rng = np.random.default_rng(0)
    units = np.geomspace(1e-2, 1e1, P)
    noise = rng.normal(size=(P, P)) / P
    return units[:, None] * (np.eye(P) + noise @ noise.T) * units


def low_rank():
    """Fifteen directions of large, spread curvature, and little in the others."""
    return systems.with_eigenvalues(np.concatenate([np.geomspace(1e3, 1, 15), np.full(P - 15, 1e-3)]))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_jacobi_saves_steps_where_scales_differ(method):
    a = badly_scaled()
    plain = steps(method, a, 1e-4, None)
    estimate = estimated(vector_operator(a), jnp.zeros(P), probes=64)
    for diagonal in (jnp.diag(jnp.asarray(a)), estimate):
        assert steps(method, a, 1e-4, curvature.jacobi(diagonal, damping=1e-4)) * 3 <= plain


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_nystrom_saves_steps_where_the_spectrum_falls(method):
    a = low_rank()
    plain = steps(method, a, 1e-2, None)
    top = approximated(a, rank=30, damping=1e-2)
    assert steps(method, a, 1e-2, top) * 2 <= plain
    assert plain > 8


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("rank", "true_rank"), [(80, 80), (500, 80), (40, 10)])
def test_a_sketch_that_holds_the_whole_range_is_the_inverse_up_to_scale(rank, true_rank):
    values = np.concatenate([np.geomspace(100, 1, true_rank), np.zeros(P - true_rank)])
    a = systems.with_eigenvalues(values)
    inverse = approximated(a, rank=rank, damping=0.5)
    found = np.asarray(jax.vmap(inverse)(jnp.eye(P))) @ (a + 0.5 * np.eye(P))
    np.testing.assert_allclose(found, np.eye(P) * found[0, 0], atol=1e-6)
    assert found[0, 0] > 0


def test_nystrom_stays_positive_definite_in_single_precision():
    a = systems.with_eigenvalues(np.geomspace(1e4, 1e-6, P)).astype(np.float32)
    top = approximated(a, rank=60, damping=1e-3)
    found = np.asarray(jax.vmap(top)(jnp.eye(P)), np.float64)
    np.testing.assert_allclose(found, found.T, atol=1e-6)
    assert np.linalg.eigvalsh(found)[0] > 0


@pytest.mark.usefixtures("float64")
def test_preconditioners_of_a_network_take_trees_and_streams():
    p = nets.problem("mlp")
    b, rows = nets.vectors(p.params, 2)
    batches = Stream([tuple(np.asarray(a[i : i + 6]) for a in p.data) for i in (0, 6)])
    matrix = nets.made("gauss_newton", p)(p.params, batches)
    top = curvature.nystrom(jax.random.key(0), matrix, p.params, rank=8, damping=0.01)
    x, info = curvature.block_cg(damping=0.01, tolerance=1e-9)(matrix, b, preconditioner=top)
    assert info.converged.all()
    expected = np.linalg.solve(nets.dense("gauss_newton", p) + 0.01 * np.eye(tree.size(p.params)), rows.T).T
    np.testing.assert_allclose(nets.as_matrix(x), expected, rtol=1e-6, atol=1e-7)
    square = curvature.jacobi(curvature.fisher_diagonal(p.loss)(p.params, batches), damping=0.01)
    divided = rows / (np.diag(nets.dense("fisher", p)) + 0.01)
    np.testing.assert_allclose(nets.as_matrix(jax.vmap(square)(b)), divided, rtol=1e-9)


@pytest.mark.usefixtures("float64")
def test_the_fisher_diagonal_is_that_of_the_fisher_matrix():
    p = nets.problem("mlp")
    w = np.random.default_rng(0).uniform(size=11)
    expected = np.diag(nets.dense("fisher", p, weights=w))
    diagonal = curvature.fisher_diagonal(p.loss, batch_size=4)
    found = jax.jit(lambda q, d: diagonal(q, d, weights=w))(p.params, p.data)
    np.testing.assert_allclose(nets.as_vector(found), expected, rtol=1e-10)
    batches = [tuple(np.asarray(a[i : i + 6]) for a in p.data) for i in (0, 6)]
    streamed = diagonal(p.params, Stream(batches, weights=w))
    np.testing.assert_allclose(nets.as_vector(streamed), expected, rtol=1e-10)
    inside, rest = tree.split(p.params, lambda path, leaf: "in" in path)
    part = jax.jit(lambda q, f: diagonal(q, p.data, weights=w, frozen=f))(inside, rest)
    np.testing.assert_allclose(nets.as_vector(part), expected[: tree.size(inside)], rtol=1e-10)


@pytest.mark.usefixtures("float64")
def test_the_estimate_is_unbiased_with_the_variance_stated():
    a = systems.spd()
    like = systems.like()
    found = estimated(systems.operator(a), like, probes=4000)
    others = np.sqrt((a**2).sum(axis=1) - np.diag(a) ** 2)
    error = nets.as_vector(found) - np.diag(a)
    assert (np.abs(error) < 4 * others / np.sqrt(4000)).all()
    one = estimated(systems.operator(a), like, probes=1)
    assert np.abs(nets.as_vector(one) - np.diag(a)).max() > 0.1 * others.max()


def test_diagonals_that_cannot_be_divided_by():
    inverse = curvature.jacobi({"a": jnp.array([-4.0, 0.0, 4.0])})
    np.testing.assert_array_equal(inverse({"a": jnp.full(3, 2.0)})["a"], [2.0, 2.0, 0.5])


def test_bad_arguments_are_refused():
    matrix = lambda v: v  # noqa: E731
    with pytest.raises(ValueError, match="rank"):
        curvature.nystrom(jax.random.key(0), matrix, jnp.zeros(2), rank=0)
    with pytest.raises(ValueError, match="damping"):
        curvature.nystrom(jax.random.key(0), matrix, jnp.zeros(2), rank=1, damping=-1.0)
    with pytest.raises(ValueError, match="damping"):
        curvature.jacobi(jnp.ones(2), damping=np.nan)
    for bad in (
        lambda: curvature.nystrom(0, matrix, jnp.zeros(2), rank=1),
        lambda: curvature.diagonal_estimate(0, matrix, jnp.zeros(2)),
    ):
        with pytest.raises(TypeError, match="key"):
            bad()
    with pytest.raises(ValueError, match="probes"):
        curvature.diagonal_estimate(jax.random.key(0), matrix, jnp.zeros(2), probes=0)
    with pytest.raises(TypeError, match="real scalar"):
        curvature.fisher_diagonal(lambda w, x: x)(jnp.zeros(2), jnp.ones((3, 2)))
    with pytest.raises(ValueError, match="batch_size"):
        curvature.fisher_diagonal(lambda w, x: x @ w, batch_size=0)
