"""A linear head in closed form gives what the general way gives for the same head."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxnoisy import curvature, influence
from jaxnoisy.curvature import last_layer
from jaxnoisy.influence import head

N, K, D, C, DAMPING = 21, 3, 4, 3, 0.05
EXACT = {"rtol": 1e-8, "atol": 1e-10}


def made_up(dtype=np.float64, n=N, seed=0):
    """Features, logits and labels of n + k examples, and the head that gives the logits."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n + K, D)).astype(dtype)
    kernel = rng.normal(size=(D + 1, C)).astype(dtype)
    labels = rng.integers(0, C, n + K).astype(np.int32)
    data = features, features @ kernel[:-1] + kernel[-1], labels
    return tuple(a[:n] for a in data), tuple(a[n:] for a in data), kernel


def loss(params, example):
    """The general way: the same head, as any other loss."""
    x, y = example
    z = x @ params[:-1] + params[-1]
    return jax.nn.logsumexp(z) - z[y]


def exact(train, queries, **size):
    factor = last_layer.factorise(*train[:2], damping=DAMPING, **size)
    solved, info = last_layer.solve(factor, head.gradients(*queries))
    return head.self_influence(factor, *train, **size), head.pairwise(solved, *train, **size), info


@pytest.fixture(scope="module")
def general():
    """Influences by the general way, as one program."""

    @jax.jit
    def run(params, train, queries):
        inverse = curvature.factorised(curvature.hessian(loss)(params, train), params, damping=DAMPING)
        solved, _ = inverse(influence.gradients(loss)(params, queries))
        rows = influence.pairwise(loss)(params, train, solved)
        return influence.matrix(rows), influence.self_influence(loss)(params, train, inverse)[0]

    with jax.enable_x64(True):
        (x, _, y), (qx, _, qy), kernel = made_up()
        return run(kernel, (x, y), (qx, qy))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("place", [np.asarray, jnp.asarray])
def test_the_general_way_agrees(place, general):
    train, queries, _ = made_up()
    scores, rows, info = exact(tuple(map(place, train)), queries, block_size=8)
    assert info.converged.all()
    found = influence.matrix(rows)
    np.testing.assert_allclose(found, general[0], **EXACT)
    for a, b in zip(scores, general[1]):
        np.testing.assert_allclose(a, b, **EXACT)
    kind = type(place(train[0]))
    assert isinstance(scores.values, kind)
    assert isinstance(found, kind)


@pytest.mark.usefixtures("float64")
def test_without_a_bias_and_with_weights():
    train, queries, _ = made_up()
    weights = np.random.default_rng(1).uniform(size=N)
    factor = last_layer.factorise(*train[:2], damping=DAMPING, weights=weights, bias=False)
    found = head.self_influence(factor, *train)
    g = np.asarray(head.gradients(*train, bias=False)).reshape(N, -1)
    x, z, _ = train
    p = np.asarray(jax.nn.softmax(z, axis=1))
    bend = p[:, :, None] * np.eye(C) - p[:, :, None] * p[:, None, :]
    matrix = np.einsum("n,nab,ni,nj->iajb", weights / weights.sum(), bend, x, x).reshape(D * C, D * C)
    solved = np.linalg.solve(matrix + DAMPING * np.eye(D * C), g.T).T
    np.testing.assert_allclose(found.values, (g * solved).sum(axis=1), **EXACT)
    np.testing.assert_allclose(found.norms, np.linalg.norm(solved, axis=1), **EXACT)
    queries = np.asarray(head.gradients(*queries, bias=False)).reshape(K, -1)
    vectors = solved[:2].reshape(2, D, C)
    np.testing.assert_allclose(influence.matrix(head.pairwise(vectors, *train)), -g @ solved[:2].T, **EXACT)


def test_features_on_disk_and_every_reduction(tmp_path):
    train, queries, _ = made_up(np.float32)
    for name, a in zip("xzy", train):
        np.save(tmp_path / f"{name}.npy", a)
    mapped = tuple(np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xzy")
    scores, rows, _ = exact(mapped, queries, block_size=8)
    whole = influence.matrix(rows)
    expected, again, _ = exact(train, queries, block_size=8)
    np.testing.assert_allclose(whole, influence.matrix(again), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(scores.norms, expected.norms, rtol=1e-4)
    np.testing.assert_array_equal(influence.to_npy(tmp_path / "found.npy")(rows), whole)
    found = influence.top(count=4)(rows)
    np.testing.assert_array_equal(found.largest, -np.sort(-whole.T)[:, :4])
    np.testing.assert_array_equal(np.take_along_axis(whole.T, found.smallest_at, axis=1), np.sort(whole.T)[:, :4])
    spread = influence.per_class(num_classes=2)(rows, np.array([1, 0, 1]))
    np.testing.assert_allclose(spread.deviation[:, 1], whole[:, [0, 2]].std(axis=1), rtol=1e-4, atol=1e-6)
    relative = influence.matrix(influence.relative(rows, scores.norms))
    np.testing.assert_allclose(relative, whole / scores.norms[:, None], rtol=1e-6)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_eight_devices_agree_with_one_and_jit_with_eager(axis_type):
    train, queries, _ = made_up(np.float32, n=24)
    factor = last_layer.factorise(*train[:2], damping=DAMPING, block_size=8)
    solved, _ = last_layer.solve(factor, head.gradients(*queries))
    scores, rows = head.self_influence(factor, *train, block_size=8), head.pairwise(solved, *train, block_size=8)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    given = jax.tree.map(np.asarray, (factor, solved))
    with jax.set_mesh(mesh):
        split = jax.device_put(train, jax.NamedSharding(mesh, jax.P("data")))
        factor, solved = jax.tree.map(jnp.asarray, given)

        def run(train):
            rows = head.pairwise(solved, *train, block_size=16)
            return head.self_influence(factor, *train, block_size=16), influence.top(count=2)(rows)

        got, extremes = jax.tree.map(np.asarray, (jax.jit(run) if axis_type == AxisType.Explicit else run)(split))
    np.testing.assert_allclose(got.values, scores.values, rtol=1e-3)
    np.testing.assert_allclose(got.norms, scores.norms, rtol=1e-3)
    expected = influence.top(count=2)(rows)
    np.testing.assert_array_equal(extremes.largest_at, expected.largest_at)
    np.testing.assert_allclose(extremes.smallest, expected.smallest, rtol=1e-3)


def refused():
    (x, z, y), _, _ = made_up(np.float32)
    factor = last_layer.factorise(x, z, damping=DAMPING)
    vectors = jnp.ones((2, D + 1, C))
    bad = x.copy()
    bad[13, 1] = np.nan
    rows = functools.partial(head.pairwise, vectors)
    scores = functools.partial(head.self_influence, factor)
    return {
        "labels": (lambda: rows(x, z, y + C), ValueError, "3 classes"),
        "fewer labels": (lambda: scores(x, z, y[1:]), ValueError, "20 entries for 21"),
        "real labels": (lambda: scores(x, z, y.astype(float)), TypeError, "integers"),
        "labels elsewhere": (lambda: rows(x, z, jnp.asarray(y)), ValueError, "both"),
        "another head": (lambda: rows(x[:, :2], z, y), ValueError, "do not belong"),
        "other classes": (lambda: scores(x, np.ones((N, 5), np.float32), y), ValueError, "do not belong"),
        "no queries": (lambda: head.pairwise(vectors[:0], x, z, y), ValueError, "k >= 1"),
        "flat vectors": (lambda: head.pairwise(vectors[0], x, z, y), ValueError, r"\(k, D, c\)"),
        "block size": (lambda: rows(x, z, y, block_size=0), ValueError, "block_size"),
        "NaN": (lambda: scores(bad, z, y, block_size=8), ValueError, "from row 8 on.*5, 1"),
        "NaN while reducing": (lambda: influence.matrix(rows(bad, z, y)), ValueError, "13, 1"),
        "NaN among queries": (lambda: head.gradients(bad, z, y), ValueError, "features.*13, 1"),
        "integer features": (lambda: head.gradients(x.astype(int), z, y), TypeError, "floating"),
    }


@pytest.mark.parametrize("case", refused())
def test_bad_input_is_refused(case):
    call, error, message = refused()[case]
    with pytest.raises(error, match=message):
        call()
