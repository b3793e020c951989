import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from jaxnoisy.detect import simifeat_rank, simifeat_vote

DETECTORS = {"vote": simifeat_vote, "rank": simifeat_rank}
every = pytest.mark.parametrize("name", list(DETECTORS))


@pytest.fixture(scope="module")
def digits():
    """Features, labels of which 15 % are wrong, and which."""
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    flips = rng.random(len(y)) < 0.15
    return x.astype(np.float32), np.where(flips, (y + rng.integers(1, 10, len(y))) % 10, y), flips


def votes(x, labels, k=10):
    """(n, c) shares of the neighbours' labels, by scikit-learn."""
    rows = NearestNeighbors(n_neighbors=k, metric="cosine").fit(x.astype(np.float64)).kneighbors()[1]
    return (labels[rows][:, :, None] == np.arange(10)).mean(axis=1)


@every
def test_planted_noise_is_found(name, digits):
    x, labels, flips = digits
    found = DETECTORS[name](num_classes=10)([x], labels)
    assert found.scores.dtype == np.float64
    assert roc_auc_score(flips, found.scores) > 0.97
    precision, recall = flips[found.flagged].mean(), found.flagged[flips].mean()
    assert min(precision, recall) > 0.85


@every
def test_clean_labels_are_left_alone(name, digits):
    x, _, _ = digits
    assert DETECTORS[name](num_classes=10)([x], load_digits().target).flagged.mean() < 0.05


def test_a_vote_is_the_majority_of_the_neighbours(digits):
    x, labels, _ = digits
    shares = votes(x, labels)
    own = shares[np.arange(len(x)), labels].copy()
    shares[np.arange(len(x)), labels] = -1
    found = simifeat_vote(num_classes=10)([x], labels)
    np.testing.assert_allclose(found.scores, shares.max(axis=1) - own, atol=1e-12)
    np.testing.assert_array_equal(found.flagged, found.scores > found.threshold)
    np.testing.assert_allclose(found.info.agreement, own, atol=1e-12)


def test_a_rank_is_by_cosine_and_flags_as_many_as_estimated_of_each_class(digits):
    x, labels, flips = digits
    shares = votes(x, labels)
    cosine = shares[np.arange(len(x)), labels] / np.linalg.norm(shares, axis=1)
    found = simifeat_rank(num_classes=10)([x], labels)
    np.testing.assert_allclose(found.scores, 1 - cosine, atol=1e-12)
    assert found.info.estimate.noise_rate == pytest.approx(flips.mean(), abs=0.03)
    for label in range(10):
        members = labels == label
        flagged = members & found.flagged
        assert flagged.sum() == found.info.required[label]
        assert found.scores[flagged].min() >= found.scores[members & ~found.flagged].max()
    expected = np.rint(np.bincount(labels) * np.asarray(found.info.estimate.wrong_given))
    np.testing.assert_array_equal(found.info.required, expected)


@every
def test_the_majority_of_passes_decides(name, digits):
    x, labels, _ = digits
    x, labels = x[:300], labels[:300]
    rng = np.random.default_rng(1)
    passes = [x + rng.normal(0, 4, x.shape).astype(np.float32) for _ in range(3)]
    detect = DETECTORS[name](num_classes=10, neighbours=6)
    found = detect((one for one in passes), labels)
    alone = [detect([one], labels) for one in passes]
    assert found.info.passes == 3
    np.testing.assert_allclose(found.scores, np.mean([one.scores for one in alone], axis=0))
    np.testing.assert_array_equal(found.flagged, found.info.share > 0.5)
    if name == "vote":
        np.testing.assert_array_equal(found.flagged, np.mean([one.flagged for one in alone], axis=0) > 0.5)
    assert set(np.unique(found.info.share * 3).round(6)) <= {0, 1, 2, 3}
    assert found.threshold is None


@every
def test_the_order_and_the_names_of_classes_do_not_matter_to_neighbours(name, digits):
    x, labels, _ = digits
    detect = DETECTORS[name](num_classes=10)
    order, to = np.random.default_rng(2).permutation(len(x)), np.random.default_rng(3).permutation(10)
    found, moved = detect([x], labels), detect([x[order]], to[labels[order]])
    np.testing.assert_allclose(moved.scores, found.scores[order], atol=1e-12)
    assert (moved.flagged != found.flagged[order]).mean() < 0.005  # estimates are rounded to whole examples


@every
@pytest.mark.parametrize(
    ("options", "passes", "labels", "says"),
    [
        ({"num_classes": 1}, None, None, "num_classes must be a whole number >= 2, but is 1"),
        ({"num_classes": 2, "neighbours": 0}, None, None, "neighbours must be a whole number >= "),
        ({"num_classes": 2}, [], np.zeros(20, int), "passes is empty"),
        ({"num_classes": 2}, [np.ones((9, 2), np.float32)], np.zeros(20, int), "pass 0 has features of 9 examples for"),
        ({"num_classes": 2}, [np.ones((9, 2), np.float32)], np.zeros(9, int), "need at least 11 examples"),
        ({"num_classes": 2}, [np.full((20, 2), np.inf, np.float32)], np.zeros(20, int), "not finite"),
        ({"num_classes": 2}, [np.ones((20, 2), np.float32)], np.full(20, 2), "there are 2 classes"),
    ],
)
def test_what_simifeat_refuses(name, options, passes, labels, says):
    with pytest.raises(ValueError, match=says):
        DETECTORS[name](**options)(passes, labels)
