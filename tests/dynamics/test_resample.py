"""Traces read as sequences of one length."""

import dataclasses

import numpy as np
import pytest
from recordings import made_up

from jaxnoisy.detect import aum
from jaxnoisy.dynamics import Observation, Trace, inputs, signals
from jaxnoisy.dynamics.observation import FLOAT_FIELDS


def trace_of(n=40, t=6, seed=0) -> Trace:
    run = made_up(n=n, t=t, seed=seed)
    return Trace(run.labels, run.seen, 5)


def blanked(trace: Trace, gone: np.ndarray) -> Trace:
    fields = {name: np.where(gone, np.nan, getattr(trace.seen, name)).astype(np.float32) for name in FLOAT_FIELDS}
    return dataclasses.replace(trace, seen=Observation(**fields, argmax=np.where(gone, -1, trace.seen.argmax)))


def test_by_default_the_probability_as_it_is():
    run = made_up()
    logits = run.logits.astype(np.float64)
    given = np.take_along_axis(logits, run.labels[None, :, None], axis=2)[..., 0]
    expected = np.exp(given - np.log(np.exp(logits).sum(axis=2))).T
    found = inputs.sequences(Trace(run.labels, run.seen, 5))
    assert found.shape == (*expected.shape, 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[..., 0], expected, rtol=1e-5, atol=1e-7)


def test_signals_keep_their_order_and_lie_within_one():
    trace = trace_of(n=300)
    names = tuple(name for name in reversed(inputs.READ) if name != "mean-margin")
    found = inputs.sequences(trace, signals=names)
    assert set(names) == set(signals.SIGNALS)
    assert np.abs(found).max() <= 1
    for k, name in enumerate(names):
        raw = np.asarray(signals.SIGNALS[name](trace.seen), np.float64)
        np.testing.assert_array_equal(np.sign(found[..., k]), np.sign(raw.astype(np.float32)))
        # An order that is kept is a map that loses nothing.
        order = np.argsort(raw, axis=None)
        assert (np.diff(found[..., k].ravel()[order]) >= 0).all()
    margins = np.asarray(signals.margin(trace.seen), np.float64)
    np.testing.assert_allclose(found[..., names.index("margin")], margins / (1 + np.abs(margins)), rtol=1e-5, atol=1e-7)


def test_the_mean_margin_ends_in_the_area_under_the_margin():
    trace = trace_of()
    gone = np.random.default_rng(0).random((40, 6)) < 0.3
    gone[:, 0] = False
    for seen in (trace, blanked(trace, gone)):
        found = inputs.sequences(seen, signals=("mean-margin",))[..., 0]
        margins = np.asarray(signals.margin(seen.seen), np.float64)
        for epoch in range(6):
            mean = np.nanmean(margins[:, : epoch + 1], axis=1)
            recorded = ~np.isnan(margins[:, epoch])
            np.testing.assert_allclose(found[recorded, epoch], (mean / (1 + np.abs(mean)))[recorded], rtol=1e-5)
    area = -aum()(trace).scores
    last = inputs.sequences(trace, signals=("mean-margin",), epochs=9)[:, -1, 0]
    np.testing.assert_allclose(last, area / (1 + np.abs(area)), rtol=1e-5)


def test_progress_is_the_mean_probability_of_all_examples():
    trace = trace_of()
    gone = np.random.default_rng(0).random((40, 6)) < 0.3
    gone[0] = False
    gone[:, 3] = True
    hidden = blanked(trace, gone)
    found = inputs.sequences(hidden, signals=("progress", "probability"))[..., 0]
    np.testing.assert_array_equal(found, found[:1].repeat(40, axis=0))
    mean = [signals.probability(trace.seen)[~gone[:, epoch], epoch].mean() for epoch in (0, 1, 2, 4, 5)]
    np.testing.assert_allclose(found[0], np.insert(mean, 3, (mean[2] + mean[3]) / 2), rtol=1e-5)
    blocks = inputs.by_block(hidden, lambda block: block[:, :, 0], signals=("progress",), epochs=11)
    np.testing.assert_allclose(blocks[:, ::2], found, rtol=1e-6)


@pytest.mark.parametrize("epochs", [2, 4, 6, 25])
def test_another_length_is_linear_interpolation(epochs):
    trace = trace_of()
    found = inputs.sequences(trace, epochs=epochs)[..., 0]
    own = signals.probability(trace.seen)
    grid = np.linspace(0, trace.epochs - 1, epochs)
    expected = [np.interp(grid, np.arange(trace.epochs), row) for row in own]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_the_own_length_is_the_identity():
    trace = trace_of()
    np.testing.assert_array_equal(inputs.sequences(trace, epochs=6), inputs.sequences(trace))
    np.testing.assert_array_equal(inputs.sequences(trace)[..., 0], signals.probability(trace.seen))


def test_gaps_are_interpolated_and_ends_held():
    trace = trace_of()
    gone = np.zeros((40, 6), bool)
    gone[3, [0, 2, 3, 5]] = True
    found = inputs.sequences(blanked(trace, gone))[..., 0]
    p = signals.probability(trace.seen)[3]
    np.testing.assert_allclose(found[3], np.interp(np.arange(6), [1, 4], p[[1, 4]]), rtol=1e-6)
    others = np.arange(40) != 3
    np.testing.assert_array_equal(found[others], signals.probability(trace.seen)[others])


def test_rows_without_any_record_are_named():
    trace = trace_of()
    gone = np.zeros((40, 6), bool)
    gone[[5, 11, 30]] = True
    with pytest.raises(ValueError, match=r"3 of 40 examples were never recorded, the first at row 5, then 11, 30:"):
        inputs.sequences(blanked(trace, gone))
    gone[12:30] = True
    with pytest.raises(ValueError, match=r"21 of 40 .* row 5, then 11, 12, 13, 14, \.\.\."):
        inputs.sequences(blanked(trace, gone))


def test_records_that_are_not_finite_are_named():
    trace = trace_of()
    trace.seen.log_p_given[7, 2] = np.nan
    with pytest.raises(ValueError, match=r"1 of 40 .* not finite, the first at row 7: did training diverge"):
        inputs.sequences(trace)
    trace.seen.log_p_given[7, 2] = -1.0
    trace.seen.log_p_other[9, 0] = -np.inf
    assert np.isfinite(inputs.sequences(trace)).all()  # what is not read does not matter
    with pytest.raises(ValueError, match="row 9"):
        inputs.sequences(trace, signals=("margin",))


def test_traces_of_other_lengths_are_pooled_at_the_longest():
    short, long = trace_of(n=10, t=4, seed=1), trace_of(n=15, t=9, seed=2)
    both = inputs.pooled([short, long], signals=("margin", "probability"))
    assert both.shape == (25, 9, 2)
    np.testing.assert_array_equal(both[:10], inputs.sequences(short, signals=("margin", "probability"), epochs=9))
    np.testing.assert_array_equal(both[10:], inputs.sequences(long, signals=("margin", "probability")))
    assert inputs.pooled([short, long], epochs=5).shape == (25, 5, 1)


def test_one_epoch_is_not_stretched():
    one = trace_of().until(1)
    assert inputs.sequences(one).shape == (40, 1, 1)
    with pytest.raises(ValueError, match=r"one epoch .* cannot be stretched to 8"):
        inputs.sequences(one, epochs=8)
    with pytest.raises(ValueError, match="one epoch"):
        inputs.pooled([one, trace_of()])


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ("probability", TypeError, r"\('probability',\)"),
        ((), ValueError, "at least one"),
        (("margin", "margin"), ValueError, "once"),
        (("entropy",), ValueError, r"signals\[0\] must be one of probability, loss"),
    ],
)
def test_signals_that_cannot_be_read(names, error, message):
    with pytest.raises(error, match=message):
        inputs.sequences(trace_of(), signals=names)


def test_no_traces():
    with pytest.raises(ValueError, match="at least one trace"):
        inputs.pooled([])


def test_epochs_at_either_end_that_recorded_nobody_are_no_part_of_it():
    trace = trace_of(t=6)
    gone = np.zeros((len(trace), 6), bool)
    gone[:, [0, 5]] = True
    gone[:20, 1] = True  # recorded for others
    found = inputs.sequences(blanked(trace, gone))
    assert found.shape == (len(trace), 4, 1)
    own = signals.probability(trace.seen)
    np.testing.assert_array_equal(found[20:, :, 0], own[20:, 1:5])
    np.testing.assert_array_equal(found[:20, 0, 0], own[:20, 2])
    with pytest.raises(ValueError, match="one epoch says nothing"):
        inputs.sequences(blanked(trace, np.arange(6) != np.full((len(trace), 1), 3)), epochs=6)
