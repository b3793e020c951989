"""The flags of NLNL."""

import numpy as np
import pytest

from jaxnoisy.detect import nlnl
from jaxnoisy.dynamics import Observation, Trace, from_probabilities

N = 4


def over_time(columns) -> Trace:
    """A trace of two classes in which each example's label has these probabilities, (n, t); NaN where unrecorded."""
    p = np.asarray(columns)
    ones = [
        from_probabilities(np.stack([q, 1 - q], axis=1), np.zeros(len(q), int)) for q in np.nan_to_num(p, nan=0.5).T
    ]
    seen = Observation(*(np.concatenate(f, axis=1) for f in zip(*(one.seen for one in ones))))
    gone = np.isnan(p)
    log_p_given = np.where(gone, np.nan, seen.log_p_given)
    return Trace(
        ones[0].labels, seen._replace(argmax=np.where(gone, -1, seen.argmax), log_p_given=log_p_given), 2, mode="train"
    )


def test_the_last_epochs_are_averaged():
    p = np.random.default_rng(0).uniform(size=(N, 7))
    for last in (1, 3, 7, 20):
        found = nlnl(last=last)(over_time(p))
        np.testing.assert_allclose(found.scores, 1 - p[:, -last:].mean(axis=1), atol=1e-6)
        np.testing.assert_array_equal(found.flagged, found.scores > found.threshold)
    assert nlnl()(over_time(p)).threshold == 0.5
    assert nlnl(keep_above=0.9)(over_time(p)).threshold == pytest.approx(0.1)


def test_only_recorded_epochs_count():
    p = np.random.default_rng(1).uniform(size=(N, 6))
    p[0, 4] = p[1, 5] = p[1, 4] = np.nan
    expected = [p[0, [3, 5]].mean(), p[1, [2, 3]].mean(), p[2, 4:].mean(), p[3, 4:].mean()]
    np.testing.assert_allclose(nlnl(last=2)(over_time(p)).scores, 1 - np.array(expected), atol=1e-6)


def test_refusals():
    p = np.full((N, 3), 0.7)
    p[2] = np.nan
    with pytest.raises(ValueError, match="1 of 4 examples were never recorded, the first at row 2"):
        nlnl()(over_time(p))
    for wrong in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"keep_above must lie in \(0, 1\)"):
            nlnl(keep_above=wrong)
    with pytest.raises(ValueError, match="last must be a whole number >= 1"):
        nlnl(last=0)
