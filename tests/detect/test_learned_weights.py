import numpy as np
import pytest

from jaxnoisy.detect import learned_weights


def test_weights_below_the_threshold_are_flagged():
    weights = np.linspace(0, 1, 21).astype(np.float32)
    for threshold in (0.3, 0.55):
        found = learned_weights(threshold=threshold)(weights)
        np.testing.assert_array_equal(found.flagged, weights.astype(np.float64) < threshold - 1e-6)
        np.testing.assert_array_equal(found.flagged, found.scores > found.threshold)
        np.testing.assert_array_equal(found.scores, 1 - weights.astype(np.float64))
    assert learned_weights()(weights).info.used is None


def test_what_was_used_by_epoch_is_kept():
    used = np.full((3, 2), 0.5, np.float16)
    np.testing.assert_array_equal(learned_weights()(np.array([0.1, 0.2, 0.9]), used).info.used, used)


@pytest.mark.parametrize(
    ("weights", "used", "message"),
    [
        (np.ones((2, 2)), None, r"weights must have shape \(n,\)"),
        (np.ones(0), None, r"weights must have shape \(n,\)"),
        (np.array([0.1, np.nan]), None, "weights has 1 values that are not finite"),
        (np.array([0.1, 1.5]), None, r"weights must lie in \[0, 1\], but weights\[1\] is 1.5"),
        (np.array([-0.1, 0.5]), None, r"weights must lie in \[0, 1\], but weights\[0\] is -0.1"),
        (np.array([0.1, 0.5]), np.ones((3, 1)), r"used must have shape \(n, t\) for 2 examples"),
    ],
)
def test_bad_weights(weights, used, message):
    with pytest.raises(ValueError, match=message):
        learned_weights()(weights, used)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, float("nan")])
def test_bad_thresholds(threshold):
    with pytest.raises(ValueError, match=r"threshold must lie in \(0, 1\)"):
        learned_weights(threshold=threshold)
