"""Charts of learned weights."""

import numpy as np

from jaxnoisy.detect import learned_weights
from jaxnoisy.report.learned_weights import weight_histograms, weight_means

N = 40
FLAGGED = np.arange(N) < 10
BY_EPOCH = np.where(FLAGGED[:, None], [0.5, 0.4, 0.2, 0.1, 0.1], [0.5, 0.5, 0.6, 0.7, 0.8])


def test_histograms_of_the_first_and_last_epoch_and_some_between():
    picture = weight_histograms(BY_EPOCH, FLAGGED, 0.3, FLAGGED)
    assert picture.alt == (
        "Histograms of 40 weights after epochs 1, 2, 4, 5; after the last, the median is 0.80 of kept and 0.10 of "
        "flagged examples."
    )
    for epoch in (1, 2, 4, 5):
        assert f"after epoch {epoch}<" in picture.svg
    assert "after epoch 3<" not in picture.svg
    assert all(word in picture.svg for word in ("kept", "flagged", "threshold", "truly wrong"))


def test_few_epochs_none_flagged_and_weights_never_used():
    one = np.where(np.arange(N)[:, None] < 3, np.nan, 0.5)
    picture = weight_histograms(one, np.zeros(N, bool))
    assert picture.alt.endswith("is 0.50 of kept and unknown of flagged examples.")
    assert "threshold" not in picture.svg
    assert weight_means(one, np.zeros(N, bool)).alt == "Weights over 1 epochs; kept: mean from 0.50 to 0.50."


def test_means_over_the_epochs():
    picture = weight_means(BY_EPOCH, FLAGGED, 0.3)
    assert picture.alt == "Weights over 5 epochs; kept: mean from 0.50 to 0.80; flagged: mean from 0.50 to 0.10."
    assert "threshold" in picture.svg


def test_other_detections_have_none():
    from report_examples import findings

    from jaxnoisy.report.learned_weights import learned_weights_charts

    found = findings()
    assert learned_weights_charts(found) is None
    without = learned_weights()(np.full(len(found), 0.5))
    import dataclasses

    assert learned_weights_charts(dataclasses.replace(found, detections={"lsw": without}, primary="lsw")) is None
