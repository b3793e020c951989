"""What several detections agree on."""

import numpy as np
import pytest

from jaxnoisy.detect import Detection, agreed, ranking


def detection(scores, flagged):
    return Detection(np.asarray(scores, float), np.asarray(flagged, bool), None)


def some(seed, n=40):
    rng = np.random.default_rng(seed)
    return detection(rng.normal(size=n) * 10.0**seed, rng.random(n) < 0.4)


def test_flagged_is_what_all_flag_and_comes_first():
    streams = {"rgb": some(0), "flow": some(1), "sound": some(2)}
    found = agreed(streams)
    votes = sum(d.flagged.astype(int) for d in streams.values())
    np.testing.assert_array_equal(found.flagged, votes == 3)
    np.testing.assert_array_equal(found.info.votes, votes)
    np.testing.assert_array_equal(found.flagged, found.scores > found.threshold)
    assert found.flagged.any()
    assert found.scores[found.flagged].min() > found.scores[~found.flagged].max()
    assert {name: found.info.detections[name] is d for name, d in streams.items()} == dict.fromkeys(streams, True)


def test_the_score_is_the_smallest_share_of_rank():
    a, b = detection([5, 1, 9, 3], [0, 0, 0, 0]), detection([40, 30, 20, 10], [0, 0, 0, 0])
    np.testing.assert_allclose(agreed({"a": a, "b": b}).scores, np.array([2, 0, 1, 0]) / 3, atol=1e-9)


def test_within_a_stream_flagged_examples_rank_first():
    only = detection([5, 1, 9, 3], [1, 1, 0, 0])  # the rule is not one threshold
    np.testing.assert_array_equal(ranking(agreed({"a": only})), ranking(only))
    np.testing.assert_allclose(agreed({"a": only}).scores, [2, 1 + 2 / 3, 1 / 3, 0], atol=1e-9)


def test_units_do_not_matter_and_ties_share_a_rank():
    a, b = some(3), some(4)
    moved = detection(1e6 * b.scores - 4, b.flagged)
    np.testing.assert_array_equal(agreed({"a": a, "b": b}).scores, agreed({"a": a, "b": moved}).scores)
    tied = detection([1, 1, 1, 0], [0, 0, 0, 0])
    np.testing.assert_allclose(agreed({"a": tied}).scores, [2 / 3, 2 / 3, 2 / 3, 0], atol=1e-9)
    assert agreed({"a": detection([4.0], [1])}).flagged.tolist() == [True]


@pytest.mark.parametrize(
    ("detections", "message"),
    [
        ({}, "no detections to compare"),
        ({"a": some(0), "b": some(0, n=39)}, "of the same examples, but are of {'a': 40, 'b': 39}"),
        ({"a": some(0), "b": detection([np.nan, *[0.0] * 39], [0] * 40)}, "the scores of b has 1 values"),
    ],
)
def test_what_cannot_be_compared_is_refused(detections, message):
    with pytest.raises(ValueError, match=message):
        agreed(detections)
