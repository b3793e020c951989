"""The count that detectors fall back on, against confident learning on the full probabilities."""

import numpy as np
import pytest
from cleanlab.count import num_label_issues

from jaxnoisy.detect import aum, confidence, forgetting, margin_mixture, rules, small_loss
from jaxnoisy.detect.contested import confidently_contested, contested, credible_count
from jaxnoisy.dynamics import HostRecorder, from_probabilities


def _weak_model(rng: np.random.Generator, *, wrong: float, n: int = 6000, c: int = 5, t: int = 6):
    """Traces of a model that is often unsure: logits of the true class stand out by a different amount per example."""
    truth = rng.integers(0, c, n)
    flips = rng.random(n) < wrong
    labels = np.where(flips, (truth + rng.integers(1, c, n)) % c, truth)
    lead = rng.gamma(1.5, 1.5, n) - 1.0
    fixed = rng.normal(0, 1.0, (n, c))
    fixed[np.arange(n), truth] += lead
    recorder = HostRecorder(labels, t, num_classes=c)
    for epoch in range(t):
        recorder.record(epoch, np.arange(n), (fixed + rng.normal(0, 0.3, (n, c))) * (epoch + 1) / t)
    return recorder.trace(), flips


@pytest.mark.parametrize("wrong", [0.0, 0.05, 0.2])
def test_a_weak_model_does_not_flag_all_that_it_gets_wrong(wrong):
    trace, flips = _weak_model(np.random.default_rng(0), wrong=wrong)
    doubted = contested(trace).sum()
    assert doubted > flips.sum() + 0.1 * len(trace)
    assert not margin_mixture()(trace).info.trusted
    for detect in (aum(), margin_mixture(), small_loss(), confidence(), forgetting()):
        flagged = detect(trace).flagged.sum()
        assert flagged <= confidently_contested(trace)
        assert abs(flagged - flips.sum()) < 0.75 * abs(doubted - flips.sum())


def test_the_sign_alone_can_be_asked_for():
    trace, _ = _weak_model(np.random.default_rng(1), wrong=0.1)
    np.testing.assert_array_equal(aum(rule=rules.above(0.0))(trace).flagged, contested(trace))


@pytest.mark.parametrize("seed", range(5))
def test_counts_as_cleanlab_does_where_only_the_prediction_can_be_confident(seed):
    # The trace knows the probability of another class only where it is the prediction. Predictions of 0.6 and more keep
    # every other probability below the class thresholds, so that nothing confident is lost.
    rng = np.random.default_rng(seed)
    n, c = 2000, 4
    predicted = rng.integers(0, c, n)
    probs = rng.dirichlet(np.ones(c), n)
    probs[np.arange(n), predicted] = 0
    top = rng.uniform(0.6, 1.0, n)
    probs *= ((1 - top) / probs.sum(axis=1))[:, None]
    probs[np.arange(n), predicted] = top
    labels = np.where(rng.random(n) < 0.85, predicted, rng.integers(0, c, n))
    expected = num_label_issues(labels, probs, estimation_method="off_diagonal_calibrated")
    assert confidently_contested(from_probabilities(probs, labels)) == pytest.approx(expected, abs=c)


def test_perfectly_fitted_labels_are_not_contested():
    probs = np.eye(3)[[0, 1, 2, 0, 1, 2]] * 0.97 + 0.01
    trace = from_probabilities(probs, np.array([0, 1, 2, 0, 1, 2]))
    assert confidently_contested(trace) == credible_count(trace) == 0
    assert not contested(trace).any()


def test_a_class_that_no_example_is_given_claims_none():
    probs = np.array([[0.2, 0.1, 0.7], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    trace = from_probabilities(probs, np.array([0, 0, 1]))
    assert contested(trace).tolist() == [True, False, False]
    assert confidently_contested(trace) == 0


def test_the_order_of_the_examples_does_not_matter():
    trace, _ = _weak_model(np.random.default_rng(2), wrong=0.1, n=500)
    order = np.random.default_rng(3).permutation(500)
    assert confidently_contested(trace.take(order)) == confidently_contested(trace)
    assert credible_count(trace.take(order)) == credible_count(trace)
