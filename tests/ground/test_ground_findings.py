import numpy as np
import pytest

from jaxnoisy.detect import Detection
from jaxnoisy.dynamics import Observation, Trace
from jaxnoisy.findings import Findings, find, suggested_labels


def voted(labels, predictions, *, c=4, mean_probs=None):
    """A trace in which example i predicted ``predictions[i]`` epoch by epoch; -1 is a gap."""
    argmax = np.array(predictions, np.int8)
    nothing = np.where(argmax < 0, np.nan, -1.0).astype(np.float32)
    probs = None if mean_probs is None else np.asarray(mean_probs, np.float32)
    return Trace(np.array(labels, np.int32), Observation(nothing, nothing, nothing, nothing, argmax), c, probs)


@pytest.mark.parametrize(
    ("label", "predicted", "kept", "flagged"),
    [
        (0, [1, 1, 0], 1, 1),
        (0, [0, 0, 2], 0, 2),  # the given label's own votes do not count once it is doubted
        (0, [2, 1, 2, 1], 1, 1),  # ties go to the smaller class
        (2, [3, 1, 2, 2], 2, 1),
        (3, [-1, -1, 1], 1, 1),  # gaps do not vote
        (3, [-1, -1, -1], 3, 3),  # never recorded: nothing better is known
        (1, [1, 1, 1], 1, 1),  # no other class was ever predicted
    ],
)
def test_votes(label, predicted, kept, flagged):
    trace = voted([label, label], [predicted, predicted])
    np.testing.assert_array_equal(suggested_labels(trace, np.array([False, True])), [kept, flagged])


def test_probabilities_stand_in_where_no_other_class_was_predicted():
    probs = [[0.1, 0.5, 0.1, 0.3], [0.3, 0.6, 0.1, 0.0], [0.0, 0.1, 0.1, 0.8]]
    trace = voted([1, 1, 1], [[1, 1], [-1, -1], [0, 1]], mean_probs=probs)
    out = suggested_labels(trace, np.array([True, True, True]))
    np.testing.assert_array_equal(out, [3, 0, 0])  # the last one did predict another class, and that vote counts
    assert out.dtype == np.int32


def test_a_flagged_example_never_keeps_its_label_when_probabilities_are_known():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    probs = rng.dirichlet(np.ones(4), 200)
    trace = voted(labels, rng.integers(-1, 4, (200, 5)), mean_probs=probs)
    assert (suggested_labels(trace, np.ones(200, bool)) != labels).all()


def findings(**options):
    trace = voted([0, 1, 1], [[0, 0, 1], [1, 1, 1], [0, 0, 0]], c=2)
    scores = np.array([3.0, 1.0, 2.0])
    detections = {"a": Detection(scores, scores > 2.5, 2.5), "b": Detection(-scores, scores < 0, None)}
    return Findings(trace, detections, "a", 0.1, **options)


def test_findings_name_rows_and_classes_where_there_is_no_data_set():
    found = findings()
    assert len(found) == 3
    assert found.class_names == ("0", "1")
    assert found.ids.tolist() == ["0", "1", "2"]
    np.testing.assert_array_equal(found.labels, [0, 1, 1])
    assert found.metrics() == {}


def test_findings_suggest_by_the_primary_method_unless_another_is_named():
    found = findings()
    np.testing.assert_array_equal(found.suggested(), [1, 1, 0])
    np.testing.assert_array_equal(found.suggested("b"), [0, 1, 0])


def test_findings_measure_every_method():
    found = findings(flips=np.array([True, False, False])).metrics()
    assert found["a"].roc_auc == found["a"].f1 == 1.0
    assert found["b"].roc_auc == found["b"].recall == 0.0


def test_find_reports_methods_in_order_and_takes_detections_made_elsewhere():
    rng = np.random.default_rng(0)
    n, t = 60, 6
    log_p = -np.abs(rng.normal(size=(n, t)) + 1).astype(np.float32)
    labels = rng.integers(0, 3, n).astype(np.int32)
    seen = Observation(
        log_p, log_p[::-1], np.zeros_like(log_p), np.exp(log_p), rng.integers(0, 3, (n, t)).astype(np.int8)
    )
    elsewhere = Detection(np.arange(n, dtype=float), np.zeros(n, bool), None)
    found = find(
        Trace(labels, seen, 3), ["x", "aum"], others={"x": elsewhere}, settings={"k": 1}, timings={"train": 2.0}
    )
    assert list(found.detections) == ["x", "aum"]
    assert found.detections["x"] is elsewhere
    assert found.primary == "x"
    # The area under the margin is minus the mean margin as a score.
    np.testing.assert_allclose(
        found.detections["aum"].scores, -(log_p - log_p[::-1]).mean(axis=1), rtol=1e-4, atol=1e-6
    )
    assert {"train", "detect aum"} <= found.timings.keys()
    assert found.settings == {"k": 1}
    assert 0 <= found.noise_rate <= 1
