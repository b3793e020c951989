import math

import numpy as np
import pytest
from sklearn import metrics as sk

from jaxnoisy.metrics import detection_metrics


def detection(seed, n=80, share=0.2, ties=False):
    rng = np.random.default_rng(seed)
    flips = rng.random(n) < share
    flips[:2] = [True, False]
    scores = rng.normal(size=n) + flips
    if ties:
        scores = np.round(scores)
    return scores, scores > 0.7, flips


def by_hand(scores, flagged, flips):
    """Every measure from its definition, by loops over pairs and thresholds."""
    pairs = [(p, q) for p in scores[flips] for q in scores[~flips]]
    auc = np.mean([1.0 if p > q else 0.5 if p == q else 0.0 for p, q in pairs])
    precision = {s: flips[scores >= s].mean() for s in scores}
    recall = {s: flips[scores >= s].sum() / flips.sum() for s in scores}
    ap, before = 0.0, 0.0
    for s in sorted(set(scores), reverse=True):
        ap, before = ap + (recall[s] - before) * precision[s], recall[s]
    hits = (flagged & flips).sum()
    return {
        "roc_auc": auc,
        "average_precision": ap,
        "precision_at_95_recall": max(precision[s] for s in scores if recall[s] >= 0.95),
        "f1": 2 * hits / (flagged.sum() + flips.sum()),
        "fdr": 1 - hits / flagged.sum(),
        "recall": hits / flips.sum(),
        "flagged": flagged.sum(),
    }


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_measures_are_their_definitions(seed, ties):
    scores, flagged, flips = detection(seed, ties=ties)
    found = detection_metrics(scores, flagged, flips)._asdict()
    expected = by_hand(scores, flagged, flips)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name


def test_precision_and_recall_are_scikit_learns():
    scores, flagged, flips = detection(0)
    found = detection_metrics(scores, flagged, flips)
    assert found.fdr == pytest.approx(1 - sk.precision_score(flips, flagged))
    assert found.recall == pytest.approx(sk.recall_score(flips, flagged))


def test_neither_the_order_nor_a_monotone_transform_matters():
    scores, flagged, flips = detection(1)
    expected = detection_metrics(scores, flagged, flips)
    order = np.random.default_rng(0).permutation(len(scores))
    for found in (
        detection_metrics(scores[order], flagged[order], flips[order]),
        detection_metrics(np.exp(3 * scores) - 5, flagged, flips),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_perfect_and_a_reversed_ranking():
    flips = np.array([True] * 3 + [False] * 7)
    perfect = detection_metrics(flips.astype(float), flips, flips)
    assert perfect == (1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 3)
    reversed_ = detection_metrics(-flips.astype(float), ~flips, flips)
    assert reversed_.roc_auc == reversed_.recall == reversed_.f1 == 0.0
    assert reversed_.fdr == 1.0
    assert reversed_.precision_at_95_recall == pytest.approx(0.3)


def test_a_recall_of_exactly_95_percent_is_enough():
    # 19 of 20 flips lead, then come 5 right labels, then the last flip.
    flips = np.array([True] * 19 + [False] * 5 + [True])
    assert detection_metrics(-np.arange(25.0), flips, flips).precision_at_95_recall == 1.0


def test_equal_scores_rank_at_chance():
    flips = np.array([True, False, False, False])
    found = detection_metrics(np.zeros(4), np.zeros(4, bool), flips)
    assert found.roc_auc == 0.5
    assert found.average_precision == found.precision_at_95_recall == 0.25
    assert (found.fdr, found.f1, found.recall, found.flagged) == (0.0, 0.0, 0.0, 0)


def test_without_flips_only_the_false_discoveries_are_defined():
    found = detection_metrics(np.arange(4.0), np.array([True, False, False, False]), np.zeros(4, bool))
    assert (found.fdr, found.f1, found.flagged) == (1.0, 0.0, 1)
    assert all(map(math.isnan, (found.roc_auc, found.average_precision, found.precision_at_95_recall, found.recall)))
    none = detection_metrics(np.arange(4.0), np.zeros(4, bool), np.zeros(4, bool))
    assert math.isnan(none.f1)
    assert none.fdr == 0.0


def test_with_flips_only_there_is_no_ranking():
    found = detection_metrics(np.arange(4.0), np.array([True, True, True, False]), np.ones(4, bool))
    assert (found.fdr, found.recall, found.f1) == (0.0, 0.75, pytest.approx(6 / 7))
    assert math.isnan(found.roc_auc)


@pytest.mark.parametrize(
    ("scores", "flagged", "flips"),
    [
        (np.zeros(3), np.zeros(2, bool), np.zeros(3, bool)),
        (np.zeros(3), np.zeros(3, bool), np.zeros(2, bool)),
        (np.zeros((2, 2)), np.zeros((2, 2), bool), np.zeros((2, 2), bool)),
        (np.array([0.0, np.nan]), np.zeros(2, bool), np.zeros(2, bool)),
        (np.zeros(0), np.zeros(0, bool), np.zeros(0, bool)),
    ],
)
def test_what_does_not_fit_is_refused(scores, flagged, flips):
    with pytest.raises(ValueError, match=r"shape|not finite|empty"):
        detection_metrics(scores, flagged, flips)
