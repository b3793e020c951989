"""Influential Rank selects by definition, on scores that leave no doubt, and on wrong labels that were memorised."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neural_network import MLPClassifier

from jaxnoisy.curvature import last_layer
from jaxnoisy.detect import Detection, influential_rank, ranking
from jaxnoisy.influence import OverfittingScores, head_overfitting

GAMMAS = (0, 1, 3, 5, 0.1, 0.5, 0.8, 1.0)


def made_up(n=400, c=5, *, wrong=0.25, seed=0):
    """Skewed scores, higher for wrong labels, of which the classes see each their own part."""
    rng = np.random.default_rng(seed)
    flips = rng.random(n) < wrong
    size = rng.gamma(2, 0.3, n) + 2 * flips * rng.random(n)
    osd = size[:, None] * rng.gamma(8, 0.1, (n, c))
    return OverfittingScores((size - size.mean()) / size.std(), osd, np.full(c, 4)), flips


def by_definition(scores):
    """The votes of Algorithm 1, lines 3 to 8, with scikit-learn's own start of the mixture."""
    candidates = scores.osm >= 0
    votes = np.zeros(len(candidates), int)
    for osd in scores.osd.T:
        mixture = GaussianMixture(2, tol=1e-7, max_iter=2000, random_state=0).fit(osd[candidates, None])
        votes += candidates & (osd >= mixture.means_.min())
    return candidates, votes


def test_the_algorithm_as_it_is_written():
    # Two groups far apart in each class: every way to start finds them.
    scores, _ = made_up()
    high = np.random.default_rng(1).random(scores.osd.shape) < 0.4
    scores = scores._replace(osd=scores.osd + 20 * high)
    candidates, votes = by_definition(scores)
    for gamma in (0, 2, 5):
        found = influential_rank(gamma=gamma)(scores)
        assert np.mean(found.info.votes != votes) < 0.02  # a mixture is fitted to a tolerance
        assert np.mean(found.flagged != (candidates & (votes >= gamma))) < 0.01
        assert found.info.required == gamma


def test_votes_start_at_the_smaller_mean():
    # Both groups are symmetric, so that the means are -10 and 10 whatever the tolerance.
    group = np.array([-1.0, -0.5, 0.5, 1.0] * 5)
    osd = np.concatenate([group - 10, group + 10, [50.0, 50.0]])
    osm = np.concatenate([np.ones(40), [-3.0, -4.0]])
    scores = OverfittingScores(osm, np.stack([osd, -osd, osd], axis=1), np.array([2, 2, 2]))
    found = influential_rank(gamma=3)(scores)
    low, high = group > 0, np.ones(20, bool)
    expected = np.concatenate([2 * low + (group <= 2), 2 * high + (group < 0), [0, 0]])
    np.testing.assert_array_equal(found.info.votes, expected)
    np.testing.assert_array_equal(found.flagged, expected == 3)
    np.testing.assert_allclose(found.info.mixtures[0].means, [-10, 10], atol=1e-3)
    np.testing.assert_allclose(found.info.mixtures[1].weights, [0.5, 0.5], atol=1e-3)
    np.testing.assert_allclose(found.info.mixtures[2].variances, [0.625, 0.625], atol=0.02)


@pytest.mark.parametrize("gamma", [2, 0.8])
def test_no_affine_map_of_a_class_changes_anything(gamma):
    scores, _ = made_up()
    expected = influential_rank(gamma=gamma)(scores)
    rng = np.random.default_rng(2)
    for size in (1e-12, 1e-3, 1.0, 1e6):
        osd = size * rng.uniform(0.5, 2, 5) * (scores.osd + rng.normal(size=5))
        found = influential_rank(gamma=gamma)(scores._replace(osd=osd))
        np.testing.assert_array_equal(found.info.votes, expected.info.votes)
        np.testing.assert_array_equal(found.flagged, expected.flagged)
        np.testing.assert_array_equal(found.scores, expected.scores)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_flagged_examples_come_first_and_osm_decides_among_equals(gamma):
    scores, _ = made_up()
    found = influential_rank(gamma=gamma)(scores)
    assert found.scores.shape == found.flagged.shape == scores.osm.shape
    assert found.scores.dtype == np.float64
    assert found.flagged.dtype == bool
    assert 0 < found.flagged.sum() < len(found.flagged)
    np.testing.assert_array_equal(found.flagged, found.scores > found.threshold)
    assert found.scores[found.flagged].min() > found.scores[~found.flagged].max()
    for group in (found.flagged, ~found.flagged):
        np.testing.assert_array_equal(np.argsort(found.scores[group]), np.argsort(scores.osm[group]))
    np.testing.assert_array_equal(ranking(found), np.argsort(-found.scores, kind="stable"))


def test_nothing_short_of_a_flag_reaches_the_threshold():
    osm = np.array([1e3, 1e9, 1e18, -1e18])
    found = influential_rank(gamma=2)(
        OverfittingScores(osm, np.array([[1.0, 0], [1, 0], [0, 1], [5, 5]]), np.array([2, 2]))
    )
    assert not found.flagged.any()
    assert (found.scores <= found.threshold).all()


def test_more_votes_flag_fewer_and_fractions_are_of_the_classes_that_can_vote():
    scores, _ = made_up(n=160, c=10)
    alone = influential_rank(gamma=0)(scores)
    np.testing.assert_array_equal(alone.flagged, scores.osm >= 0)
    assert alone.info.votes.max() == 10
    for gamma, count in ((7, 7), (0.7, 7), (0.71, 8), (1, 1), (1.0, 10), (0.01, 1), (np.float32(0.5), 5)):
        found = influential_rank(gamma=gamma)(scores)
        assert found.info.required == count
        np.testing.assert_array_equal(found.flagged, alone.info.votes >= count)
        assert 0 < found.flagged.sum() <= alone.flagged.sum()


def test_classes_that_cannot_vote_are_not_counted():
    scores, _ = made_up(n=160, c=10)
    osd = scores.osd.copy()
    osd[:, 3:] = 0
    found = influential_rank()(scores._replace(osd=osd, queries=np.array([4] * 3 + [1] * 4 + [0] * 3)))
    assert found.info.required == 3  # four fifths of three
    assert [m is None for m in found.info.mixtures] == [False] * 3 + [True] * 7
    np.testing.assert_array_equal(found.flagged, found.info.votes == 3)
    first = influential_rank(gamma=3)(OverfittingScores(scores.osm, osd[:, :3], np.full(3, 4)))
    np.testing.assert_array_equal(found.flagged, first.flagged)


def test_one_validation_example_per_class_leaves_osm_alone():
    scores, _ = made_up()
    found = influential_rank()(scores._replace(osd=np.zeros_like(scores.osd), queries=np.ones(5, int)))
    np.testing.assert_array_equal(found.flagged, scores.osm >= 0)
    assert found.info.required == 0


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("osd", [np.zeros((9, 5)), made_up(n=9)[0].osd], ids=["even influence", "uneven influence"])
def test_a_model_that_all_examples_move_alike_flags_none(gamma, osd):
    found = influential_rank(gamma=gamma)(OverfittingScores(np.zeros(9), osd, np.full(5, 3)))
    assert not found.flagged.any()
    assert not found.scores.any()
    assert not (found.scores > found.threshold).any()


def test_one_candidate_is_at_the_mean_of_all_candidates():
    osm = np.array([3.0, -1.0, -1.0, -1.0])
    scores = OverfittingScores(osm, np.array([[4.0, 5], [0, 1], [1, 0], [2, 2]]), np.array([2, 2]))
    assert influential_rank(gamma=2)(scores).flagged.tolist() == [True, False, False, False]


def test_neither_the_order_of_examples_nor_the_numbering_of_classes_matters():
    scores, _ = made_up(n=6000)  # more candidates than a fit reads
    found = influential_rank()(scores)
    order = np.random.default_rng(0).permutation(len(scores.osm))
    moved = influential_rank()(scores._replace(osm=scores.osm[order], osd=scores.osd[order][:, ::-1]))
    np.testing.assert_array_equal(moved.scores, found.scores[order])
    np.testing.assert_array_equal(moved.info.votes, found.info.votes[order])
    np.testing.assert_array_equal(moved.flagged, found.flagged[order])


def test_examples_given_twice_are_flagged_twice():
    scores, _ = made_up()
    found = influential_rank()(scores)
    twice = influential_rank()(scores._replace(osm=np.repeat(scores.osm, 2), osd=np.repeat(scores.osd, 2, axis=0)))
    assert np.mean(twice.flagged != np.repeat(found.flagged, 2)) < 0.005  # a mixture is fitted to a tolerance
    assert len({tuple(pair) for pair in twice.flagged.reshape(-1, 2)} - {(True, True), (False, False)}) == 0


def test_many_candidates_are_read_by_their_quantiles():
    few, _ = made_up()
    many = few._replace(osm=np.tile(few.osm, 40), osd=np.tile(few.osd, (40, 1)))
    found, expected = influential_rank()(many), influential_rank()(few)
    assert np.mean(found.flagged != np.tile(expected.flagged, 40)) < 0.01


def test_arrays_on_devices_are_read():
    scores, _ = made_up()
    single = scores._replace(osm=scores.osm.astype(np.float32), osd=scores.osd.astype(np.float32))
    found = influential_rank()(OverfittingScores(*(jnp.asarray(a) for a in single)))
    np.testing.assert_array_equal(found.flagged, influential_rank()(single).flagged)
    assert isinstance(found.flagged, np.ndarray)


class Memorised(NamedTuple):
    """A network that has learned wrong labels by heart."""

    flips: np.ndarray
    loss: np.ndarray
    scores: dict[str, OverfittingScores]
    accuracy: float


@pytest.fixture(scope="module")
def memorised():
    """A fifth of 600 digits mislabeled; 5 clean validation examples per class, as in the paper's footnote."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(x))
    train, rest = order[:600], order[600:]
    clean = np.concatenate([rest[y[rest] == k][:5] for k in range(10)])
    flips = rng.random(600) < 0.2
    labels = np.where(flips, (y[train] + rng.integers(1, 10, 600)) % 10, y[train])
    net = MLPClassifier(
        (64,),
        alpha=0,
        learning_rate_init=3e-3,
        batch_size=32,
        max_iter=150,
        tol=0,
        n_iter_no_change=999,
        random_state=0,
    )
    with pytest.warns(match="Maximum iterations"):
        net.fit(x[train], labels)

    def at_the_head(rows, given):
        h = np.maximum(x[rows] @ net.coefs_[0] + net.intercepts_[0], 0).astype(np.float32)
        return h, (h @ net.coefs_[1] + net.intercepts_[1]).astype(np.float32), given.astype(np.int32)

    data, validation = at_the_head(train, labels), at_the_head(clean, y[clean])
    factor = last_layer.factorise(*data[:2], damping=0.01)
    scores = {way: head_overfitting(normalise=way)(factor, data, validation)[0] for way in ("examples", "none")}
    loss = np.asarray(np.logaddexp.reduce(data[1].astype(float), axis=1) - data[1][np.arange(600), labels])
    return Memorised(flips, loss, scores, float(net.score(x[train], labels)))


def test_memorised_labels_are_flagged_with_a_precision_well_above_their_share(memorised):
    assert memorised.accuracy > 0.95
    share = memorised.flips.mean()
    for gamma, at_least, recall in ((0, 2.0, 0.6), (0.5, 2.2, 0.4), (0.8, 2.5, 0.1)):
        flagged = influential_rank(gamma=gamma)(memorised.scores["examples"]).flagged
        assert memorised.flips[flagged].mean() > at_least * share
        assert memorised.flips[flagged].sum() > recall * memorised.flips.sum()


def test_memorised_labels_are_ranked_before_others(memorised):
    found: Detection = influential_rank()(memorised.scores["examples"])
    assert roc_auc_score(memorised.flips, found.scores) > 0.85
    by_votes = found.info.votes + found.scores / 10
    assert average_precision_score(memorised.flips, found.scores) > average_precision_score(memorised.flips, by_votes)


def test_single_precision_selects_the_same_by_normalised_and_by_plain_deviations(memorised):
    found, plain = (influential_rank(gamma=0.5)(memorised.scores[way]) for way in ("examples", "none"))
    assert np.mean(found.flagged != plain.flagged) < 0.005
    np.testing.assert_array_equal(found.info.candidates, plain.info.candidates)


def refused():
    scores, _ = made_up(n=20)
    nothing = scores._replace(osd=np.zeros_like(scores.osd))
    osm, osd = scores.osm.copy(), scores.osd.copy()
    osm[7], osd[3, 2] = np.nan, np.inf
    detect = influential_rank()
    return {
        "negative": (lambda: influential_rank(gamma=-1), ValueError, "gamma must be a whole number >= 0"),
        "a fraction above 1": (lambda: influential_rank(gamma=1.5), ValueError, r"\(0, 1\].*1.5"),
        "a fraction of 0": (lambda: influential_rank(gamma=0.0), ValueError, "0 for OSM alone"),
        "NaN": (lambda: influential_rank(gamma=np.nan), ValueError, "nan"),
        "text": (lambda: influential_rank(gamma="8"), TypeError, "str"),
        "truth": (lambda: influential_rank(gamma=True), TypeError, "bool"),
        "more than the classes": (lambda: influential_rank(gamma=6)(scores), ValueError, "only 5"),
        "more than can vote": (lambda: influential_rank(gamma=1)(nothing), ValueError, "only 0 can vote.*fraction"),
        "one class": (
            lambda: detect(OverfittingScores(scores.osm, scores.osd[:, :1], scores.queries[:1])),
            ValueError,
            "two classes",
        ),
        "no validation set": (
            lambda: detect(nothing._replace(queries=np.zeros(5, int))),
            ValueError,
            "no validation examples",
        ),
        "other examples": (lambda: detect(scores._replace(osm=osm[1:])), ValueError, r"\(19,\), \(20, 5\)"),
        "other classes": (lambda: detect(scores._replace(queries=np.ones(4))), ValueError, r"\(4,\)"),
        "NaN among OSM": (lambda: detect(scores._replace(osm=osm)), ValueError, r"osm \(did training.*\(7,\)"),
        "infinite OSD": (lambda: detect(scores._replace(osd=osd)), ValueError, r"osd \(did training.*\(3, 2\)"),
    }


@pytest.mark.parametrize("case", refused())
def test_bad_input_is_refused(case):
    call, error, message = refused()[case]
    with pytest.raises(error, match=message):
        call()
