"""The three stages of NLNL."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from tiny import MLP, assert_same_run, features

from jaxnoisy.data import make
from jaxnoisy.detect import nlnl
from jaxnoisy.robust import negative_learning, selective_negative, selective_positive
from jaxnoisy.training import TrainConfig, fit
from jaxnoisy.training.nlnl import STAGES, fit_nlnl, in_stages


def test_each_stage_goes_on_where_the_one_before_ended():
    data, model = features(), MLP(6, 3)
    config = TrainConfig(epochs=2, batch_size=16, learning_rate=0.05)
    done = fit_nlnl(model, data, config, keep_above=0.4)
    first = fit(model, data, config, loss=negative_learning)
    second = fit(first.model, data, config, loss=selective_negative, scale=first.scale)
    last = fit(second.model, data, config, loss=lambda z, y: selective_positive(z, y, above=0.4), scale=second.scale)
    assert_same_run(done, last)


def test_stages_are_named_and_handed_on():
    seen = []

    def train(stage, loss, before):
        seen.append((stage, before))
        return stage

    assert in_stages(train) == STAGES[-1]
    assert seen == [*zip(STAGES, (None, *STAGES))]


def test_wrong_labels_of_digits_are_found():
    inputs, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    inputs, labels = inputs[:600].astype(np.float32), labels[:600].astype(np.int32)
    flips = rng.random(600) < 0.3
    given = np.where(flips, (labels + rng.integers(1, 10, 600)) % 10, labels)
    config = TrainConfig(epochs=12, batch_size=16, learning_rate=0.03, weight_decay=0.0)
    found = nlnl()(fit_nlnl(MLP(64, 10, hidden=32), make(inputs, given), config).trace)
    assert roc_auc_score(flips, found.scores) > 0.95
    assert flips[found.flagged].mean() > 0.7
    assert found.flagged[flips].mean() > 0.85


def test_thresholds_out_of_range():
    with pytest.raises(ValueError, match="keep_above must lie in"):
        in_stages(lambda stage, loss, before: None, keep_above=1.5)
