"""Overfitting scores are those of dense algebra, and finite where there is little or nothing to compare."""

import functools

import influence_nets as nets
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxnoisy import curvature, influence
from jaxnoisy.curvature import Stream, last_layer
from jaxnoisy.influence import PerClass, from_matrix, head_overfitting, overfitting, overfitting_scores, per_class

N, D, C, DAMPING, BLOCK = 24, 4, 4, 0.05, 12  # as many blocks as fit, so that all share one program
CLEAN = np.array([0, 1, 0, 2, 1, 0])  # three of class 0, two of 1, one of 2, none of 3
EXACT = {"rtol": 1e-8, "atol": 1e-9}
WAYS = ("examples", "classes", "none")


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def at_a_head(*, sure=1.0):
    """Features, logits and labels of training and of validation examples."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(N + len(CLEAN), D))
    kernel = sure * rng.normal(size=(D + 1, C))
    labels = np.concatenate([rng.integers(0, C, N), CLEAN]).astype(np.int32)
    data = features, features @ kernel[:-1] + kernel[-1], labels
    return tuple(a[:N] for a in data), tuple(a[N:] for a in data), kernel


def dense(train, validation):
    """Norms of I_M and the matrix I_D from the whole Hessian (the paper's equations 1 and 2)."""
    x, z, y = (np.concatenate(a) for a in zip(train, validation))
    h = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    g = np.einsum("nj,nc->njc", h, p - np.eye(C)[y]).reshape(len(h), -1)
    bend = p[:N, :, None] * np.eye(C) - p[:N, :, None] * p[:N, None, :]
    hessian = np.einsum("ni,nj,nab->iajb", h[:N], h[:N], bend).reshape(g.shape[1], -1) / N
    moved = -np.linalg.solve(hessian + DAMPING * np.eye(len(hessian)), g[:N].T).T
    return np.linalg.norm(moved, axis=1), moved @ g[N:].T


def by_definition(norms, influences, labels, classes, normalise):
    """Equations 3 and 4, class by class."""
    voting = [k for k in range(classes) if (labels == k).sum() > 1]
    osd = np.zeros((len(norms), classes))
    for k in voting:
        osd[:, k] = influences[:, labels == k].std(axis=1)
    if normalise != "none":
        axis = {"examples": 0, "classes": 1}[normalise]
        part = osd[:, voting]
        osd[:, voting] = (part - part.mean(axis, keepdims=True)) / part.std(axis, keepdims=True)
    return (norms - norms.mean()) / norms.std(), osd


def of_head(train, validation, **options):
    factor = last_layer.factorise(*train[:2], damping=DAMPING)
    return head_overfitting(block_size=BLOCK, **options)(factor, train, validation)


@pytest.mark.parametrize("place", [np.asarray, jnp.asarray])
@pytest.mark.parametrize("normalise", WAYS)
def test_a_head_against_dense_algebra(place, normalise):
    train, validation, _ = at_a_head()
    found, info = of_head(tuple(map(place, train)), validation, normalise=normalise)
    osm, osd = by_definition(*dense(train, validation), CLEAN, C, normalise)
    np.testing.assert_allclose(found.osm, osm, **EXACT)
    np.testing.assert_allclose(found.osd, osd, **EXACT)
    assert found.queries.tolist() == [3, 2, 1, 0]
    assert info.train is None
    assert info.validation.converged.all()
    assert isinstance(found.osd, type(place(osd)))


def test_any_loss_and_part_of_the_parameters_against_dense_algebra():
    p = nets.problem("batch norm", k=len(CLEAN))
    expected = nets.dense(p)
    labels = CLEAN % nets.C
    scores = overfitting(p.loss, num_classes=nets.C, batch_size=4)
    found, info = scores(p.params, p.train, p.queries, labels, nets.bound(expected), frozen=p.frozen)
    osm, osd = by_definition(expected.norms, expected.pairwise, labels, nets.C, "examples")
    np.testing.assert_allclose(found.osm, osm, **EXACT)
    np.testing.assert_allclose(found.osd, osd, **EXACT)
    assert info.train.converged.shape == (len(osm),)
    assert info.validation.converged.shape == (len(CLEAN),)


def model(params, x):
    return x @ params[:-1] + params[-1]


def loss(params, example):
    return nets.cross_entropy(model(params, example[0]), example[1])


general = overfitting(loss, num_classes=C, batch_size=BLOCK)


def in_pairs():
    """The same head for the general way: parameters, training and validation examples."""
    (x, _, y), (vx, _, vy), kernel = at_a_head()
    return kernel, (x, y), (vx, vy)


def factorised(kernel, train):
    return curvature.factorised(curvature.hessian(loss)(kernel, train), kernel, damping=DAMPING)


def by_conjugate_gradient(kernel, train):
    return functools.partial(
        curvature.block_cg(damping=DAMPING, tolerance=1e-12), curvature.hessian(loss)(kernel, train)
    )


@pytest.mark.parametrize("solver", [factorised, by_conjugate_gradient])
def test_a_head_by_any_solver_is_that_in_closed_form(solver):
    expected, _ = of_head(*at_a_head()[:2])
    kernel, train, validation = in_pairs()
    found, info = general(kernel, train, validation, CLEAN, solver(kernel, train))
    assert info.train.converged.all()
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_ekfac_by_solutions_and_by_its_own_norms():
    kernel, train, validation = in_pairs()
    matrix = curvature.ekfac(model, nets.cross_entropy)(kernel, train)
    inverse = matrix.inverse(DAMPING)
    found, _ = general(kernel, train, validation, CLEAN, inverse)
    norms = curvature.ekfac_inverse_norms(model, nets.cross_entropy, damping=DAMPING)(matrix, kernel, train)
    solved, _ = inverse(influence.gradients(loss)(kernel, validation))
    spread = per_class(num_classes=C)(influence.pairwise(loss, batch_size=BLOCK)(kernel, train, solved), CLEAN)
    for a, b in zip(found, overfitting_scores()(norms, spread)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_stream_scores_as_arrays_do():
    kernel, train, validation = in_pairs()
    inverse = factorised(kernel, train)
    stream = Stream([tuple(a[:12] for a in train), tuple(a[12:] for a in train)])
    found, _ = general(kernel, stream, validation, CLEAN, inverse)
    for a, b in zip(found, general(kernel, train, validation, CLEAN, inverse)[0]):
        assert isinstance(a, np.ndarray)
        np.testing.assert_allclose(a, b, **EXACT)


@pytest.fixture(scope="module")
def on_one_device():
    with jax.enable_x64(True):
        train, validation, _ = at_a_head()
        factor = last_layer.factorise(*train[:2], damping=DAMPING)
        return train, validation, factor, of_head(train, validation)[0]


def test_eight_devices_agree_with_one_and_need_no_other_program_for_other_values(on_one_device):
    train, validation, factor, expected = on_one_device
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    given = jax.tree.map(np.asarray, (factor, validation))
    traced = []
    with jax.set_mesh(mesh):
        factor, validation = jax.tree.map(jnp.asarray, given)

        @jax.jit
        def run(train):
            traced.append(1)
            return head_overfitting(block_size=16)(factor, train, validation)[0]

        for step in (1, -1):
            split = jax.device_put(tuple(a[::step] for a in train), jax.NamedSharding(mesh, jax.P("data")))
            got = run(split)
            np.testing.assert_allclose(got.osm[::step], expected.osm, **EXACT)
            np.testing.assert_allclose(got.osd[::step], expected.osd, **EXACT)
    assert len(traced) == 1


def test_examples_given_twice_score_twice(on_one_device):
    train, validation, factor, expected = on_one_device
    twice, _ = head_overfitting(block_size=BLOCK)(factor, tuple(np.repeat(a, 2, axis=0) for a in train), validation)
    np.testing.assert_allclose(twice.osm, np.repeat(expected.osm, 2), **EXACT)
    np.testing.assert_allclose(twice.osd, np.repeat(expected.osd, 2, axis=0), **EXACT)


@pytest.mark.parametrize("normalise", WAYS)
def test_validation_examples_that_are_all_the_same_say_nothing(normalise, on_one_device):
    train, validation, factor, _ = on_one_device
    ones = np.array([1, 1, 1, 1])
    same = tuple(np.concatenate([a, a[ones]]) for a in validation)
    same[0][4], same[1][4] = same[0][1], same[1][1]  # the other one of class 1 too
    found, _ = head_overfitting(normalise=normalise, block_size=BLOCK)(factor, train, same)
    assert found.queries.tolist() == [3, 6, 1, 0]
    assert not found.osd[:, 1:].any()
    assert found.osd[:, 0].any() == (normalise != "classes")  # one class alone has no deviation over classes


@pytest.mark.parametrize("normalise", WAYS)
def test_a_perfectly_fitted_model_has_finite_scores(normalise):
    for sure, flat in ((10.0, False), (1e4, True)):
        (x, z, _), validation, _ = at_a_head(sure=sure)
        found, _ = of_head((x, z, z.argmax(axis=1)), validation, normalise=normalise)
        assert np.isfinite(found.osm).all()
        assert np.isfinite(found.osd).all()
        assert (not found.osm.any()) == flat
        assert (not found.osd.any()) == flat


@pytest.mark.parametrize("scale", [1e-35, 1e-20, 1.0, 1e30])
def test_scores_do_not_depend_on_the_unit_of_influence(scale):
    rng = np.random.default_rng(0)
    norms, influences = rng.uniform(1, 2, N), rng.normal(size=(N, len(CLEAN)))
    osm, osd = by_definition(norms, influences, CLEAN, C, "examples")
    raw = by_definition(norms, influences, CLEAN, C, "none")[1]
    spread = PerClass(np.zeros((N, C), np.float32), (scale * raw).astype(np.float32), np.array([3, 2, 1, 0]))
    found = overfitting_scores()((scale * norms).astype(np.float32), spread)
    np.testing.assert_allclose(found.osm, osm, atol=1e-4)
    np.testing.assert_allclose(found.osd, osd, atol=1e-4)


def test_numbers_that_agree_to_rounding_score_nothing():
    # A mean over a million equal numbers need not be that number.
    norms = np.full(1_000_003, 0.1, np.float32)
    norms[::7] = np.nextafter(norms[0], np.float32(1))
    spread = PerClass(*(np.zeros((len(norms), 2), np.float32) for _ in range(2)), np.array([2, 2]))
    assert not overfitting_scores()(norms, spread).osm.any()


def test_undefined_influences_are_seen():
    norms, values = np.ones(3, np.float32), np.arange(12, dtype=np.float32).reshape(3, 4) ** 2
    norms[1] = values[0, 0] = np.nan
    found = overfitting_scores()(norms, per_class(num_classes=2)(from_matrix(values), np.array([0, 0, 1, 1])))
    assert np.isnan(found.osm).all()
    assert np.isnan(found.osd[:, 0]).all()


def refused():
    train, validation, kernel = at_a_head()
    factor = last_layer.factorise(*train[:2], damping=DAMPING)
    (x, z, y), (vx, vz, vy) = train, validation
    scores = functools.partial(head_overfitting(), factor)
    spoiled = vx.copy()
    spoiled[3, 1] = np.nan
    inverse = functools.partial(curvature.cg(damping=DAMPING), curvature.hessian(loss)(kernel, (x, y)))
    call = functools.partial(general, kernel, (x, y))
    spread = PerClass(*np.zeros((2, N, C), np.float32), np.zeros(C, int))
    return {
        "normalise": (lambda: head_overfitting(normalise="class"), ValueError, "examples, classes, none"),
        "one class": (lambda: overfitting(loss, num_classes=1), ValueError, ">= 2"),
        "no validation set": (lambda: scores(train, (vx[:0], vz[:0], vy[:0])), ValueError, "no validation examples"),
        "labels": (
            lambda: scores(train, (vx, vz, vy + 2)),
            ValueError,
            r"validation labels\[3\] is 4, but there are 4",
        ),
        "fewer labels": (lambda: scores(train, (vx, vz, vy[1:])), ValueError, "5 entries for 6"),
        "another head": (lambda: scores(train, (vx[:, 1:], vz, vy)), ValueError, r"\(6, 3\).* head of 5 inputs"),
        "other classes": (lambda: scores((x, z[:, 1:], y), validation), ValueError, r"\(24, 3\).* 4 classes"),
        "ones for a bias": (
            lambda: scores(train, (np.ones((6, D + 1)), vz, vy)),
            ValueError,
            "5 columns, but training features have 4",
        ),
        "NaN in validation": (lambda: scores(train, (spoiled, vz, vy)), ValueError, r"validation features.*\(3, 1\)"),
        "NaN in training": (lambda: scores((x * np.nan, z, y), validation), ValueError, "not finite"),
        "NaN in parameters": (
            lambda: general(kernel * np.nan, (x, y), (vx, vy), vy, inverse),
            ValueError,
            r"params.*not finite",
        ),
        "nothing to validate": (lambda: call((vx[:0], vy[:0]), vy[:0], inverse), ValueError, "no validation examples"),
        "labels of a loss": (lambda: call((vx, vy), vy - 1, inverse), ValueError, r"validation labels\[0\] is -1"),
        "real labels": (lambda: call((vx, vy), vy + 0.5, inverse), TypeError, "integers"),
        "labels of others": (lambda: call((vx, vy), vy[1:], inverse), ValueError, "5 entries for 6"),
        "norms of others": (lambda: overfitting_scores()(np.ones(N - 1), spread), ValueError, r"\(23,\) and \(24, 4\)"),
    }


@pytest.mark.parametrize("case", refused())
def test_bad_input_is_refused(case):
    call, error, message = refused()[case]
    with pytest.raises(error, match=message):
        call()
