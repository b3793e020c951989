import jax
import numpy as np
import pytest
from conftest import stacked, trained_logits
from sklearn.metrics import roc_auc_score

from jaxnoisy.detect import aum_threshold, threshold_examples, threshold_labels
from jaxnoisy.dynamics import Trace, observe


def random_trace(labels, num_classes, seed):
    logits = np.random.default_rng(seed).normal(size=(3, len(labels), num_classes)).astype(np.float32)
    return stacked(logits, labels)


def two_runs(n=120, c=3, seed=0):
    labels = np.random.default_rng(seed).integers(0, c, n)
    masks = threshold_examples(jax.random.key(seed), labels, c)
    traces = [random_trace(threshold_labels(labels, m, c), c + 1, seed + i) for i, m in enumerate(masks)]
    return traces[0], masks[0], traces[1], masks[1]


@pytest.mark.parametrize(("n", "c"), [(3, 2), (100, 2), (101, 9), (1797, 10), (50, 200)])
def test_threshold_examples_are_disjoint_and_as_many_as_a_class(n, c):
    labels = np.arange(n) % c
    a, b = threshold_examples(jax.random.key(1), labels, c)
    assert a.dtype == b.dtype == bool
    assert a.shape == b.shape == (n,)
    assert not (a & b).any()
    assert a.sum() == b.sum() == max(1, round(n / (c + 1)))


def test_threshold_examples_follow_the_key_and_favour_no_row():
    labels = np.zeros(30, int)
    first, again = (threshold_examples(jax.random.key(3), labels, 2) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    drawn = np.sum([threshold_examples(jax.random.key(s), labels, 2)[0] for s in range(300)], axis=0)
    # Binomial(300, 1/3): six standard deviations.
    assert np.abs(drawn - 100).max() < 6 * np.sqrt(300 * 2 / 9)


def test_threshold_labels_move_to_the_extra_class():
    moved = threshold_labels(np.array([0, 1, 1]), np.array([False, True, False]), 2)
    assert moved.tolist() == [0, 2, 1]
    assert moved.dtype == np.int32


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("percentile", [50.0, 99.0])
def test_flags_are_the_union_of_what_the_runs_flag(seed, percentile):
    runs = two_runs(seed=seed)
    found = aum_threshold(percentile=percentile)(*runs)
    union = np.zeros(len(runs[1]), bool)
    for trace, mask in (runs[:2], runs[2:]):
        seen = trace.seen
        area = (seen.log_p_given - seen.log_p_other).mean(axis=1, dtype=np.float64)
        limit = np.percentile(area[mask], percentile)
        union |= ~mask & (area < limit)
    np.testing.assert_array_equal(found.flagged, union)
    np.testing.assert_array_equal(found.flagged, found.scores > found.threshold)
    assert np.isfinite(found.scores).all()
    assert union.any()


def test_an_example_is_judged_only_where_it_kept_its_label():
    trace_a, mask_a, trace_b, mask_b = two_runs()
    found = aum_threshold()(trace_a, mask_a, trace_b, mask_b)
    np.testing.assert_allclose(found.scores[mask_a], (found.info.threshold_b - found.info.aum_b)[mask_a])
    np.testing.assert_allclose(found.scores[mask_b], (found.info.threshold_a - found.info.aum_a)[mask_b])


def test_the_order_of_the_runs_does_not_matter():
    a, mask_a, b, mask_b = two_runs()
    np.testing.assert_array_equal(
        aum_threshold()(a, mask_a, b, mask_b).scores, aum_threshold()(b, mask_b, a, mask_a).scores
    )


def test_wrong_digits_are_found(noisy):
    labels = noisy.trace.labels
    masks = threshold_examples(jax.random.key(0), labels, 10)
    runs = []
    for seed, mask in enumerate(masks):
        given = threshold_labels(labels, mask, 10)
        runs += [stacked(trained_logits(given, 11, epochs=30, seed=seed), given), mask]
    found = aum_threshold()(*runs)
    assert roc_auc_score(noisy.flips, found.scores) > 0.97
    assert noisy.flips[found.flagged].mean() > 0.5
    assert found.flagged[noisy.flips].mean() > 0.9


def test_runs_that_do_not_belong_together_are_refused():
    a, mask_a, b, mask_b = two_runs()
    detect = aum_threshold()
    with pytest.raises(ValueError, match="threshold_labels"):
        detect(a, mask_b, b, mask_a)
    with pytest.raises(ValueError, match="both runs"):
        detect(a, mask_a, a, mask_a)
    with pytest.raises(ValueError, match=r"\(120,\) bool"):
        detect(a, mask_a.astype(int), b, mask_b)
    with pytest.raises(ValueError, match="120 and 119 examples"):
        detect(a, mask_a, b.take(slice(1, None)), mask_b[1:])
    labels = b.labels.copy()
    row = int(np.flatnonzero(~(mask_a | mask_b))[0])
    labels[row] = (labels[row] + 1) % 3
    with pytest.raises(ValueError, match=f"different labels: 1 differ.*row {row}"):
        detect(a, mask_a, Trace(labels, b.seen, 4), mask_b)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="percentile"):
        aum_threshold(percentile=101)
    with pytest.raises(TypeError, match="typed key"):
        threshold_examples(0, np.zeros(9, int), 2)
    with pytest.raises(ValueError, match="at least 3"):
        threshold_examples(jax.random.key(0), np.array([0, 1]), 2)
    with pytest.raises(ValueError, match="numbered 0 to 1"):
        threshold_examples(jax.random.key(0), np.array([0, 1, 2]), 2)
    with pytest.raises(ValueError, match="mask"):
        threshold_labels(np.array([0, 1]), np.array([True]), 2)


def test_an_example_below_either_threshold_is_flagged_by_hand():
    # One epoch; margins are differences of logits. Threshold examples: row 3 in run a (-1), row 2 in run b (+1).
    def run(margins, labels):
        logits = np.zeros((len(margins), 3), np.float32)
        logits[np.arange(len(margins)), labels] = margins
        seen = observe(logits, labels)
        seen = type(seen)(*(f[:, None] for f in seen))
        return Trace(labels.astype(np.int32), seen._replace(argmax=seen.argmax.astype(np.int8)), 3)

    labels = np.array([0, 1, 0, 1])
    mask_a, mask_b = np.array([0, 0, 0, 1], bool), np.array([0, 0, 1, 0], bool)
    a = run(np.array([2.0, -3.0, 0.5, -1.0]), threshold_labels(labels, mask_a, 2))
    b = run(np.array([3.0, 4.0, 1.0, 0.25]), threshold_labels(labels, mask_b, 2))
    found = aum_threshold()(a, mask_a, b, mask_b)
    np.testing.assert_allclose(found.scores, [-2.0, 2.0, -1.5, 0.75], atol=1e-6)
    assert found.flagged.tolist() == [False, True, False, True]
