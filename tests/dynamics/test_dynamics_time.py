import numpy as np
import pytest

from jaxnoisy.dynamics import signals


def with_gaps(n=60, t=9, share=0.5, seed=0, dtype=np.float64):
    """Random rows with gaps, each with one entry at least."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, t)).astype(dtype)
    gaps = rng.random((n, t)) < share
    gaps[np.arange(n), rng.integers(0, t, n)] = False
    return np.where(gaps, dtype(np.nan), values)


def interpolated(row):
    known = ~np.isnan(row)
    return np.interp(np.arange(len(row)), np.flatnonzero(known), row[known])


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.95])
@pytest.mark.parametrize("t", [1, 2, 9])
def test_gaps_are_filled_as_by_numpy_interp(t, share):
    values = with_gaps(t=t, share=share)
    np.testing.assert_allclose(signals.gap_filled(values), [interpolated(r) for r in values], rtol=1e-12, atol=1e-12)


def test_recorded_entries_and_the_dtype_stay():
    values = with_gaps(dtype=np.float32)
    before = values.copy()
    filled = signals.gap_filled(values)
    assert filled.dtype == np.float32
    known = ~np.isnan(before)
    np.testing.assert_array_equal(filled[known], before[known])
    np.testing.assert_array_equal(values, before)  # the input is not written to


def test_a_row_without_entries_is_refused_by_number():
    values = with_gaps()
    values[[4, 7]] = np.nan
    with pytest.raises(ValueError, match=r"2 of 60 examples were never recorded, the first at row 4"):
        signals.gap_filled(values)


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 10, 31])
@pytest.mark.parametrize("t", [1, 2, 7, 10])
def test_resampling_is_numpy_interp_on_an_even_grid(t, epochs):
    values = np.random.default_rng(1).normal(size=(20, t))
    grid = np.linspace(0, t - 1, epochs) if epochs > 1 else [t - 1]
    expected = [np.interp(grid, np.arange(t), row) for row in values]
    np.testing.assert_allclose(signals.resampled(values, epochs), expected, rtol=1e-12, atol=1e-13)


def test_resampling_to_the_same_length_is_the_identity():
    values = np.random.default_rng(2).normal(size=(30, 13)).astype(np.float32)
    np.testing.assert_array_equal(signals.resampled(values, 13), values)


@pytest.mark.parametrize("epochs", [2, 5, 40])
def test_resampling_keeps_the_ends_and_straight_lines(epochs):
    slope, start = np.random.default_rng(3).normal(size=(2, 25, 1))
    line = start + slope * np.linspace(0, 1, 12)
    out = signals.resampled(line, epochs)
    np.testing.assert_allclose(out, start + slope * np.linspace(0, 1, epochs), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(out[:, 0], line[:, 0])
    np.testing.assert_array_equal(out[:, -1], line[:, -1])


def test_resampling_refuses_gaps_and_no_epochs():
    with pytest.raises(ValueError, match="gap_filled first"):
        signals.resampled(np.array([[1.0, np.nan]]), 3)
    with pytest.raises(ValueError, match="epochs"):
        signals.resampled(np.ones((1, 2)), 0)


def test_last_and_mean_recorded_skip_gaps():
    values = with_gaps()
    last, mean = signals.last_recorded(values), signals.mean_recorded(values)
    np.testing.assert_array_equal(last, [row[~np.isnan(row)][-1] for row in values])
    np.testing.assert_allclose(mean, np.nanmean(values, axis=1), rtol=1e-12)


def test_last_and_mean_recorded_of_an_empty_row_are_nan():
    values = np.array([[np.nan, np.nan], [1.0, np.nan]])
    np.testing.assert_array_equal(signals.last_recorded(values), [np.nan, 1.0])
    np.testing.assert_array_equal(signals.mean_recorded(values), [np.nan, 1.0])


def test_means_of_half_precision_columns_do_not_lose_count():
    # Their sum is beyond float16.
    values = np.ones((1, 70_000), np.float16)
    np.testing.assert_array_equal(signals.mean_recorded(values), [1.0])
