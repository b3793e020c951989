"""Confident learning against cleanlab on the same probabilities."""

import warnings

import numpy as np
import pytest
from cleanlab import count, filter, rank

from jaxnoisy.detect import PRUNE_RULES, confident_learning, estimated_joint, estimated_noise_rate, label_issues
from jaxnoisy.detect.confident_joint import (
    calibrated_counts,
    class_thresholds,
    confident_class,
    confident_counts,
    rounded_rows,
)
from jaxnoisy.detect.label_quality import SCORES, label_quality
from jaxnoisy.dynamics import from_probabilities


def drawn(n, c, *, seed=0, noise=0.2, sharpness=3.0):
    """Probabilities that lean towards the true class, and labels some of which are wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, c, n)
    logits = rng.normal(size=(n, c))
    logits[np.arange(n), truth] += sharpness
    probs = np.exp(logits)
    probs /= probs.sum(axis=1, keepdims=True)
    labels = np.where(rng.random(n) < noise, rng.integers(0, c, n), truth)
    return labels, probs


def tied(seed):
    """A few distinct rows only, so that whole groups tie."""
    rng = np.random.default_rng(seed)
    rows = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    pick = rng.integers(0, 5, 300)
    return np.where(rng.random(300) < 0.4, rng.integers(0, 3, 300), rows[pick].argmax(axis=1)), rows[pick]


def unsure_class():
    """No example reaches class 2's threshold except through others: its own are given small probabilities."""
    labels, probs = drawn(200, 4, seed=5)
    probs[:, 2] *= 1e-9
    return labels, probs / probs.sum(axis=1, keepdims=True)


def missing_class(which):
    labels, probs = drawn(300, 5, seed=6)
    return np.where(labels == which, (which + 1) % 5, labels), probs


def dominant_class():
    """Class 0 has a high threshold and is still the arg-max of examples that reach lower ones."""
    rng = np.random.default_rng(7)
    probs = rng.dirichlet([6, 2, 2], 400)
    probs[:100] = rng.dirichlet([60, 1, 1], 100)
    return np.concatenate([np.zeros(100, int), rng.integers(0, 3, 300)]), probs


def single_examples():
    labels, probs = drawn(60, 8, seed=8, noise=0.4)
    labels[labels >= 6] = 0
    labels[3], labels[4] = 6, 7
    return labels, probs


CASES = {
    **{f"random {n}x{c}": drawn(n, c, seed=n + c) for n, c in [(500, 2), (500, 3), (1000, 10), (97, 7)]},
    "mostly wrong": drawn(600, 5, seed=3, noise=0.9),
    "random guesses": drawn(400, 4, seed=4, sharpness=0.0),
    "all right": drawn(400, 4, seed=9, noise=0.0, sharpness=8.0),
    "uniform": (np.arange(40) % 4, np.full((40, 4), 0.25)),
    "one-hot": (np.arange(60) % 3, np.eye(3)[np.random.default_rng(0).integers(0, 3, 60)]),
    **{f"ties {seed}": tied(seed) for seed in range(4)},
    "unsure class": unsure_class(),
    "first class missing": missing_class(0),
    "last class missing": missing_class(4),
    "dominant class": dominant_class(),
    "single examples": single_examples(),
    "thousand classes": drawn(3000, 1000, seed=1, sharpness=6.0),
}
cases = pytest.mark.parametrize("case", list(CASES))


def reference(labels, probs, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cleanlab tells of classes with few examples
        return filter.find_label_issues(labels, probs, n_jobs=1, **options)


@cases
def test_thresholds_counts_and_joint(case):
    labels, probs = CASES[case]
    c = probs.shape[1]
    thresholds = class_thresholds(labels, probs)
    np.testing.assert_allclose(thresholds, count.get_confident_thresholds(labels, probs), rtol=1e-12)
    counts = confident_counts(labels, confident_class(probs, thresholds), c)
    np.testing.assert_array_equal(counts, count.compute_confident_joint(labels, probs, calibrate=False))
    np.testing.assert_array_equal(calibrated_counts(counts, labels), count.compute_confident_joint(labels, probs))
    np.testing.assert_allclose(estimated_joint(labels, probs), count.estimate_joint(labels, probs), atol=1e-15)


@cases
@pytest.mark.parametrize("prune", PRUNE_RULES)
def test_the_issues_are_those_of_cleanlab(case, prune):
    labels, probs = CASES[case]
    np.testing.assert_array_equal(label_issues(labels, probs, prune=prune), reference(labels, probs, filter_by=prune))


@pytest.mark.parametrize("prune", PRUNE_RULES)
def test_the_issues_are_those_of_cleanlab_in_single_precision(prune):
    labels, probs = drawn(2000, 10, seed=2)
    probs = probs.astype(np.float32)
    np.testing.assert_array_equal(label_issues(labels, probs, prune=prune), reference(labels, probs, filter_by=prune))


@pytest.mark.parametrize("case", ["random 1000x10", "single examples", "ties 1", "mostly wrong", "thousand classes"])
@pytest.mark.parametrize("prune", ["prune_by_noise_rate", "prune_by_class", "both"])
@pytest.mark.parametrize(
    "options", [{"frac_noise": 0.3}, {"min_examples_per_class": 0}, {"min_examples_per_class": 20}]
)
def test_options_are_those_of_cleanlab(case, prune, options):
    labels, probs = CASES[case]
    ours = label_issues(labels, probs, prune=prune, **options)
    np.testing.assert_array_equal(ours, reference(labels, probs, filter_by=prune, **options))


@pytest.mark.parametrize("seed", range(20))
def test_small_random_inputs(seed):
    rng = np.random.default_rng(seed)
    c = int(rng.integers(2, 6))
    labels, probs = drawn(int(rng.integers(8, 40)), c, seed=seed, noise=0.5, sharpness=1.0)
    if len(set(labels)) < 2:
        pytest.skip("cleanlab needs two classes")
    for prune in PRUNE_RULES:
        ours = label_issues(labels, probs, prune=prune)
        np.testing.assert_array_equal(ours, reference(labels, probs, filter_by=prune), err_msg=prune)


@cases
@pytest.mark.parametrize("score", SCORES)
def test_label_quality_is_that_of_cleanlab(case, score):
    labels, probs = CASES[case]
    theirs = rank.get_label_quality_scores(labels, probs, method=score)
    ours = label_quality(labels, probs, score=score)
    saturated = (probs.max(axis=1) == 1) if score == "confidence_weighted_entropy" else np.zeros(len(labels), bool)
    np.testing.assert_allclose(ours[~saturated], theirs[~saturated], rtol=1e-9, atol=1e-12)


def test_entropy_quality_of_saturated_predictions_follows_the_limit():
    labels, exact = np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]])
    near = np.array([[1 - 1e-5, 1e-5], [1 - 1e-5, 1e-5]])
    at, beside = (label_quality(labels, p, score="confidence_weighted_entropy") for p in (exact, near))
    np.testing.assert_array_equal(at, [1, 0])
    assert beside[0] > 0.999
    assert beside[1] < 0.3


def test_by_hand():
    # Thresholds are 0.7 and 0.75; row 1 reaches class 1 only, row 2 reaches neither.
    labels = np.array([0, 0, 0, 1, 1])
    own = np.array([0.95, 0.2, 0.95, 0.6, 0.9])
    probs = np.where(labels[:, None] == [0, 1], own[:, None], 1 - own[:, None])
    thresholds = class_thresholds(labels, probs)
    np.testing.assert_allclose(thresholds, [0.7, 0.75])
    confident = confident_class(probs, thresholds)
    assert confident.tolist() == [0, 1, 0, -1, 1]
    assert confident_counts(labels, confident, 2).tolist() == [[2, 1], [0, 1]]
    np.testing.assert_allclose(estimated_joint(labels, probs), [[0.4, 0.2], [0, 0.4]])
    assert estimated_noise_rate(labels, probs) == pytest.approx(0.2)


def test_collisions_among_confident_classes_only():
    # The example of the discussion: A and C reach their thresholds, D is the most probable class and does not.
    probs, thresholds = np.array([[0.1, 0.2, 0.3, 0.4]]), np.array([0.01, 0.5, 0.01, 0.5])
    assert confident_class(probs, thresholds).tolist() == [3]
    assert confident_class(probs, thresholds, collisions="confident").tolist() == [2]
    labels, probs = CASES["dominant class"]
    either = [label_issues(labels, probs, prune="confident_learning", collisions=c) for c in ("argmax", "confident")]
    assert (either[0] != either[1]).any()


def test_agreeing_examples_can_be_let_go():
    labels, probs = CASES["dominant class"]
    with_all = label_issues(labels, probs, prune="prune_by_class", keep_agreeing=False)
    kept = label_issues(labels, probs, prune="prune_by_class")
    dropped = with_all & ~kept
    assert dropped.any()
    assert (probs[dropped].argmax(axis=1) == labels[dropped]).all()
    assert not (kept & ~with_all).any()


def test_blocks_do_not_show():
    labels, probs = CASES["random 1000x10"]
    thresholds = class_thresholds(labels, probs)
    np.testing.assert_array_equal(
        confident_class(probs, thresholds, block=7), confident_class(probs, thresholds, block=10_000)
    )


def test_rounding_keeps_row_sums():
    rng = np.random.default_rng(0)
    totals = rng.integers(1, 200, 50)
    matrix = rng.dirichlet(np.ones(12), 50) * totals[:, None]
    whole = rounded_rows(matrix)
    np.testing.assert_array_equal(whole.sum(axis=1), totals)
    assert np.abs(whole - matrix).max() < 1.5


def test_the_noise_rate_of_known_noise():
    labels, probs = drawn(20_000, 4, seed=11, noise=0.2, sharpness=9.0)
    assert estimated_noise_rate(labels, probs) == pytest.approx(0.2 * 3 / 4, abs=0.01)


def test_the_detector_says_what_the_functions_say():
    labels, probs = CASES["random 1000x10"]
    found = confident_learning(prune="both", rank="normalized_margin")(from_probabilities(probs, labels))
    np.testing.assert_array_equal(found.flagged, label_issues(labels, probs, prune="both"))
    np.testing.assert_allclose(found.scores, 1 - label_quality(labels, probs, score="normalized_margin"))
    np.testing.assert_allclose(found.info.joint, estimated_joint(labels, probs))
    np.testing.assert_allclose(found.info.thresholds, class_thresholds(labels, probs))
    assert found.info.noise_rate == pytest.approx(estimated_noise_rate(labels, probs))
    assert found.info.counts.shape == (10, 10)
    assert found.threshold is None


def test_a_trace_without_probabilities_is_refused(noisy):
    with pytest.raises(ValueError, match="probabilities=True"):
        confident_learning()(noisy.trace.until(30))


@pytest.mark.parametrize(
    "options",
    [{"prune": "x"}, {"rank": "x"}, {"frac_noise": 2.0}, {"min_examples_per_class": -1}, {"collisions": "first"}],
)
def test_bad_choices_are_refused_at_once(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        confident_learning(**options)


def test_inputs_that_do_not_fit_are_refused():
    labels, probs = CASES["random 97x7"]
    with pytest.raises(ValueError, match="distribution"):
        label_issues(labels, probs * 2)
    with pytest.raises(ValueError, match="96 entries for 97"):
        label_issues(labels[1:], probs)
    with pytest.raises(ValueError, match="numbered 0 to 6"):
        estimated_noise_rate(np.full(97, 7), probs)
