"""Which epochs a learned detector judges by."""

import jax
import numpy as np
import pytest
from lstm_runs import SMALL

from jaxnoisy.detect import LSTMDetector, lstm_network, train_detector
from jaxnoisy.detect.lstm_importance import epoch_importance

EPOCHS, TELLING = 12, slice(4, 7)


@pytest.fixture(scope="module")
def planted() -> tuple[LSTMDetector, np.ndarray, np.ndarray]:
    """Epochs 4 to 6 alone tell which labels are wrong, all others are noise."""
    rng, flips = np.random.default_rng(0), np.arange(320) % 3 == 0
    values = rng.random((320, EPOCHS, 1)).astype(np.float32)
    values[flips, TELLING] *= 0.25
    return train_detector(jax.random.key(0), values, flips, SMALL), values, flips


def test_epochs_that_tell_are_found(planted):
    detector, values, flips = planted
    found = epoch_importance(detector, values[flips], baseline=values.mean(axis=0))[..., 0]
    assert found.shape == (flips.sum(), EPOCHS)
    by_epoch = np.abs(found).mean(axis=0)
    assert sorted(np.argsort(by_epoch)[-3:]) == [4, 5, 6]
    assert by_epoch[TELLING].sum() > 0.5 * by_epoch.sum()  # 3 epochs of 12
    assert (found[:, TELLING].sum(axis=1) > 0).mean() > 0.9


def test_all_epochs_together_are_the_difference_of_log_odds(planted):
    detector, values, _ = planted
    start = np.full((EPOCHS, 1), 0.5, np.float32)
    found = epoch_importance(detector, values[:70], baseline=start, steps=64)
    expected = detector.logits(values[:70]) - detector.logits(start[None])
    np.testing.assert_allclose(found.sum(axis=(1, 2)), expected, atol=0.02)


def test_the_mean_is_what_is_compared_with(planted):
    detector, values, _ = planted
    named = epoch_importance(detector, values[:9], baseline=values[:9].mean(axis=0))
    np.testing.assert_allclose(epoch_importance(detector, values[:9]), named, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.zeros((3, 11, 1)), {}, r"shape \(n, 12, 1\).*\(3, 11, 1\)"),
        (np.zeros((0, 12, 1)), {}, "n >= 1"),
        (np.zeros((3, 12, 1)), {"baseline": np.zeros(12)}, r"baseline must have shape \(12, 1\).*\(12,\)"),
        (np.full((3, 12, 1), np.nan), {}, "sequences"),
        (np.zeros((3, 12, 1)), {"baseline": np.full((12, 1), np.inf)}, "baseline"),
        (np.zeros((3, 12, 1)), {"steps": 0}, "steps"),
    ],
)
def test_bad_arguments_are_refused(values, options, message):
    weights = lstm_network.init(jax.random.key(0), signals=1, hidden=4, layers=1)
    with pytest.raises(ValueError, match=message):
        epoch_importance(LSTMDetector(weights, ("probability",), EPOCHS), values, **options)
