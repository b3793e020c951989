"""Scores against the papers' formulas, computed another way from the same logits."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from scipy.stats import pearsonr

from jaxnoisy.detect import aum, confidence, el2n, forgetting, margin_mixture, rules, small_loss, variability
from jaxnoisy.detect.forgetting import forgetting_events


@pytest.fixture(scope="module")
def pieces(noisy):
    """(t, n, c) logits in double precision, labels and rows."""
    return noisy.logits.astype(np.float64), noisy.trace.labels, np.arange(len(noisy.trace))


def other_logit(logits, labels):
    """max over k != y, by sorting rather than masking."""
    top = np.sort(logits, axis=2)[:, :, ::-1]
    given = np.take_along_axis(logits, labels[None, :, None], axis=2)[..., 0]
    return given, np.where(given == top[..., 0], top[..., 1], top[..., 0])


def test_small_loss(noisy, pieces):
    logits, labels, rows = pieces
    losses = -log_softmax(logits, axis=2)[:, rows, labels]
    np.testing.assert_allclose(small_loss(over="mean")(noisy.trace).scores, losses.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(small_loss(over="last")(noisy.trace).scores, losses[-1], atol=1e-5)


def test_known_noise_rate_takes_the_top(noisy):
    found = small_loss(noise_rate=70 / 1797)(noisy.trace)
    assert found.flagged.sum() == 70
    assert found.scores[found.flagged].min() > found.scores[~found.flagged].max()


def test_aum_and_margins(noisy, pieces):
    logits, labels, _ = pieces
    given, other = other_logit(logits, labels)
    expected = -(given - other).mean(axis=0)
    np.testing.assert_allclose(aum()(noisy.trace).scores, expected, atol=1e-4)
    np.testing.assert_allclose(margin_mixture()(noisy.trace).scores, expected, atol=1e-4)
    np.testing.assert_array_equal(aum()(noisy.trace).flagged, aum()(noisy.trace).scores > 0)
    given, other = other_logit(softmax(logits, axis=2), labels)
    bounded = margin_mixture(signal="probability-margin")(noisy.trace)
    np.testing.assert_allclose(bounded.scores, -(given - other).mean(axis=0), atol=1e-5)


def test_quantised_margin_counts_epochs(noisy, pieces):
    logits, labels, _ = pieces
    lost = (logits.argmax(axis=2) != labels).mean(axis=0)
    found = margin_mixture(signal="quantised-margin")(noisy.trace)
    np.testing.assert_allclose(found.scores, 2 * lost - 1, atol=1e-6)
    np.testing.assert_array_equal(found.flagged, lost > 0.5)


def test_el2n(noisy, pieces):
    logits, labels, _ = pieces
    norms = np.linalg.norm(softmax(logits, axis=2) - np.eye(10)[labels], axis=2)
    for epochs in (1, 10, 1000):
        expected = norms[:epochs].mean(axis=0)
        np.testing.assert_allclose(el2n(epochs=epochs)(noisy.trace).scores, expected, atol=2e-3)
    np.testing.assert_allclose(el2n(epochs=None)(noisy.trace).scores, norms.mean(axis=0), atol=2e-3)


def test_data_map(noisy, pieces):
    logits, labels, rows = pieces
    p = softmax(logits, axis=2)[:, rows, labels]
    np.testing.assert_allclose(confidence()(noisy.trace).scores, 1 - p.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(variability()(noisy.trace).scores, p.std(axis=0), atol=1e-5)
    assert pearsonr(variability()(noisy.trace).scores, p.std(axis=0)).statistic > 0.9999


def test_variability_flags_by_a_given_rule_only(noisy):
    assert not variability()(noisy.trace).flagged.any()
    assert variability()(noisy.trace).threshold is None
    assert variability(rule=rules.top_fraction(0.1))(noisy.trace).flagged.sum() == 180


def test_forgetting_by_a_plain_loop(noisy, pieces):
    logits, labels, _ = pieces
    right = labels[:, None] == logits.argmax(axis=2).T
    t = right.shape[1]
    expected = []
    for row in right:
        events = sum(before and not after for before, after in pairwise(row))
        expected.append(events if row.any() else t)
    expected = np.asarray(expected) + confidence()(noisy.trace).scores
    np.testing.assert_allclose(forgetting()(noisy.trace).scores, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("row", "score"),
    [
        ([1, 1, 1, 1], 0),
        ([0, 0, 0, 1], 0),
        ([1, 0, 0, 0], 1),
        ([1, 0, 1, 0], 2),
        ([0, 0, 0, 0], 4),
        ([np.nan, 1, np.nan, 0], 1),
        ([0, np.nan, 1, np.nan], 0),
        ([np.nan, 0, np.nan, np.nan], 4),
        ([1, np.nan, np.nan, 1], 0),
    ],
)
def test_forgetting_by_hand(row, score):
    assert forgetting_events(np.array([row], float))[0] == score


def test_never_learned_ranks_above_any_forgetting():
    often = np.array([[1, 0] * 10, [0, 0] * 10, [0, 1] * 10], float)
    scores = forgetting_events(often)
    assert scores[1] > scores[0] > scores[2]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: small_loss(over="first"), "over"),
        (lambda: small_loss(noise_rate=1.5), "noise_rate"),
        (lambda: small_loss(noise_rate=0.1, rule=rules.above(0)), "not both"),
        (lambda: margin_mixture(signal="loss"), "signal"),
        (lambda: el2n(epochs=0), "epochs"),
    ],
)
def test_bad_choices_are_refused_at_once(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_diverged_training_is_told(noisy):
    log_p = np.array(noisy.trace.seen.log_p_given)
    log_p[5] = -np.inf
    broken = noisy.trace.take(slice(None))
    broken = type(broken)(broken.labels, broken.seen._replace(log_p_given=log_p), broken.num_classes)
    with pytest.raises(ValueError, match=r"not finite.*index \(5,\)"):
        aum()(broken)
