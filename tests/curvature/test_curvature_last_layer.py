import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxnoisy import curvature
from jaxnoisy.curvature import Status, last_layer

N, D, C, DAMPING = 37, 6, 4, 0.01


def made_up(n=N, d=D, c=C, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, d)) + 0.5
    return features.astype(dtype), (features @ rng.normal(size=(d, c))).astype(dtype), rng.integers(0, c, n)


def reference(features, logits, labels, *, weights=None, bias=True, damping=DAMPING):
    """Gradients (n, p) and the damped Hessian (p, p) of a head of (D, c) in row-major order, by their definitions."""
    features, logits = features.astype(np.float64), logits.astype(np.float64)
    h = np.concatenate([features, np.ones((len(features), 1))], axis=1) if bias else features
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    c = p.shape[1]
    r = p - np.eye(c)[labels]
    gradients = np.einsum("nj,na->nja", h, r).reshape(len(h), -1)
    bend = p[:, :, None] * np.eye(c) - p[:, :, None] * p[:, None, :]
    w = np.full(len(h), 1 / len(h)) if weights is None else weights / weights.sum()
    hessian = np.einsum("n,nab,ni,nj->iajb", w, bend, h, h).reshape(gradients.shape[1], -1)
    return gradients, hessian + damping * np.eye(len(hessian))


def scores(features, logits, labels, *, weights=None, bias=True, damping=DAMPING, block_size=8):
    """Norms, forms and products with the first three examples as queries."""
    r = last_layer.residuals(jnp.asarray(logits), labels)
    r = np.asarray(r) if isinstance(features, np.ndarray) else r
    size = {"block_size": block_size}
    factor = last_layer.factorise(features, logits, damping=damping, weights=weights, bias=bias, **size)
    inverse = last_layer.invert(factor)
    queries, info = last_layer.solve(factor, last_layer.gradients(features[:3], r[:3], bias=bias))
    return (
        last_layer.inverse_norms(inverse, features, r, **size),
        last_layer.quadratic_forms(inverse, features, r, **size),
        last_layer.inner_products(queries, features, r, **size),
        info,
    )


def expected_scores(*data, **options):
    g, hessian = reference(*data, **options)
    x = np.linalg.solve(hessian, g.T).T
    return np.linalg.norm(x, axis=1), (g * x).sum(axis=1), g @ x[:3].T


def assert_scores(found, expected, *, rtol):
    for a, b, name in zip(found, expected, ("norms", "forms", "products")):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max() * 1e-2, err_msg=name)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_everything_is_that_of_the_dense_hessian(bias, weighted):
    data = made_up()
    weights = np.random.default_rng(1).uniform(size=N) if weighted else None
    found = scores(*data, weights=weights, bias=bias)
    assert_scores(found, expected_scores(*data, weights=weights, bias=bias), rtol=1e-9)
    assert found[3].converged.all()
    on_device = scores(*map(jnp.asarray, data), weights=weights, bias=bias)
    assert_scores(on_device, found, rtol=1e-10)
    assert isinstance(found[0], np.ndarray)
    assert isinstance(on_device[0], jax.Array)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("d", "c"), [(1, 2), (3, 2), (300, 3), (2, 9)])
def test_other_shapes(d, c):
    """Of these, 300 features span several panels."""
    data = made_up(n=25, d=d, c=c)
    assert_scores(scores(*data, block_size=400), expected_scores(*data), rtol=1e-8)


@pytest.mark.usefixtures("float64")
def test_the_hessian_is_what_differentiating_the_loss_gives():
    features, logits, labels = made_up(n=9, d=3, c=3)
    kernel = np.linalg.lstsq(features, logits, rcond=None)[0]

    def loss(head, example):
        x, y = example
        z = x @ head["kernel"] + head["bias"]
        return jax.nn.logsumexp(z) - z[y]

    head = {"kernel": jnp.asarray(kernel), "bias": jnp.zeros(3)}
    matrix = curvature.dense(curvature.hessian(loss)(head, (features, labels)), head)
    order = np.concatenate([3 + np.arange(9), np.arange(3)])  # bias sorts first among the leaves
    _, hessian = reference(features, logits, labels, damping=0.0)
    np.testing.assert_allclose(np.asarray(matrix)[np.ix_(order, order)], hessian, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_solving_for_any_vector_also_where_classes_move_together():
    data = made_up()
    _, hessian = reference(*data)
    rhs = np.random.default_rng(2).normal(size=(5, D + 1, C))
    rhs[1] = 1.0  # moves all classes together, where only the damping acts
    rhs[2] = 0
    factor = last_layer.factorise(data[0], data[1], damping=DAMPING)
    x, info = last_layer.solve(factor, rhs)
    np.testing.assert_allclose(
        np.reshape(x, (5, -1)), np.linalg.solve(hessian, rhs.reshape(5, -1).T).T, rtol=1e-9, atol=1e-10
    )
    np.testing.assert_allclose(x[1], rhs[1] / DAMPING, rtol=1e-9)
    assert info.converged.all()
    assert float(info.residual[2]) == 0
    rhs[3, 0, 0] = np.nan
    assert last_layer.solve(factor, rhs)[1].status.tolist() == [0, 0, 0, Status.NOT_FINITE, 0]


@pytest.mark.usefixtures("float64")
def test_residuals_that_do_not_sum_to_zero_count_too():
    features, logits, _ = made_up()
    r = np.random.default_rng(3).normal(size=(N, C))
    _, hessian = reference(*made_up())
    h = np.concatenate([features, np.ones((N, 1))], axis=1)
    g = np.einsum("nj,na->nja", h, r).reshape(N, -1)
    x = np.linalg.solve(hessian, g.T).T
    inverse = last_layer.invert(last_layer.factorise(features, logits, damping=DAMPING))
    np.testing.assert_allclose(last_layer.quadratic_forms(inverse, features, r), (g * x).sum(1), rtol=1e-9)
    np.testing.assert_allclose(last_layer.inverse_norms(inverse, features, r), np.linalg.norm(x, axis=1), rtol=1e-9)


@pytest.mark.parametrize("place", [np.asarray, jnp.asarray])
@pytest.mark.parametrize("sharpness", [1.0, 8.0])
def test_single_precision_is_within_a_ten_thousandth(place, sharpness):
    """Also where the model is sure: residuals down to 1e-8 keep their digits."""
    features, logits, labels = made_up(n=300, d=24, c=5, dtype=np.float32)
    logits = np.float32(sharpness / 4) * logits
    labels = logits.argmax(axis=1)
    labels[::7] = (labels[::7] + 1) % 5
    found = scores(place(features), place(logits), labels, block_size=128)
    assert found[0].dtype == found[1].dtype == np.float32
    expected = precise = expected_scores(features, logits, labels)
    if sharpness > 1:
        with jax.enable_x64(True):
            precise = scores(*(a.astype(np.float64) for a in (features, logits)), labels)
    for a, b in zip(found[:2], precise[:2]):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    np.testing.assert_allclose(found[2], expected[2], atol=1e-4 * np.abs(expected[2]).max())


def test_sure_residuals_keep_their_digits():
    z = jnp.array([[20.0, 0.0, -3.0]])
    r = np.asarray(last_layer.residuals(z, jnp.array([0])), np.float64)[0]
    small = np.exp([-20.0, -23.0])
    np.testing.assert_allclose(r[1:], small, rtol=1e-5)
    np.testing.assert_allclose(r[0], -small.sum(), rtol=1e-5)


@pytest.mark.usefixtures("float64")
def test_blocks_weights_duplicates_and_order():
    features, logits, labels = made_up()
    base = scores(features, logits, labels, block_size=N)
    for size in (1, 5, 36, 1000):
        assert_scores(scores(features, logits, labels, block_size=size), base, rtol=1e-9)
    twice = np.concatenate([np.arange(N), [5]])
    weights = np.ones(N)
    weights[5] = 2
    again = scores(features[twice], logits[twice], labels[twice])
    weighted = scores(features, logits, labels, weights=weights)
    assert_scores([a[:N] for a in again[:3]], weighted, rtol=1e-9)
    order = np.concatenate([np.arange(3), 3 + np.random.default_rng(0).permutation(N - 3)])
    moved = scores(features[order], logits[order], labels[order])
    assert_scores(moved, [a[order] for a in base[:3]], rtol=1e-9)


def test_features_on_disk_are_read_by_blocks(tmp_path):
    features, logits, labels = made_up(dtype=np.float32)
    np.save(tmp_path / "features.npy", features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    assert_scores(scores(mapped, logits, labels), scores(features, logits, labels), rtol=1e-7)


def test_everything_can_be_jitted_and_a_failed_factor_has_a_status():
    features, logits, labels = made_up(dtype=np.float32)
    arrays = [jnp.asarray(features), jnp.asarray(logits)]
    found = jax.jit(lambda h, z: scores(h, z, labels))(*arrays)
    assert_scores(found, scores(features, logits, labels), rtol=1e-4)
    # Three examples leave most of the Hessian to the damping, which rounding of the rest swamps.
    factor = jax.jit(functools.partial(last_layer.factorise, damping=1e-9))(1e4 * arrays[0][:3], arrays[1][:3])
    _, info = last_layer.solve(factor, jnp.ones((2, D + 1, C)))
    assert (np.asarray(info.status) == Status.NEGATIVE_CURVATURE).all()


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("n", [40, 48])
def test_eight_devices_agree_with_one(axis_type, n):
    features, logits, labels = made_up(n=n, dtype=np.float32)
    expected = scores(jnp.asarray(features), jnp.asarray(logits), labels, block_size=16)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        split = jax.NamedSharding(mesh, jax.P("data"))
        h, z, r = jax.device_put((features, logits, np.asarray(last_layer.residuals(logits, labels))), split)
        factor = last_layer.factorise(h, z, damping=DAMPING, block_size=16)
        inverse = last_layer.invert(factor)
        queries, _ = last_layer.solve(factor, last_layer.gradients(features[:3], np.asarray(r)[:3]))
        found = (
            last_layer.inverse_norms(inverse, h, r, block_size=16),
            last_layer.quadratic_forms(inverse, h, r, block_size=16),
            last_layer.inner_products(queries, h, r, block_size=16),
        )
    assert_scores([np.asarray(a) for a in found], expected, rtol=1e-4)


def test_the_second_call_does_not_compile_again():
    features, logits, labels = map(jnp.asarray, made_up(dtype=np.float32))
    scores(features, logits, labels)
    others = features + 1
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: compiled.append(name))
    try:
        scores(others, logits, labels)
    finally:
        jax.monitoring.clear_event_listeners()
    assert not [name for name in compiled if "compile" in name]


def refused():
    h, z, y = made_up(dtype=np.float32)
    bad = h.copy()
    bad[30, 2] = np.nan
    return {
        "no damping": (lambda: last_layer.factorise(h, z, damping=0.0), ValueError, "singular"),
        "negative damping": (lambda: last_layer.factorise(h, z, damping=-1.0), ValueError, "above 0"),
        "nan": (lambda: last_layer.factorise(bad, z, damping=1.0, block_size=8), ValueError, "from row 24 on.*6, 2"),
        "nan on a device": (
            lambda: last_layer.factorise(jnp.asarray(bad), jnp.asarray(z), damping=1.0),
            ValueError,
            "not finite",
        ),
        "lengths": (lambda: last_layer.factorise(h, z[:5], damping=1.0), ValueError, r"\(37, 6\) and \(5, 4\)"),
        "axes": (lambda: last_layer.factorise(h[0], z, damping=1.0), ValueError, "two axes"),
        "one class": (lambda: last_layer.factorise(h, z[:, :1], damping=1.0), ValueError, "c >= 2"),
        "integers": (lambda: last_layer.factorise(h.astype(int), z, damping=1.0), TypeError, "int64"),
        "mixed": (lambda: last_layer.factorise(h, jnp.asarray(z), damping=1.0), ValueError, "both"),
        "weights": (lambda: last_layer.factorise(h, z, damping=1.0, weights=-np.ones(N)), ValueError, "negative"),
        "too little damping": (lambda: last_layer.factorise(1e4 * h[:3], z[:3], damping=1e-9), ValueError, "float64"),
        "labels": (lambda: last_layer.residuals(z, y + 4), ValueError, "4 classes"),
        "block size": (lambda: last_layer.factorise(h, z, damping=1.0, block_size=0), ValueError, "block_size"),
    }


@pytest.mark.parametrize("case", refused())
def test_bad_input_is_refused(case):
    call, error, message = refused()[case]
    with pytest.raises(error, match=message):
        call()


def test_rows_of_another_head_are_refused():
    h, z, y = made_up(dtype=np.float32)
    factor = last_layer.factorise(h, z, damping=1.0)
    r = np.asarray(last_layer.residuals(z, y))
    with pytest.raises(ValueError, match="do not belong"):
        last_layer.quadratic_forms(last_layer.invert(factor), h[:, :3], r)
    with pytest.raises(ValueError, match="do not belong"):
        last_layer.inverse_norms(last_layer.invert(factor), h, r[:, :3])
    with pytest.raises(ValueError, match=r"\(k, 7, 4\)"):
        last_layer.solve(factor, jnp.zeros((1, 6, 4)))
    with pytest.raises(ValueError, match=r"\(k, D, c\)"):
        last_layer.inner_products(jnp.zeros((7, 4)), h, r)
