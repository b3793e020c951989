"""Robust generative classifiers: against scikit-learn's discriminant analysis, on wrong labels, and at their limits."""

import jax
import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from jaxnoisy.repair import rog
from jaxnoisy.repair.discriminant import fit_discriminant

MEANS = np.array([[0.0, 0.0], [7.0, 0.0], [0.0, 7.0]])


def drawn(n, means=MEANS, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % len(means)
    return rng.normal(size=(n, means.shape[1])) @ [[1.0, 0.4], [0.0, 1.3]] + means[y], y


def noise(n, d=3, seed=9):
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.fixture(scope="module")
def one_sided():
    """Two Gaussians, of which 45 % of the second's examples bear the label of the first: 30 % of those so labelled."""
    x, y = drawn(600, np.array([[0.0, 0.0], [4.0, 0.0]]))
    given = y.copy()
    given[np.flatnonzero(y == 1)[:130]] = 0
    fresh, truth = drawn(1000, np.array([[0.0, 0.0], [4.0, 0.0]]), seed=1)
    return x, given, y, fresh, truth


def test_wrong_labels_move_plain_discriminant_analysis_and_not_this(one_sided):
    x, given, y, fresh, truth = one_sided
    assert np.mean(given[given == 0] != y[given == 0]) > 0.3
    robust, info = rog(prior="uniform")([x], given, [x[:50]], y[:50])
    plain = LinearDiscriminantAnalysis(solver="lsqr", priors=[0.5, 0.5]).fit(x, given)
    robust_accuracy = np.mean(robust.predict([fresh]) == truth)
    clean = LinearDiscriminantAnalysis(solver="lsqr", priors=[0.5, 0.5]).fit(x, y).score(fresh, truth)
    assert robust_accuracy > plain.score(fresh, truth) + 0.015
    assert robust_accuracy > clean - 0.01
    (kept,) = info.supports
    assert np.mean(given[kept] != y[kept]) < 0.05 < 0.2 < np.mean(given != y)


@pytest.mark.parametrize("prior", ["given", "uniform"])
def test_at_full_support_it_is_discriminant_analysis(prior):
    """scikit-learn divides by n, as here, so that the covariances agree and the posteriors with them."""
    x, y = drawn(90)
    y[:20] = 0
    priors = None if prior == "given" else [1 / 3] * 3
    # Equal priors weigh scikit-learn's covariance as well; here classes always weigh as their examples do.
    covariance = LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True).fit(x, y).covariance_
    shares = np.bincount(y) / 90 if prior == "given" else np.full(3, 1 / 3)
    found = fit_discriminant(x, y, shares, support=1.0)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-9)
    model, info = rog(support=1.0, prior=prior)([x], y, [x], y)
    if prior == "given":
        reference = LinearDiscriminantAnalysis(solver="lsqr", priors=priors).fit(x, y)
        np.testing.assert_allclose(model.probabilities([x]), reference.predict_proba(x), rtol=1e-3, atol=1e-5)
        assert info.accuracy == reference.score(x, y)
        picked = reference.predict_log_proba(x)[np.arange(90), y]
        assert info.nll == pytest.approx(-picked.mean(), rel=1e-4)
    inverse = np.linalg.inv(covariance)
    means = np.stack([x[y == k].mean(axis=0) for k in range(3)])
    scores = x @ inverse @ means.T - 0.5 * np.einsum("ki,ij,kj->k", means, inverse, means) + np.log(shares)
    expected = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    np.testing.assert_allclose(model.log_posteriors([x])[0], expected, rtol=1e-3, atol=1e-3)


def test_the_weight_goes_to_the_layer_that_tells_the_classes_apart():
    x, y = drawn(240)
    layers = [noise(240), x, noise(240, 2, seed=8)]
    held = [layer[:90] for layer in layers]
    model, info = rog()([layer[90:] for layer in layers], y[90:], held, y[:90])
    assert info.weights[1] > 0.98
    assert info.gap < 1e-4
    assert info.accuracies[1] > 0.95 > 0.6 > info.accuracies[[0, 2]].max()
    np.testing.assert_allclose(model.weights, info.weights, atol=1e-6)
    mixed = sum(w * np.exp(p) for w, p in zip(info.weights, model.log_posteriors(held)))
    np.testing.assert_allclose(model.probabilities(held), mixed, atol=1e-5)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-5)
    truth = mixed[np.arange(90), y[:90]]
    assert info.nll == pytest.approx(-np.log(truth).mean(), rel=1e-3)
    assert info.nll < info.nlls.min() + 1e-4  # a mixture is at least as good as any one layer


def test_two_layers_that_see_different_classes_are_both_needed():
    x, y = drawn(240)
    layers = [x[:, :1], x[:, 1:]]
    _, info = rog()(layers, y, layers, y)
    assert info.weights.min() > 0.2
    assert info.nll < info.nlls.min() - 0.05


def test_the_order_of_the_examples_does_not_matter():
    x, y = drawn(120)
    order = np.random.default_rng(3).permutation(120)
    held = [x[:30], noise(30)]
    plain, info = rog()([x, noise(120)], y, held, y[:30])
    other, shuffled = rog()([x[order], noise(120)[order]], y[order], held, y[:30])
    np.testing.assert_array_equal(shuffled.supports, info.supports[:, order])
    np.testing.assert_allclose(other.probabilities(held), plain.probabilities(held), atol=1e-5)


def test_it_is_a_pytree_whose_methods_are_traced():
    x, y = drawn(60)
    model, _ = rog()([x], y, [x], y)
    batch = x[:6].astype(np.float32)
    p = jax.jit(lambda model, x: model.probabilities([x]))(model, batch)
    assert (p.shape, p.dtype) == ((6, 3), np.float32)
    np.testing.assert_allclose(p, model.probabilities([x[:6]]), atol=1e-6)
    alone = jax.vmap(lambda row: model.predict([row[None]])[0])(batch)
    np.testing.assert_array_equal(alone, model.predict([batch]))
    assert alone.dtype == np.int32


def test_float32_features_far_from_the_origin():
    x, y = drawn(90)
    near, _ = rog()([x], y, [x], y)
    far, _ = rog()([(x + 1000).astype(np.float32)], y, [(x + 1000).astype(np.float32)], y)
    np.testing.assert_allclose(far.probabilities([x + 1000]), near.probabilities([x]), atol=5e-3)


def test_missing_classes():
    """Of the classes 0..4, training has no 1 and validation no 2 but a 1 and a 4."""
    x, y = drawn(90)
    names = np.array([0, 2, 3])
    held = names[y[:30]]
    rows = held != 2
    rows[0] = True
    truth = held[rows]
    truth[0] = 1
    model, info = rog(num_classes=5)([x], names[y], [x[:30][rows]], truth)
    p = np.asarray(model.probabilities([x]))
    assert p.shape == (90, 5)
    assert (p[:, [1, 4]] == 0).all()
    assert np.isfinite(p).all()
    assert np.mean(model.predict([x]) == names[y]) > 0.98
    assert np.isfinite(info.nll)
    assert info.accuracy == pytest.approx(1 - 1 / rows.sum())


def test_validation_of_unknown_classes_alone_weighs_all_layers_alike():
    x, y = drawn(30)
    _, info = rog(num_classes=4)([x, noise(30)], y, [x[:2], noise(2)], np.array([3, 3]))
    np.testing.assert_array_equal(info.weights, [0.5, 0.5])
    assert info.accuracy == 0
    assert np.isnan(info.nll)


def test_a_class_of_one_example_and_of_duplicates():
    x, y = drawn(60)
    x = np.concatenate([x, [[30.0, 30.0]], np.repeat([[-30.0, 0.0]], 5, axis=0)])
    y = np.concatenate([y, [3], [4] * 5])
    model, info = rog()([x], y, [x], y)
    np.testing.assert_array_equal(model.predict([np.array([[29.0, 31.0], [-31.0, 0.0]])]), [3, 4])
    assert (np.asarray(model.predict([x]))[60:] == y[60:]).all()
    assert info.supports[0, 60:].all()


@pytest.mark.parametrize("d", [40, 120])
def test_more_features_than_examples(d):
    """Per class (40 > 21) and in all (120 > 63): finite, and far better than chance on fresh examples."""
    x, y = drawn(90)
    layer = np.concatenate([x, noise(90, d - 2)], axis=1)
    fresh, truth = drawn(300, seed=4)
    model, info = rog()([layer], y, [layer[:30]], y[:30])
    assert (info.class_shrinkages > 0).all()
    assert (info.shrinkages[0] > 0) == (d == 120)
    p = np.asarray(model.probabilities([np.concatenate([fresh, noise(300, d - 2, seed=5)], axis=1)]))
    assert np.isfinite(p).all()
    assert np.mean(p.argmax(axis=1) == truth) > 0.9


def test_constant_features():
    """One that is constant everywhere changes nothing; one that is constant within each class decides."""
    x, y = drawn(90)
    plain, _ = rog()([x], y, [x], y)
    model, info = rog()([np.column_stack([x, np.full(90, 0.1)])], y, [np.column_stack([x, np.full(90, 0.1)])], y)
    assert info.shrinkages[0] == 0
    alive = np.column_stack([x, np.arange(90.0)])
    np.testing.assert_allclose(model.probabilities([alive]), plain.probabilities([x]), atol=1e-5)
    useless = noise(90)
    naming = np.column_stack([useless, y == 2])
    model, info = rog()([naming], y, [naming], y)
    assert info.shrinkages[0] > 0
    assert np.array_equal(np.asarray(model.predict([naming])) == 2, y == 2)


X, Y = np.ones((6, 2)) * np.arange(6)[:, None], np.arange(6) % 2


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (([], Y, [], Y), ValueError, "features is empty"),
        ((X, Y, [X], Y), TypeError, r"one array: give \[features\]"),
        (([X[:5]], Y, [X], Y), ValueError, r"features\[0\] must have shape \(6, d\)"),
        (([X], Y, [X, X], Y), ValueError, r"layers of widths \[2\], but has \[2, 2\]"),
        (([X], Y, [X[:, :1]], Y), ValueError, r"validation_features must have layers of widths \[2\], but has \[1\]"),
        (([X.astype(int)], Y, [X], Y), TypeError, r"features\[0\] must be floating point"),
        (([X * np.nan], Y, [X], Y), ValueError, r"features\[0\] has 12 values that are not finite"),
        (([X], Y + 3, [X], Y), ValueError, r"labels\[1\] is 4, but there are 3 classes"),
        (([X], Y, [X], Y[:3]), ValueError, r"validation_features\[0\] must have shape \(3, d\)"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        rog(num_classes=3)(*arguments)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"support": 0.4}, "support must lie"), ({"prior": "flat"}, "prior must be one of"), ({"num_classes": 1}, ">= 2")],
)
def test_bad_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        rog(**options)


def test_other_layers_than_it_was_fitted_to_are_refused():
    x, y = drawn(30)
    model, _ = rog()([x], y, [x], y)
    for features in ([x, x], [noise(30)], [x[0]]):
        with pytest.raises(ValueError, match=r"must have layers of widths \[2\]"):
            model.probabilities(features)
