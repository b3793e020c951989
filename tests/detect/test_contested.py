"""The count that detectors fall back on, against confident learning on the full probabilities."""

import numpy as np
import pytest
from cleanlab.count import num_label_issues

from jaxnoisy.detect import aum, confidence, forgetting, margin_mixture, rules, small_loss
from jaxnoisy.detect.contested import confidently_contested, contested, credible_count, with_memorised
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


def _planted(margins: np.ndarray, labels: np.ndarray, *, c: int = 3):
    """A trace whose margins are given, (t, n): the next class has logit 0 and all others lie far below."""
    t, n = margins.shape
    recorder = HostRecorder(labels, t, num_classes=c)
    for epoch in range(t):
        logits = np.full((n, c), -20.0, np.float32)
        logits[np.arange(n), labels] = margins[epoch]
        logits[np.arange(n), (labels + 1) % c] = 0.0
        recorder.record(epoch, np.arange(n), logits)
    return recorder.trace()


def _memorising(*, n: int = 600, wrong: int = 120, t: int = 20, early: int = 6, fitted: int = 120):
    """Right labels have margin 4 from the first epoch; wrong ones -4 for ``early`` epochs, then ``fitted`` of them 8.

    The mean margin of a label that is memorised after 6 of 20 epochs is 4.4, that of a right one 4.
    """
    labels = np.arange(n) % 3
    flips = np.arange(n) < wrong
    margins = np.full((t, n), 4.0)
    margins[:, flips] = -4.0
    margins[early:, :fitted] = 8.0
    return _planted(margins, labels), flips


def test_labels_that_were_contested_early_and_then_memorised_are_counted():
    trace, flips = _memorising()
    assert not contested(trace).any()
    assert confidently_contested(trace) == 0
    assert confidently_contested(trace.until(5)) == flips.sum()
    assert with_memorised(trace, 0) == credible_count(trace) == flips.sum()


@pytest.mark.parametrize(("fitted", "expected"), [(0, 0), (30, 30), (90, 90), (120, 120)])
def test_the_share_put_back_is_the_share_that_was_fitted(fitted, expected):
    # Early 120 are contested, at last 120 - fitted: of a gap of 120 the share fitted / 120 comes back.
    trace, _ = _memorising(fitted=fitted)
    assert with_memorised(trace, 0) == expected
    # Half of them found already: half of the gap is left to share.
    assert with_memorised(trace, 60) == 60 + expected // 2


def test_a_count_is_never_lowered():
    trace, _ = _memorising()
    assert with_memorised(trace, 500) == 500


def test_memorised_labels_are_flagged_by_the_detectors_that_rank_them_first():
    # Early the wrong ones are lost by far; memorised, they end with a smaller margin than the others, 2 against 6.
    n, t, wrong = 600, 20, 90
    rng = np.random.default_rng(0)
    flips = np.arange(n) < wrong
    margins = 6 + rng.normal(0, 0.3, (t, n))
    margins[:5, flips] -= 10
    margins[5:, flips] -= 4
    trace = _planted(margins, np.arange(n) % 3)
    assert not contested(trace).any()
    for detect in (aum(), margin_mixture(), small_loss(), confidence(), forgetting()):
        np.testing.assert_array_equal(detect(trace).flagged, flips)
    assert not margin_mixture()(trace).info.trusted
    assert not aum(rule=rules.above(0.0))(trace).flagged.any()


def test_two_groups_that_stay_apart_are_left_to_the_mixture():
    rng = np.random.default_rng(1)
    flips = np.arange(600) < 60
    margins = np.where(flips, -5, 5) + rng.normal(0, 0.5, (20, 600))
    trace = _planted(margins, np.arange(600) % 3)
    found = margin_mixture()(trace)
    assert found.info.trusted
    assert found.threshold == found.info.fit.threshold
    np.testing.assert_array_equal(found.flagged, flips)


def test_a_clean_trace_of_labels_learned_before_the_quarter_is_out_flags_none():
    # Each label is lost in the first epoch or two, as a model that has learned nothing loses it, and then won for good.
    rng = np.random.default_rng(2)
    margins = 3 + rng.normal(0, 0.5, (20, 600))
    margins[0] = rng.normal(-0.2, 0.1, 600)
    trace = _planted(margins, np.arange(600) % 3)
    assert contested(trace.until(1)).mean() > 0.9
    for detect in (aum(), margin_mixture(), small_loss(), confidence(), forgetting()):
        assert not detect(trace).flagged.any()


def test_short_traces_and_gaps_in_the_first_quarter_are_left_as_they_are():
    trace, _ = _memorising(t=11, early=3)
    assert with_memorised(trace, 7) == 7
    assert with_memorised(trace, 7, early=3) > 100
    labels = np.arange(30) % 3
    recorder = HostRecorder(labels, 12, num_classes=3)
    for epoch in range(12):
        rows = np.arange(30) if epoch >= 3 else np.arange(1, 30)
        logits = np.eye(3)[(labels[rows] + (epoch < 3)) % 3]
        recorder.record(epoch, rows, logits)
    assert with_memorised(recorder.trace(), 0) == 0
