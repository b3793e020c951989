"""What cannot be differentiated, does not fit together or is not there is refused, with what to do about it."""

import influence_nets as nets
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoisy import curvature, influence
from jaxnoisy.curvature import Status, Stream


def identity(block):
    k = len(jax.tree.leaves(block)[0])
    return block, curvature.SolveInfo(jnp.int32(0), jnp.zeros(k), jnp.zeros(k, jnp.int32))


P = nets.problem("mlp")
VECTORS = jax.tree.map(lambda a: jnp.ones((2, *a.shape)), P.params)


def spoiled(place):
    x, y = (np.array(a) for a in P.train)
    x[9, 2] = np.nan
    return tuple(map(place, (x, y)))


FORMS = {
    "pairwise": lambda loss, params, train: influence.matrix(
        influence.pairwise(loss, mode="reverse", batch_size=4)(params, train, VECTORS)
    ),
    "self-influence": lambda loss, params, train: influence.self_influence(loss, batch_size=4)(params, train, identity),
    "parameter influence": lambda loss, params, train: influence.parameter_influence(loss)(params, train, identity),
    "gradients": lambda loss, params, train: influence.gradients(loss)(params, train),
}

CASES = {
    "a loss per class": (lambda params, e: e[0] @ params["in"]["w"], P.params, P.train, TypeError, "real scalar"),
    "an auxiliary result": (lambda params, e: (P.loss(params, e), 1.0), P.params, P.train, TypeError, "auxiliary"),
    "an integer loss": (lambda params, e: e[1], P.params, P.train, TypeError, "real scalar"),
    "integer parameters": (P.loss, jax.tree.map(lambda a: a.astype(int), P.params), P.train, TypeError, "frozen"),
    "no parameters": (P.loss, {}, P.train, ValueError, "holds no arrays"),
    "no examples": (P.loss, P.params, jax.tree.map(lambda a: a[:0], P.train), ValueError, "n >= 1"),
    "lengths": (P.loss, P.params, (P.train[0], P.train[1][:-1]), ValueError, "in common"),
    "NaN on devices": (P.loss, P.params, spoiled(jnp.asarray), ValueError, r"not finite.*\(9, 2\)"),
    "NaN on the host": (P.loss, P.params, spoiled(np.asarray), ValueError, "not finite"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES)
def test_every_form_refuses(form, case):
    loss, params, train, error, message = CASES[case]
    with pytest.raises(error, match=message):
        FORMS[form](loss, params, train)


@pytest.mark.parametrize("form", ["pairwise", "self-influence"])
def test_streams_that_cannot_be_read(form):
    with pytest.raises(ValueError, match="no batches"):
        FORMS[form](P.loss, P.params, Stream([]))
    with pytest.raises(ValueError, match="batch 0 of the stream"):
        FORMS[form](P.loss, P.params, Stream([spoiled(np.asarray)]))
    passes = iter(range(100))

    def augmented():
        shift = np.float32(next(passes) // 2)  # shapes are taken from the first batch alone, before the pass
        yield np.asarray(P.train[0]) + shift, np.asarray(P.train[1])

    stream = Stream(augmented)
    FORMS[form](P.loss, P.params, stream)
    with pytest.raises(ValueError, match="other data on a later pass"):
        FORMS[form](P.loss, P.params, stream)


def others():
    rows = influence.pairwise(P.loss)
    lacking = {"in": VECTORS["in"]}
    turned = VECTORS | {"out": VECTORS["out"][:, :, :2]}
    return {
        "mode": (lambda: influence.pairwise(P.loss, mode="backward"), ValueError, "auto, forward, reverse"),
        "batch size": (lambda: influence.pairwise(P.loss, batch_size=0), ValueError, "batch_size"),
        "memory": (lambda: influence.self_influence(P.loss, memory=-1), ValueError, "memory"),
        "a single vector": (lambda: rows(P.params, P.train, P.params), ValueError, r"x\[None\]"),
        "no queries": (
            lambda: rows(P.params, P.train, jax.tree.map(lambda a: a[:0], VECTORS)),
            ValueError,
            "k >= 1 vectors",
        ),
        "a vector that lacks a part": (lambda: rows(P.params, P.train, lacking), ValueError, r"lacks \['out'\]"),
        "a vector of another shape": (lambda: rows(P.params, P.train, turned), ValueError, r"vectors\['out'\]"),
        "integer vectors": (
            lambda: rows(P.params, P.train, jax.tree.map(lambda a: a.astype(int), VECTORS)),
            TypeError,
            "vectors",
        ),
        "a solution for an inverse": (
            lambda: influence.self_influence(P.loss)(P.params, P.train, VECTORS),
            TypeError,
            "bind a solver",
        ),
        "no functions": (lambda: influence.scalar_gradients(), ValueError, "at least one"),
        "a number for a function": (lambda: influence.scalar_gradients(3.0), TypeError, "float"),
        "a function of vectors": (
            lambda: influence.scalar_gradients(lambda p: p["in"]["b"])(P.params),
            TypeError,
            "function 0 must return a real scalar",
        ),
        "a stream inside jit": (
            lambda: jax.jit(
                lambda params: influence.matrix(rows(params, Stream([tuple(map(np.asarray, P.train))]), VECTORS))
            )(P.params),
            TypeError,
            "outside",
        ),
    }


@pytest.mark.parametrize("case", others())
def test_other_bad_input_is_refused(case):
    call, error, message = others()[case]
    with pytest.raises(error, match=message):
        call()


def test_more_queries_than_examples_and_parameters_are_fine():
    vectors = jax.tree.map(lambda a: jnp.ones((40, *a.shape)), P.params)
    train = jax.tree.map(lambda a: a[:2], P.train)
    found = influence.matrix(influence.pairwise(P.loss)(P.params, train, vectors))
    gradients = nets.as_matrix(influence.gradients(P.loss)(P.params, train))
    np.testing.assert_allclose(found, -gradients.sum(axis=1, keepdims=True).repeat(40, axis=1), rtol=1e-4)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize(
    ("of_params", "of_vectors"), [("float32", "float64"), ("float64", "float32"), ("bfloat16",) * 2]
)
def test_precisions_may_differ(mode, of_params, of_vectors):
    with jax.enable_x64(True):
        w, v = jnp.array([1.0, 2.0], of_params), jnp.array([[1.0, 0.5]], of_vectors)
        x = np.array([[1.0, 0.0], [2.0, 4.0]], of_params if of_params != "bfloat16" else np.float32)
        rows = influence.pairwise(lambda w, x: 0.5 * (x @ w) ** 2, mode=mode)(w, x, v)
        assert influence.matrix(rows).dtype == rows.dtype
        np.testing.assert_array_equal(influence.top(count=2)(rows).smallest, [[-40.0, -1.0]])


def test_a_gradient_that_overflows_has_a_status_and_is_left_out():
    """The data are finite, the gradient of one example is not."""

    def loss(w, x):
        return jnp.exp(x @ w)

    w, x = jnp.ones(2), jnp.array([[1.0, 0.0], [200.0, 0.0], [0.0, 1.0]])
    inverse = jax.tree_util.Partial(curvature.cg(damping=1.0), curvature.from_function(jnp.zeros_like))
    _, info = influence.self_influence(loss, batch_size=2)(w, x, inverse)
    assert info.status.tolist() == [Status.CONVERGED, Status.NOT_FINITE, Status.CONVERGED]
    rows = influence.pairwise(loss, mode="reverse")(w, x, jnp.ones((1, 2)))
    found = influence.top(count=3)(rows)
    assert found.undefined.tolist() == [1] or np.isinf(found.smallest[0, 0])
    assert found.largest_at[0, 0] in (0, 2)


@pytest.mark.parametrize("solver", [curvature.cg, curvature.block_cg, curvature.cholesky])
def test_a_singular_system_without_damping_has_a_status_for_every_example(solver):
    """The loss is flat to second order along a parameter that the gradients do have a part of."""

    def loss(w, x):
        return 0.5 * (w[0] * x) ** 2 + w[1] * x

    w, x = jnp.array([1.0, 0.0]), jnp.array([1.0, 2.0, 3.0])
    matrix, scores = curvature.hessian(loss)(w, x), influence.self_influence(loss, batch_size=3)
    _, info = scores(w, x, jax.tree_util.Partial(solver(), matrix))
    assert info.status.tolist() == [Status.NEGATIVE_CURVATURE] * 3
    assert "damping" in curvature.describe(info)
    found, info = scores(w, x, jax.tree_util.Partial(solver(damping=0.5), matrix))
    assert info.converged.all()
    a = np.asarray(x)
    np.testing.assert_allclose(found.values, a**4 / (np.mean(a**2) + 0.5) + a**2 / 0.5, rtol=1e-4)
    with pytest.raises(ValueError, match="damping"):
        solver(damping=-0.5)
