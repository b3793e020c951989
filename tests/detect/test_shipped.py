"""The detector that comes with the package."""

import numpy as np
from lstm_runs import planted, trace_of
from sklearn.metrics import roc_auc_score

from jaxnoisy.detect import lstm, shipped_detector
from jaxnoisy.detect.shipped import SHIPPED


def test_it_is_read_once_and_is_small():
    assert shipped_detector() is shipped_detector()
    assert SHIPPED.stat().st_size < 500_000


def test_its_card_says_what_it_is():
    card = shipped_detector().card
    for key in ("data", "noise", "model", "epochs", "seeds", "metrics", "licence", "command"):
        assert card[key], key
    assert (card["examples"], card["mislabeled"]) > (1000, 100)


def test_it_works_off_the_shelf_on_dynamics_of_other_lengths():
    for t in (8, 25, 90):
        probabilities, flips = planted(n=400, t=t, rate=0.2, seed=t)
        assert roc_auc_score(flips, lstm()(trace_of(probabilities)).scores) > 0.9
    np.testing.assert_array_equal(
        lstm()(trace_of(probabilities)).scores, lstm(shipped_detector())(trace_of(probabilities)).scores
    )
