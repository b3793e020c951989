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
    inverse = nets.bound(expected)
    queries = influence.gradients(p.loss)(p.params, p.queries, frozen=p.frozen)
    np.testing.assert_allclose(nets.as_matrix(queries), expected.of_queries, **EXACT)
    solved, _ = inverse(queries)
    for mode in ("forward", "reverse"):
        rows = influence.pairwise(p.loss, mode=mode, batch_size=4)(p.params, p.train, solved, frozen=p.frozen)
        np.testing.assert_allclose(influence.matrix(rows), expected.pairwise, **EXACT)

    scores = influence.self_influence(p.loss, batch_size=4)
    found, _ = scores(p.params, p.train, inverse, frozen=p.frozen)
    np.testing.assert_allclose(found.values, expected.self_influence, **EXACT)
    np.testing.assert_allclose(found.norms, expected.norms, **EXACT)
    change, _ = influence.parameter_influence(p.loss, batch_size=4)(p.params, p.train, inverse, frozen=p.frozen)
    np.testing.assert_allclose(nets.as_matrix(change), -expected.gradients @ expected.inverse, **EXACT)

    relative = influence.matrix(influence.relative(rows, jnp.sqrt(found.values)))
    np.testing.assert_allclose(relative, expected.pairwise / np.sqrt(expected.self_influence)[:, None], **EXACT)


@pytest.fixture(scope="module")
def reference():
    with jax.enable_x64(True):
        p = nets.problem("mlp")
        expected = nets.dense(p)
        solved, _ = nets.bound(expected)(nets.as_block(expected.of_queries, p.params))
        return p, expected, solved


@pytest.mark.usefixtures("float64")
def test_influence_on_any_function_of_the_parameters(reference):
    p, expected, _ = reference

    def margin(params):
        h = jnp.tanh(p.queries[0][0] @ params["in"]["w"] + params["in"]["b"]) @ params["out"]
        return h[0] - h[1]

    def size(params):
        return sum(jnp.sum(a**2) for a in jax.tree.leaves(params))

    solved, _ = nets.bound(expected)(influence.scalar_gradients(margin, size)(p.params))
    found = influence.matrix(influence.pairwise(p.loss, batch_size=4)(p.params, p.train, solved))
    # The function's slope by a weight, from its values a small Newton step ahead and behind.
    moves = nets.as_block(-expected.gradients @ expected.inverse, p.params)
    for column, f in enumerate((margin, size)):
        ahead, behind = (
            np.asarray(jax.vmap(lambda m, s=s, f=f: f(jax.tree.map(lambda a, b: a + s * b, p.params, m)))(moves))
            for s in (1e-5, -1e-5)
        )
        np.testing.assert_allclose(found[:, column], (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-8)


@pytest.mark.usefixtures("float64")
def test_functions_of_the_parameters_see_the_frozen_ones():
    p = nets.problem("batch norm")
    found = influence.scalar_gradients(lambda q: q["norm"]["steps"] * q["w"].sum())(p.params, frozen=p.frozen)
    np.testing.assert_array_equal(found["w"], np.full((1, 4, 3), 7.0))
    assert not found["out"].any()


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
    scores, _ = influence.self_influence(p.loss, batch_size=4)(p.params, train, nets.bound(expected))
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
def test_blocks_that_are_filled_up_with_an_example_again_are_solved(reference):
    p, expected, _ = reference
    inverse = functools.partial(
        curvature.block_cg(damping=expected.damping, tolerance=1e-9), curvature.hessian(p.loss)(p.params, p.train)
    )
    host = jax.tree.map(np.asarray, p.train)  # 11 examples in blocks of 4
    found, info = influence.self_influence(p.loss, batch_size=4)(p.params, host, inverse)
    np.testing.assert_allclose(found.values, expected.self_influence, rtol=1e-7)
    assert info.converged.all()
    assert info.status.shape == info.residual.shape == (11,)
    assert int(info.steps) > 0


@pytest.mark.usefixtures("float64")
def test_inverses_that_are_no_trees_are_called_as_they_are(reference):
    p, expected, _ = reference
    exact = nets.bound(expected)
    scores = influence.self_influence(p.loss, batch_size=6)
    found, _ = scores(p.params, p.train, lambda block: exact(block))
    np.testing.assert_allclose(found.values, expected.self_influence, **EXACT)
    matrix = curvature.hessian(p.loss)(p.params, in_batches(p.train, 6, 5))
    for steps, status in ((1000, Status.CONVERGED), (2, Status.LIMIT)):
        solver = curvature.cg(damping=expected.damping, tolerance=1e-9, max_steps=steps)
        found, info = scores(p.params, p.train, functools.partial(solver, matrix))
        assert (np.asarray(info.status) == status).all()
        same = np.allclose(found.values, expected.self_influence, rtol=1e-7)
        assert same == (status == Status.CONVERGED)


@pytest.mark.usefixtures("float64")
def test_order_does_not_matter_and_an_example_twice_is_weight_two(reference):
    p, expected, _ = reference

    @jax.jit
    def both(rows, weights):
        train = jax.tree.map(lambda a: a[rows], p.train)
        matrix = curvature.hessian(p.loss)(p.params, train, weights=weights)
        inverse = functools.partial(curvature.cg(damping=expected.damping, tolerance=1e-11), matrix)
        vectors, _ = inverse(influence.gradients(p.loss)(p.params, p.queries))
        return influence.matrix(influence.pairwise(p.loss, batch_size=12)(p.params, train, vectors))

    rows = np.append(np.arange(11), 3)
    twice = both(rows, np.ones(12))
    weights = np.ones(12)
    weights[3], weights[11] = 2, 0
    np.testing.assert_allclose(twice, both(rows, weights), rtol=1e-7, atol=1e-9)
    order = np.random.default_rng(0).permutation(12)
    np.testing.assert_allclose(both(rows[order], np.ones(12)), twice[order], rtol=1e-7, atol=1e-9)
    weights[3] = 1
    np.testing.assert_allclose(both(rows, weights)[:11], expected.pairwise, rtol=1e-7, atol=1e-9)
    assert np.abs(twice[:11] - expected.pairwise).max() > 1e-3


def everything(p, solved, inverse, labels, mode):
    rows = influence.pairwise(p.loss, mode=mode, batch_size=6)(p.params, p.train, solved)
    scores, info = influence.self_influence(p.loss, batch_size=6)(p.params, p.train, inverse)
    relative = influence.relative(rows, scores.norms)
    return {
        "matrix": influence.matrix(rows),
        "top": influence.top(count=3)(relative),
        "per class": influence.per_class(num_classes=nets.C)(rows, labels),
        "scores": scores,
        "status": info.status,
    }


@pytest.fixture(scope="module")
def single():
    """A problem of 16 examples in single precision, solved, with everything computed eagerly on one device."""
    with jax.enable_x64(True):
        inverse = jax.tree.map(np.float32, nets.bound(nets.dense(nets.problem("mlp", n=16))))
    p = nets.problem("mlp", n=16)
    solved, _ = inverse(influence.gradients(p.loss)(p.params, p.queries))
    return p, inverse, solved, everything(p, solved, inverse, p.queries[1], "reverse")


def close(found, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), found, expected)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_compiled_whole_is_the_same(mode, single):
    p, inverse, solved, expected = single

    @jax.jit
    def compiled(params, train, solved, inverse, labels):
        return everything(p._replace(params=params, train=train), solved, inverse, labels, mode)

    close(compiled(p.params, p.train, solved, inverse, p.queries[1]), expected)


def spread(train, axis_type):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    return mesh, jax.device_put(jax.tree.map(np.asarray, train), jax.NamedSharding(mesh, jax.P("data")))


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("compiled", [False, True])
def test_eight_devices_agree_with_one(axis_type, compiled, single, tmp_path):
    p, inverse, solved, expected = single
    mesh, train = spread(p.train, axis_type)
    host = jax.tree.map(np.asarray, (p.params, solved, inverse, p.queries[1]))
    with jax.set_mesh(mesh):
        params, solved, inverse, labels = jax.tree.map(jnp.asarray, host)

        def run(params, train, solved, inverse, labels):
            return everything(p._replace(params=params, train=train), solved, inverse, labels, "reverse")

        found = (jax.jit(run) if compiled else run)(params, train, solved, inverse, labels)
        assert len(found["matrix"].sharding.device_set) == 8
        found = jax.tree.map(np.asarray, found)
        rows = influence.pairwise(p.loss, mode="reverse", batch_size=6)(params, train, solved)
        written = None if compiled else influence.to_npy(tmp_path / "found.npy")(rows)
    close(found, jax.tree.map(np.asarray, expected))
    if not compiled:
        close(written, np.asarray(expected["matrix"]))


def test_a_solver_over_examples_on_eight_devices(single):
    p, inverse, *_ = single
    expected = influence.self_influence(p.loss, batch_size=8)(p.params, p.train, inverse)[0]
    mesh, train = spread(p.train, AxisType.Explicit)
    with jax.enable_x64(True):
        damping = nets.dense(nets.problem("mlp", n=16)).damping
    with jax.set_mesh(mesh):
        params = jax.tree.map(lambda a: jnp.asarray(np.asarray(a)), p.params)
        solve = curvature.cg(damping=damping)
        scores = influence.self_influence(p.loss, batch_size=8)

        def run(train):
            return scores(params, train, functools.partial(solve, curvature.hessian(p.loss)(params, train)))

        exact = jax.tree.map(lambda a: jnp.asarray(np.asarray(a)), inverse)
        as_it_is = scores(params, train, lambda block: exact(block))
        for found, info in (run(train), jax.jit(run)(train), as_it_is):
            assert info.converged.all()
            close(jax.tree.map(np.asarray, found), jax.tree.map(np.asarray, expected))


def test_the_second_call_does_not_compile_again(single):
    p, inverse, solved, _ = single
    others = jax.tree.map(lambda a: 1.5 * a, solved)
    moved = p._replace(params=jax.tree.map(lambda a: a + 0.1, p.params))
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: compiled.append(name))
    try:
        everything(moved, others, inverse, p.queries[1], "reverse")
    finally:
        jax.monitoring.clear_event_listeners()
    assert not [name for name in compiled if "backend_compile" in name]
