"""Every form of influence is that of dense algebra, in both modes, wherever the examples lie."""

import functools

import influence_nets as nets
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxnoisy import curvature, influence
from jaxnoisy.curvature import Status, Stream

EXACT = {"rtol": 1e-9, "atol": 1e-10}


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def inverse_of(p, damping, *, solver=curvature.cholesky, train=None, weights=None, **options):
    matrix = curvature.hessian(p.loss)(p.params, p.train if train is None else train, frozen=p.frozen, weights=weights)
    return functools.partial(solver(damping=damping, **options), matrix)


def on_disk(train, folder):
    for name, a in zip("xy", train):
        np.save(folder / f"{name}.npy", a)
    return tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in "xy")


def in_batches(train, *sizes):
    ends = np.cumsum(sizes)
    return Stream([tuple(np.asarray(a)[end - size : end] for a in train) for size, end in zip(sizes, ends)])


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", nets.NAMES)
def test_every_form_is_that_of_dense_algebra(name):
    p = nets.problem(name)
    expected = nets.dense(p)
    inverse = inverse_of(p, expected.damping)
    queries = influence.gradients(p.loss)(p.params, p.queries, frozen=p.frozen)
    np.testing.assert_allclose(nets.as_matrix(queries), expected.of_queries, **EXACT)
    solved, info = inverse(queries)
    assert info.converged.all()

    for mode in ("forward", "reverse"):
        rows = influence.pairwise(p.loss, mode=mode, batch_size=4)(p.params, p.train, solved, frozen=p.frozen)
        np.testing.assert_allclose(influence.matrix(rows), expected.pairwise, **EXACT)

    scores = influence.self_influence(p.loss, batch_size=4)
    found, info = scores(p.params, p.train, inverse, frozen=p.frozen)
    np.testing.assert_allclose(found.values, expected.self_influence, **EXACT)
    np.testing.assert_allclose(found.norms, expected.norms, **EXACT)
    assert info.status.shape == info.residual.shape == (11,)
    assert info.converged.all()
    change, _ = influence.parameter_influence(p.loss, batch_size=4)(p.params, p.train, inverse, frozen=p.frozen)
    np.testing.assert_allclose(nets.as_matrix(change), -expected.gradients @ expected.inverse, **EXACT)

    for lengths, way in ((found.norms, expected.norms), (np.sqrt(found.values), np.sqrt(expected.self_influence))):
        relative = influence.matrix(influence.relative(rows, lengths))
        np.testing.assert_allclose(relative, expected.pairwise / way[:, None], **EXACT)


@pytest.mark.usefixtures("float64")
def test_influence_on_any_function_of_the_parameters():
    p = nets.problem("mlp")
    expected = nets.dense(p)

    def margin(params):
        h = jnp.tanh(p.queries[0][0] @ params["in"]["w"] + params["in"]["b"]) @ params["out"]
        return h[0] - h[1]

    def size(params):
        return sum(jnp.sum(a**2) for a in jax.tree.leaves(params))

    vectors = influence.scalar_gradients(margin, size)(p.params)
    solved, _ = inverse_of(p, expected.damping)(vectors)
    found = influence.matrix(influence.pairwise(p.loss)(p.params, p.train, solved))
    # The function's slope by a weight, from its change under a small Newton step.
    step = 1e-6
    moved, _ = influence.parameter_influence(p.loss)(p.params, p.train, inverse_of(p, expected.damping))
    for column, f in enumerate((margin, size)):
        for i in (0, 5):
            ahead, behind = (
                f(jax.tree.map(lambda a, m, s=s, i=i: a + s * m[i], p.params, moved)) for s in (step, -step)
            )
            np.testing.assert_allclose(found[i, column], (ahead - behind) / (2 * step), rtol=1e-6)


@pytest.mark.usefixtures("float64")
def test_functions_of_the_parameters_see_the_frozen_ones():
    p = nets.problem("batch norm")
    found = influence.scalar_gradients(lambda q: q["norm"]["steps"] * q["w"].sum())(p.params, frozen=p.frozen)
    np.testing.assert_array_equal(found["w"], np.full((1, 4, 3), 7.0))
    assert not found["out"].any()


@pytest.fixture(scope="module")
def reference():
    with jax.enable_x64(True):
        p = nets.problem("mlp")
        expected = nets.dense(p)
        solved, _ = inverse_of(p, expected.damping)(influence.gradients(p.loss)(p.params, p.queries))
        yield p, expected, solved


PLACES = {
    "devices": lambda train, folder: train,
    "host": lambda train, folder: jax.tree.map(np.asarray, train),
    "disk": on_disk,
    "stream": lambda train, folder: in_batches(train, 3, 5, 1, 2),
    "long batches": lambda train, folder: in_batches(train, 10, 1),
}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("place", PLACES)
def test_where_the_examples_lie_makes_no_difference(place, reference, tmp_path):
    p, expected, solved = reference
    train = PLACES[place](p.train, tmp_path)
    host = place != "devices"
    for mode in ("forward", "reverse"):
        rows = influence.pairwise(p.loss, mode=mode, batch_size=4)(p.params, train, solved)
        found = influence.matrix(rows)
        assert isinstance(found, np.ndarray if host else jax.Array)
        np.testing.assert_allclose(found, expected.pairwise, **EXACT)
    relative = influence.matrix(influence.relative(rows, expected.norms))
    np.testing.assert_allclose(relative, expected.pairwise / expected.norms[:, None], **EXACT)
    inverse = inverse_of(p, expected.damping)
    scores, _ = influence.self_influence(p.loss, batch_size=4)(p.params, train, inverse)
    np.testing.assert_allclose(scores.values, expected.self_influence, **EXACT)
    if host:
        queries = influence.gradients(p.loss)(p.params, jax.tree.map(np.asarray, p.queries))
        np.testing.assert_allclose(nets.as_matrix(queries), expected.of_queries, **EXACT)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("memory", [0, 200, 1000])
def test_little_memory_changes_nothing(memory, reference):
    p, expected, solved = reference
    for mode in ("forward", "reverse"):
        rows = influence.pairwise(p.loss, mode=mode, batch_size=5, memory=memory)(p.params, p.train, solved)
        np.testing.assert_allclose(influence.matrix(rows), expected.pairwise, **EXACT)
    # A gradient takes 24 numbers of 8 bytes.
    assert rows.block_size == max(1, memory // 192)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("solver", ["block_cg", "cg"])
def test_iterative_inverses_also_for_blocks_that_repeat_an_example(solver, reference):
    p, expected, _ = reference
    options = {"solver": getattr(curvature, solver), "tolerance": 1e-11}
    host = jax.tree.map(np.asarray, p.train)  # 11 examples in blocks of 4: the last is filled up
    found, info = influence.self_influence(p.loss, batch_size=4)(
        p.params, host, inverse_of(p, expected.damping, **options)
    )
    np.testing.assert_allclose(found.values, expected.self_influence, rtol=1e-7)
    assert info.converged.all()
    assert int(info.steps) > 0
    early = functools.partial(
        options["solver"](damping=expected.damping, max_steps=1), curvature.hessian(p.loss)(p.params, p.train)
    )
    _, info = influence.self_influence(p.loss, batch_size=4)(p.params, p.train, early)
    assert (np.asarray(info.status) == Status.LIMIT).all()


@pytest.mark.usefixtures("float64")
def test_inverses_that_are_no_trees_are_called_as_they_are(reference):
    p, expected, _ = reference
    plain = inverse_of(p, expected.damping)
    streamed = inverse_of(p, expected.damping, solver=curvature.cg, tolerance=1e-11, train=in_batches(p.train, 6, 5))
    for inverse in (lambda block: plain(block), streamed):
        found, info = influence.self_influence(p.loss, batch_size=6)(p.params, p.train, inverse)
        np.testing.assert_allclose(found.values, expected.self_influence, rtol=1e-7)
        assert info.converged.all()


@pytest.mark.usefixtures("float64")
def test_order_does_not_matter_and_an_example_twice_is_weight_two(reference):
    p, expected, _ = reference

    def both(rows, weights=None):
        train = jax.tree.map(lambda a: a[rows], p.train)
        inverse = inverse_of(p, expected.damping, train=train, weights=weights)
        vectors, _ = inverse(influence.gradients(p.loss)(p.params, p.queries))
        found = influence.matrix(influence.pairwise(p.loss, batch_size=4)(p.params, train, vectors))
        return np.asarray(found), np.asarray(influence.self_influence(p.loss)(p.params, train, inverse)[0].values)

    order = np.random.default_rng(0).permutation(11)
    for found, wanted in zip(both(order), (expected.pairwise, expected.self_influence)):
        np.testing.assert_allclose(found, wanted[order], **EXACT)
    weights = np.ones(11)
    weights[3] = 2
    twice, weighted = both(np.append(np.arange(11), 3)), both(np.arange(11), weights)
    for found, wanted in zip(twice, weighted):
        np.testing.assert_allclose(found[:11], wanted, **EXACT)
        np.testing.assert_allclose(found[11], wanted[3], **EXACT)
        assert np.abs(wanted - (expected.pairwise if wanted.ndim == 2 else expected.self_influence)).max() > 1e-3


def everything(p, solved, inverse, labels, mode):
    rows = influence.pairwise(p.loss, mode=mode, batch_size=6)(p.params, p.train, solved)
    scores, info = influence.self_influence(p.loss, batch_size=6)(p.params, p.train, inverse)
    relative = influence.relative(rows, scores.norms)
    return {
        "matrix": influence.matrix(rows),
        "top": influence.top(count=3)(relative),
        "per class": influence.per_class(num_classes=nets.C)(rows, labels),
        "scores": scores,
        "converged": info.converged,
    }


@pytest.fixture(scope="module")
def single():
    """A problem of 16 examples in single precision, solved, with everything computed eagerly on one device."""
    p = nets.problem("mlp", n=16)
    matrix = curvature.gauss_newton(
        lambda q, x: jnp.tanh(x @ q["in"]["w"] + q["in"]["b"]) @ q["out"], nets.cross_entropy
    )(p.params, p.train)
    inverse = functools.partial(curvature.cg(damping=0.1, tolerance=1e-6), matrix)
    solved, _ = inverse(influence.gradients(p.loss)(p.params, p.queries))
    return p, inverse, solved, everything(p, solved, inverse, p.queries[1], "reverse")


def close(found, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), found, expected)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_compiled_whole_is_the_same(mode, single):
    p, inverse, solved, expected = single
    operator = inverse.args[0]

    @jax.jit
    def compiled(params, train, solved, operator, labels):
        moved = p._replace(params=params, train=train)
        return everything(moved, solved, functools.partial(inverse.func, operator), labels, mode)

    close(compiled(p.params, p.train, solved, operator, p.queries[1]), expected)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("compiled", [False, True])
def test_eight_devices_agree_with_one(axis_type, compiled, single, tmp_path):
    p, inverse, solved, expected = single
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    host = jax.tree.map(np.asarray, (p.params, solved, inverse.args[0], p.queries[1]))
    with jax.set_mesh(mesh):
        train = jax.device_put(jax.tree.map(np.asarray, p.train), jax.NamedSharding(mesh, jax.P("data")))
        params, solved, operator, labels = jax.tree.map(jnp.asarray, host)

        def run(params, train, solved, operator, labels):
            bound = functools.partial(inverse.func, operator)
            return everything(p._replace(params=params, train=train), solved, bound, labels, "reverse")

        found = (jax.jit(run) if compiled else run)(params, train, solved, operator, labels)
        assert len(found["matrix"].sharding.device_set) == 8
        found = jax.tree.map(np.asarray, found)
        rows = influence.pairwise(p.loss, batch_size=5)(params, train, solved)
        written = influence.to_npy(tmp_path / "found.npy")(rows)
    close(found, jax.tree.map(np.asarray, expected))
    close(written, np.asarray(expected["matrix"]))


def test_the_second_call_does_not_compile_again(single):
    p, inverse, solved, _ = single
    others = jax.tree.map(lambda a: 1.5 * a, solved)
    labels = p.queries[1]
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: compiled.append(name))
    try:
        everything(p._replace(params=jax.tree.map(lambda a: a + 0.1, p.params)), others, inverse, labels, "reverse")
    finally:
        jax.monitoring.clear_event_listeners()
    assert not [name for name in compiled if "compile" in name]
