import jax
import jax.numpy as jnp
import numpy as np
import pytest
from noise_rates import assert_follows, assert_share
from scipy import special, stats

from jaxnoisy.noise import flip_probabilities, flip_rates, instance

# Mean of a normal of location r and scale 0.1 truncated to [0, 1], as published for the usual rates.
TRUNCATED_MEANS = {0.1: 0.1288, 0.2: 0.2055, 0.3: 0.3004, 0.4: 0.4000}


# One program instead of one for each operation, where a shape is met once.
jitted_probabilities = jax.jit(flip_probabilities, static_argnames=("features", "batch_size"))


def truncated(rate, spread=0.1):
    return stats.truncnorm(-rate / spread, (1 - rate) / spread, loc=rate, scale=spread)


def problem(n=40, d=7, c=5, scale=1.0):
    rng = np.random.default_rng(0)
    x = (scale * rng.standard_normal((n, d))).astype(np.float32)
    labels = rng.integers(0, c, n).astype(np.int32)
    q = rng.uniform(size=n).astype(np.float32)
    w = rng.standard_normal((c, d, c)).astype(np.float32)
    return x, labels, q, w


def reference(x, labels, q, w):
    """The definition, in float64, with one projection gathered per example."""
    scores = np.einsum("nd,ndc->nc", x.astype(np.float64), w.astype(np.float64)[labels])
    rows = np.arange(len(labels))
    scores[rows, labels] = -np.inf
    p = q[:, None] * special.softmax(scores, axis=1)
    p[rows, labels] = 1 - q
    return p


@pytest.mark.parametrize("batch_size", [1, 7, 40, 256])
def test_probabilities_follow_the_definition(batch_size):
    x, labels, q, w = problem()
    p = jitted_probabilities(x, labels, q, w, batch_size=batch_size)
    np.testing.assert_allclose(p, reference(x, labels, q, w), rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("labels", "batch_size"),
    [
        ([4, 4, 4, 2, 4, 4, 2, 4, 4], 3),
        ([2, 1, 1, 2, 1, 1, 2], 4),
        ([0, 1, 2, 3, 4] * 9, 8),
    ],
    ids=["first classes absent", "last classes absent", "one more than a batch in each"],
)
def test_batches_of_unequal_classes(labels, batch_size):
    x, _, q, w = problem(n=len(labels))
    labels = np.array(labels, np.int32)
    p = jitted_probabilities(x, labels, q, w, batch_size=batch_size)
    np.testing.assert_allclose(p, reference(x, labels, q, w), rtol=2e-5, atol=1e-7)


def test_unit_norm_is_raw_on_normalised_rows():
    x, labels, q, w = problem(scale=100.0)
    x[3] = 0
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    expected = reference(x / np.where(lengths > 0, lengths, 1), labels, q, w)
    np.testing.assert_allclose(flip_probabilities(x, labels, q, w, features="unit_norm"), expected, rtol=2e-5)
    others = np.arange(5) != labels[3]
    np.testing.assert_allclose(expected[3, others], q[3] / 4, rtol=1e-6)


def test_order_of_the_examples_does_not_matter():
    x, labels, q, w = problem()
    order = np.random.default_rng(1).permutation(len(labels))
    p = jitted_probabilities(x, labels, q, w, batch_size=7)
    shuffled = jitted_probabilities(x[order], labels[order], q[order], w, batch_size=7)
    np.testing.assert_allclose(shuffled, p[order], rtol=1e-5)


def test_scores_beyond_the_range_of_exp():
    x, labels, q, w = problem(scale=1e5)
    p = np.asarray(flip_probabilities(x, labels, q, w))
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p, reference(x, labels, q, w), atol=1e-5)


def test_feature_scale_decides_how_sharp_the_targets_are():
    rng = np.random.default_rng(0)
    c = 10
    x = rng.integers(0, 256, (300, 8, 8, 3)).astype(np.uint8)
    labels = rng.integers(0, c, 300)
    w = rng.standard_normal((c, 192, c)).astype(np.float32)
    ones = np.ones(300, np.float32)
    raw = np.asarray(jitted_probabilities(x, labels, ones, w, features="raw"))
    unit = np.asarray(jitted_probabilities(x, labels, ones, w, features="unit_norm"))
    # Scores have deviation ||x||, about 2000 for the pixels: the best two of nine are rarely within 5 of each other.
    assert (raw.max(axis=1) > 0.99).mean() > 0.97
    # With deviation 1 the largest of nine softmax terms, exp(1.5) over about 9 exp(0.5), stays below a half.
    assert np.median(unit.max(axis=1)) < 0.5
    effective = np.exp(-special.xlogy(unit, unit).sum(axis=1))
    assert np.median(effective) > 4


def test_inputs_of_any_real_dtype_give_the_same():
    _, labels, q, w = problem()
    x = np.random.default_rng(0).integers(0, 4, (40, 7))
    expected = flip_probabilities(x.astype(np.float32), labels, q, w)
    for dtype in (np.uint8, np.int32, np.float16, jnp.bfloat16):
        np.testing.assert_array_equal(flip_probabilities(jnp.asarray(x, dtype), labels, q, w), expected)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.2, 0.3, 0.4, 0.7, 1.0])
def test_flip_rates_are_truncated_normal(rate):
    q = np.asarray(flip_rates(jax.random.key(0), 20_000, rate=rate), np.float64)
    law = truncated(rate)
    assert q.min() >= 0
    assert q.max() <= 1
    assert abs(q.mean() - law.mean()) < 5 * law.std() / np.sqrt(q.size)
    assert stats.kstest(q, law.cdf).pvalue > 1e-5
    if rate in TRUNCATED_MEANS:
        assert law.mean() == pytest.approx(TRUNCATED_MEANS[rate], abs=6e-5)


@pytest.mark.parametrize("spread", [0.01, 1.0])
def test_spread_of_the_flip_rates(spread):
    q = flip_rates(jax.random.key(0), 20_000, rate=0.3, spread=spread)
    assert stats.kstest(np.asarray(q, np.float64), truncated(0.3, spread).cdf).pvalue > 1e-5


# The four tests that follow share their shapes: run operation by operation, they compile little after the first.
C, N = 5, 20_000
LABELS = np.arange(N) % C


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4])
def test_share_of_wrong_labels_is_the_truncated_mean(rate):
    x = np.random.default_rng(0).standard_normal((N, 4)).astype(np.float32)
    noisy = instance(num_classes=C, rate=rate)(jax.random.key(0), LABELS, x)
    assert_share(noisy.mask, truncated(rate).mean())


def test_inputs_without_information_flip_uniformly():
    noisy = instance(num_classes=C, rate=0.3)(jax.random.key(0), LABELS, np.zeros((N, 4), np.float32))
    mean = truncated(0.3).mean()
    matrix = np.full((C, C), mean / (C - 1))
    np.fill_diagonal(matrix, 1 - mean)
    assert_follows(LABELS, noisy.labels, matrix)


def test_target_depends_on_class_and_input():
    # Four inputs at right angles, long enough that each pair of class and input has one target.
    which = (np.arange(N) // C) % 4
    x = 1e5 * np.eye(4, dtype=np.float32)[which]
    noisy = instance(num_classes=C, rate=0.5)(jax.random.key(0), LABELS, x)
    mask, drawn = np.asarray(noisy.mask), np.asarray(noisy.labels)
    targets = np.zeros((C, 4), int)
    for k in range(C):
        for v in range(4):
            (targets[k, v],) = set(drawn[mask & (k == LABELS) & (which == v)])
    # With one projection for all classes, an input would send all of them to its best class, and that one elsewhere.
    assert max(len(set(column)) for column in targets.T) > 2
    assert (targets != targets[:, :1]).any()


def test_batch_size_does_not_change_the_draw():
    # With a single entry in each row no product is rounded, so that the labels agree exactly.
    x = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, N)]
    draws = [
        instance(num_classes=C, rate=0.4, batch_size=b)(jax.random.key(0), LABELS, x).labels for b in (256, 1, 2 * N)
    ]
    for other in draws[1:]:
        np.testing.assert_array_equal(other, draws[0])


def all_equations(jaxpr):
    for eqn in jaxpr.eqns:
        yield eqn
        for value in jax.tree.leaves(eqn.params, is_leaf=lambda v: hasattr(v, "eqns") or hasattr(v, "jaxpr")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from all_equations(inner)


def test_memory_for_a_million_images():
    n, d, c, b = 1_000_000, 3072, 10, 256
    key = jax.eval_shape(lambda: jax.random.key(0))
    labels, x = jax.ShapeDtypeStruct((n,), np.int32), jax.ShapeDtypeStruct((n, 32, 32, 3), np.uint8)
    jaxpr = jax.make_jaxpr(instance(num_classes=c, rate=0.4, batch_size=b))(key, labels, x)
    avals = [v.aval for eqn in all_equations(jaxpr.jaxpr) for v in eqn.outvars]
    floats = [a.size for a in avals if jnp.issubdtype(a.dtype, jnp.floating)]
    assert max(floats) <= max((n + 2 * c * b) * c, c * d * c, b * d)
    # The loop is there, and its block of rows as floats with it: the walk above has seen inside.
    assert b * d in floats
    assert max(a.size for a in avals) == n * d


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (None, ValueError, "needs the inputs"),
        (np.ones((5, 3)), ValueError, "5 examples for 6 labels"),
        (np.ones(6), ValueError, "inputs must have shape"),
        (np.ones((6, 0)), ValueError, "at least one entry"),
        (np.where(np.eye(6), np.nan, 1.0), ValueError, r"inputs has 6 values that are not finite.* \(0, 0\)"),
        (jnp.full((6, 2), jnp.inf, jnp.bfloat16), ValueError, "not finite"),
        (np.ones((6, 3), np.complex64), TypeError, "real numbers"),
        (np.ones((6, 3), bool), TypeError, "real numbers"),
    ],
    ids=["missing", "length", "vector", "no entry", "nan", "bfloat16", "complex", "bool"],
)
def test_bad_inputs(inputs, error, message):
    with pytest.raises(error, match=message):
        instance(num_classes=3, rate=0.4)(jax.random.key(0), np.arange(6) % 3, inputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": "l2"}, "features must be one of raw, unit_norm"),
        ({"spread": 0.0}, "spread must lie in"),
        ({"spread": 2.0}, "spread must lie in"),
        ({"batch_size": 0}, "batch_size must be a whole number"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        instance(num_classes=3, rate=0.4, **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rates": np.full(40, 1.5)}, r"rates must lie in \[0, 1\]"),
        ({"rates": np.full(40, np.nan)}, r"rates must lie in \[0, 1\]"),
        ({"rates": np.ones(39)}, "one per label"),
        ({"projections": np.ones((5, 7, 4))}, r"shape \(c, d, c\)"),
        ({"projections": np.ones((5, 6, 5))}, "7 entries per example, but projections expect 6"),
        ({"labels": np.full(40, 5)}, "there are 5 classes"),
        ({"features": "l2"}, "features must be one of"),
        ({"batch_size": 0}, "batch_size must be a whole number"),
    ],
)
def test_bad_arguments_of_the_distribution(change, message):
    names = ("inputs", "labels", "rates", "projections")
    with pytest.raises(ValueError, match=message):
        flip_probabilities(**{**dict(zip(names, problem(), strict=True)), **change})


def test_bad_arguments_of_the_rates():
    with pytest.raises(TypeError, match="typed key"):
        flip_rates(np.zeros(2, np.uint32), 3, rate=0.1)
    with pytest.raises(ValueError, match="n must be"):
        flip_rates(jax.random.key(0), 0, rate=0.1)
    with pytest.raises(ValueError, match="rate must lie"):
        flip_rates(jax.random.key(0), 3, rate=1.5)
    with pytest.raises(ValueError, match="spread must lie"):
        flip_rates(jax.random.key(0), 3, rate=0.5, spread=0.0)
