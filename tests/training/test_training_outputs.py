"""Outputs for many examples, block by block."""

import numpy as np
import pytest
from tiny import features, linear

from jaxnoisy.training import TrainConfig, fit, outputs
from jaxnoisy.training.normalize import Moments


def doubled(params, rest, inputs):
    return params * inputs[:, :2] + rest


def test_blocks_of_chosen_rows_are_the_rows_of_all(monkeypatch):
    monkeypatch.setattr(outputs, "BLOCK", 4)
    inputs = np.arange(33, dtype=np.float32).reshape(11, 3)
    every = outputs.outputs(doubled, 2.0, 1.0, inputs)
    np.testing.assert_array_equal(every, 2 * inputs[:, :2] + 1)
    rows = np.array([9, 0, 3, 3, 10])
    np.testing.assert_array_equal(outputs.outputs(doubled, 2.0, 1.0, inputs, rows), every[rows])
    np.testing.assert_array_equal(outputs.predictions(every), np.ones(11))


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(FloatingPointError, match="training has diverged"):
        outputs.outputs(doubled, np.nan, 1.0, np.ones((3, 3), np.float32))


def test_a_given_scale_is_trained_with_and_tells_a_run_from_another(tmp_path):
    data, config = features(), TrainConfig(epochs=1, record="none")
    scale = Moments(np.full(6, 0.5, np.float32), np.full(6, 2.0, np.float32))
    done = fit(linear(6, 3), data, config, scale=scale, checkpoints=tmp_path)
    assert done.scale is scale
    moved = features()
    object.__setattr__(moved, "inputs", (data.inputs - np.float32(0.5)) / np.float32(2))
    same = fit(linear(6, 3), moved, config, scale=Moments(np.zeros(6, np.float32), np.ones(6, np.float32)))
    np.testing.assert_array_equal(done.state.params["kernel"][...], same.state.params["kernel"][...])
    with pytest.raises(ValueError, match="scale is '"):
        fit(linear(6, 3), data, config, checkpoints=tmp_path, resume=True)
