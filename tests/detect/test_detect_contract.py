"""What holds for every detector; a new one joins with one line in DETECTORS."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

from jaxnoisy.detect import MIN_EPOCHS, TRACE_METHODS, confident_learning, el2n, margin_mixture, methods_for, small_loss
from jaxnoisy.dynamics import Observation, Trace, from_probabilities
from jaxnoisy.dynamics.observation import FLOAT_FIELDS

DETECTORS = dict(TRACE_METHODS) | {
    "small-loss known rate": lambda: small_loss(noise_rate=0.04),
    "probability margin": lambda: margin_mixture(signal="probability-margin"),
    "quantised margin": lambda: margin_mixture(signal="quantised-margin"),
    "el2n all epochs": lambda: el2n(epochs=None),
    "confident by class": lambda: confident_learning(prune="prune_by_class", rank="normalized_margin"),
    "confident entropy": lambda: confident_learning(prune="confident_learning", rank="confidence_weighted_entropy"),
}
# Variability ranks the ambiguous examples: what a model does not memorise is not among them.
RANKING = [name for name in DETECTORS if name != "variability"]

every = pytest.mark.parametrize("name", list(DETECTORS))


def with_fields(trace: Trace, change) -> Trace:
    return dataclasses.replace(trace, seen=Observation(*(change(np.array(f)) for f in trace.seen)))


def blanked(trace: Trace, gone: np.ndarray) -> Trace:
    fields = {name: np.where(gone, np.nan, getattr(trace.seen, name)).astype(np.float32) for name in FLOAT_FIELDS}
    argmax = np.where(gone, -1, trace.seen.argmax).astype(np.int8)
    return dataclasses.replace(trace, seen=Observation(**fields, argmax=argmax))


@every
def test_shapes_types_and_threshold(name, noisy):
    found = DETECTORS[name]()(noisy.trace)
    n = len(noisy.trace)
    assert found.scores.shape == found.flagged.shape == (n,)
    assert found.scores.dtype == np.float64
    assert found.flagged.dtype == bool
    assert np.isfinite(found.scores).all()
    if found.threshold is not None:
        assert np.isfinite(found.threshold)
        np.testing.assert_array_equal(found.flagged, found.scores > found.threshold)


@every
def test_the_same_trace_gives_the_same_answer(name, noisy):
    detect = DETECTORS[name]()
    first, second = detect(noisy.trace), detect(noisy.trace)
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.flagged, second.flagged)


@pytest.mark.parametrize("name", RANKING)
def test_planted_noise_is_ranked_first(name, noisy):
    found = DETECTORS[name]()(noisy.trace)
    assert roc_auc_score(noisy.flips, found.scores) > 0.95


@pytest.mark.parametrize("name", [name for name in DETECTORS if name != "small-loss known rate"])
def test_clean_data_is_left_alone(name, clean):
    assert DETECTORS[name]()(clean.trace).flagged.mean() <= 0.02


@pytest.mark.parametrize("name", RANKING)
def test_seventy_wrong_do_not_flag_a_thousand(name, noisy):
    flagged = DETECTORS[name]()(noisy.trace).flagged
    # The learned detector's threshold was set on other runs.
    most = 1.3 if name == "lstm" else 1.2
    assert 0.4 * 70 <= flagged.sum() <= most * 70
    assert noisy.flips[flagged].mean() > 0.75


@pytest.mark.parametrize("name", ["aum", "margin-mixture", "mean-loss", "confidence", "el2n"])
def test_about_seventy_are_flagged_where_seventy_are_wrong(name, noisy):
    flagged = DETECTORS[name]()(noisy.trace).flagged
    assert 60 <= flagged.sum() <= 80
    assert noisy.flips[flagged].mean() > 0.9


@pytest.mark.parametrize("name", [name for name in RANKING if name != "small-loss known rate"])
def test_a_fifth_wrong_flags_about_a_fifth(name, very_noisy):
    flagged = DETECTORS[name]()(very_noisy.trace).flagged
    assert 0.5 * 359 <= flagged.sum() <= 1.15 * 359
    assert very_noisy.flips[flagged].mean() > 0.75


@every
def test_the_order_of_examples_does_not_matter(name, noisy):
    detect = DETECTORS[name]()
    order = np.random.default_rng(0).permutation(len(noisy.trace))
    found, moved = detect(noisy.trace), detect(noisy.trace.take(order))
    np.testing.assert_array_equal(moved.scores, found.scores[order])
    np.testing.assert_array_equal(moved.flagged, found.flagged[order])


@every
def test_the_numbering_of_classes_does_not_matter(name, noisy):
    trace = noisy.trace
    to = np.random.default_rng(1).permutation(trace.num_classes)
    renamed = dataclasses.replace(
        trace,
        labels=to[trace.labels].astype(np.int32),
        seen=trace.seen._replace(argmax=to[trace.seen.argmax].astype(np.int8)),
        mean_probs=trace.mean_probs[:, np.argsort(to)],
    )
    detect = DETECTORS[name]()
    found, again = detect(trace), detect(renamed)
    np.testing.assert_allclose(again.scores, found.scores, atol=1e-12)
    # Confident learning rounds the counts of each class, and of equal remainders the first is rounded up.
    assert (again.flagged != found.flagged).sum() <= (trace.num_classes if name.startswith("confident") else 0)


@every
def test_examples_twice_score_twice(name, noisy):
    detect = DETECTORS[name]()
    found, twice = detect(noisy.trace), detect(noisy.trace.take(np.repeat(np.arange(len(noisy.trace)), 2)))
    np.testing.assert_array_equal(twice.scores, np.repeat(found.scores, 2))
    # Counts of confident learning round, and a mixture is fitted to a tolerance.
    assert (twice.flagged != np.repeat(found.flagged, 2)).mean() < 0.005


@every
def test_more_examples_than_a_block(name, noisy):
    short = dataclasses.replace(noisy.trace.until(3), mean_probs=noisy.trace.mean_probs)
    copies = (1 << 16) // len(short) + 1
    detect = DETECTORS[name]()
    found, many = detect(short), detect(short.take(np.tile(np.arange(len(short)), copies)))
    np.testing.assert_array_equal(many.scores, np.tile(found.scores, copies))
    assert many.flagged.mean() == pytest.approx(found.flagged.mean(), abs=0.01)


@every
def test_an_epoch_nobody_recorded_changes_nothing(name, noisy):
    trace = noisy.trace
    gone = np.zeros((len(trace), trace.epochs + 1), bool)
    gone[:, 4] = True
    longer = blanked(with_fields(trace, lambda f: np.insert(f, 4, f[:, 0], axis=1)), gone)
    detect = DETECTORS[name]()
    if name == "lstm":  # which keeps time, and reads between its neighbours what was not recorded
        found, again = detect(trace), detect(longer)
        assert stats.spearmanr(again.scores, found.scores).statistic > 0.98
        assert (again.flagged != found.flagged).mean() < 0.01
        return
    # Ranks, as the score of a never-learned example counts the epochs of the trace.
    np.testing.assert_array_equal(stats.rankdata(detect(longer).scores), stats.rankdata(detect(trace).scores))
    np.testing.assert_array_equal(detect(longer).flagged, detect(trace).flagged)


@pytest.mark.parametrize("name", RANKING)
def test_scattered_gaps_are_borne(name, noisy):
    gone = np.random.default_rng(0).random(noisy.trace.seen.argmax.shape) < 0.3
    gone[np.arange(len(gone)), np.random.default_rng(1).integers(0, gone.shape[1], len(gone))] = False
    found = DETECTORS[name]()(blanked(noisy.trace, gone))
    assert np.isfinite(found.scores).all()
    assert roc_auc_score(noisy.flips, found.scores) > 0.95
    assert found.flagged.sum() <= 100


@every
def test_half_precision_storage_is_close(name, noisy):
    detect = DETECTORS[name]()
    half = with_fields(noisy.trace, lambda f: f.astype(np.float16) if np.issubdtype(f.dtype, np.floating) else f)
    found, coarse = detect(noisy.trace), detect(half)
    # The error norm is the root of a difference, which near zero turns 2^-11 into 0.03.
    np.testing.assert_allclose(coarse.scores, found.scores, atol=0.03 if name.startswith("el2n") else 5e-3, rtol=5e-3)
    assert (coarse.flagged != found.flagged).mean() < 0.005


@every
def test_one_epoch(name, noisy):
    trace = from_probabilities(noisy.trace.mean_probs, noisy.trace.labels)
    detect = DETECTORS[name]()
    if MIN_EPOCHS.get(name, 1) > 1:
        with pytest.raises(ValueError, match="at least 2"):
            detect(trace)
    else:
        found = detect(trace)
        assert roc_auc_score(noisy.flips, found.scores) > 0.95
        assert found.flagged.sum() <= 100


@every
def test_an_example_never_recorded_is_refused(name, noisy):
    gone = np.zeros(noisy.trace.seen.argmax.shape, bool)
    gone[17] = True
    with pytest.raises(ValueError, match=r"1 of 1797 examples were never recorded, the first at row 17"):
        DETECTORS[name]()(blanked(noisy.trace, gone))


@every
def test_two_classes(name):
    y = load_breast_cancer().target
    rng = np.random.default_rng(0)
    flips = rng.random(len(y)) < 0.1
    labels = np.where(flips, 1 - y, y)
    p = np.clip(rng.normal(0.9, 0.08, (3, len(y))), 0.01, 0.99)
    columns = [from_probabilities(np.where(y[:, None] == np.arange(2), q[:, None], 1 - q[:, None]), labels) for q in p]
    seen = Observation(*(np.concatenate(f, axis=1) for f in zip(*(t.seen for t in columns), strict=True)))
    trace = Trace(columns[0].labels, seen, 2, mean_probs=np.mean([t.mean_probs for t in columns], axis=0))
    found = DETECTORS[name]()(trace)
    assert np.isfinite(found.scores).all()
    if name in RANKING:
        assert roc_auc_score(flips, found.scores) > 0.95


@every
def test_a_class_of_one_example(name, noisy):
    threes = np.flatnonzero(noisy.trace.labels == 3)
    rows = np.setdiff1d(np.arange(len(noisy.trace)), threes[1:])
    found = DETECTORS[name]()(noisy.trace.take(rows))
    assert np.isfinite(found.scores).all()
    assert found.flagged.sum() <= 100


@every
@pytest.mark.parametrize("own", [0.5, 1 / 3], ids=["label first", "all classes tie"])
def test_equal_scores_flag_none(name, own):
    labels = np.arange(60) % 3
    probs = np.where(labels[:, None] == np.arange(3), own, (1 - own) / 2)
    one = from_probabilities(probs, labels)
    seen = Observation(*(np.repeat(f, 3, axis=1) for f in one.seen))
    seen = seen._replace(argmax=np.repeat(labels[:, None], 3, axis=1).astype(np.int8))
    found = DETECTORS[name]()(dataclasses.replace(one, seen=seen))
    assert np.ptp(found.scores) < 1e-6
    assert not found.flagged.any()


def test_methods_that_apply(noisy):
    assert methods_for(noisy.trace) == tuple(TRACE_METHODS)
    assert "confident-learning" not in methods_for(dataclasses.replace(noisy.trace, mean_probs=None))
    one = noisy.trace.until(1)
    for name in TRACE_METHODS:
        if name in methods_for(one):
            assert np.isfinite(TRACE_METHODS[name]()(one).scores).all()
        else:
            with pytest.raises(ValueError, match=r"at least 2|probabilities"):
                TRACE_METHODS[name]()(one)
