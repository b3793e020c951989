import base64
import io

import numpy as np
import pytest
from PIL import Image
from report_examples import findings

from jaxnoisy.data import make
from jaxnoisy.report.strips import feature_strips, sparklines
from jaxnoisy.report.thumbnails import display_range, thumbnails


def pixels(thumbnail):
    head, body = thumbnail.uri.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))


def images(values):
    return make(values, np.arange(len(values)) % 2)


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_are_shown_as_they_are(channels):
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 9, channels), np.uint8)
    for row, thumbnail in zip((3, 1), thumbnails(images(values), np.array([3, 1]))):
        np.testing.assert_array_equal(pixels(thumbnail), values[row, ..., 0] if channels == 1 else values[row])
        assert thumbnail.crisp


@pytest.mark.parametrize(("channels", "shape"), [(2, (4, 4)), (4, (4, 4, 3)), (6, (4, 4, 3))])
def test_other_channels_are_left_out(channels, shape):
    values = np.random.default_rng(0).integers(0, 256, (2, 4, 4, channels), np.uint8)
    assert pixels(thumbnails(images(values), np.array([0]))[0]).shape == shape


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 255)])
def test_floats_on_a_usual_scale_keep_it(low, high):
    unit = np.linspace(0, 1, 2 * 4 * 4).reshape(2, 4, 4, 1)
    # Within the range but not up to its ends, so that stretching the contrast would show.
    data = images((low + (high - low) * (0.1 + 0.8 * unit)).astype(np.float32))
    assert display_range(data.inputs) == (low, high)
    shown = pixels(thumbnails(data, np.array([0, 1]))[1])
    np.testing.assert_allclose(shown, 255 * (0.1 + 0.8 * unit[1, ..., 0]), atol=0.51)


def test_standardised_floats_use_their_percentiles():
    values = np.random.default_rng(0).normal(size=(50, 8, 8, 1)).astype(np.float32)
    low, high = display_range(values)
    assert (low, high) == pytest.approx(tuple(np.quantile(values, [0.01, 0.99])))
    assert pixels(thumbnails(images(values), np.array([0]))[0]).dtype == np.uint8


def test_constant_floats_can_be_shown():
    low, high = display_range(np.full((2, 3, 3, 1), 700.0, np.float32))
    assert low < 700 < high


def test_large_images_become_smaller_and_keep_their_shape():
    thumbnail = thumbnails(images(np.zeros((2, 200, 400, 3), np.uint8)), np.array([0]))[0]
    assert pixels(thumbnail).shape == (64, 128, 3)
    assert not thumbnail.crisp


def test_extreme_shapes_keep_a_pixel():
    assert pixels(thumbnails(images(np.zeros((2, 2, 3000, 1), np.uint8)), np.array([0]))[0]).shape == (1, 128)


def test_strips_are_distances_in_standard_deviations():
    values = np.zeros((10, 3), np.float32)
    values[0] = 3, 0, -1000
    values[:, 1] = 7
    strip = feature_strips(make(values, np.arange(10) % 2), np.array([0]))[0]
    z = (values[0] - values.mean(axis=0, dtype=float))[[0, 2]] / values.std(axis=0, dtype=float)[[0, 2]]
    assert z == pytest.approx([3, -3])
    first, constant, last = strip.bars
    assert (first.y, first.height, first.high) == (0.0, 0.5, True)
    assert (constant.height, constant.high) == (0.0, False)
    assert (last.y, last.height, last.high) == (0.5, 0.5, False)
    assert [bar.x for bar in strip.bars] == pytest.approx([0, 1 / 3, 2 / 3], abs=1e-4)
    assert strip.told == ["#0: 3.00 (+3.0 sd)", "#2: -1,000 (-3.0 sd)", "#1: 7.00 (+0.0 sd)"]


def test_of_many_features_the_most_deviating_are_shown_in_order():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 300)).astype(np.float32)
    values[0, 123] = 50
    strip = feature_strips(make(values, np.arange(200) % 2), np.array([0]))[0]
    assert len(strip.bars) == 48
    assert strip.told[0].startswith("#123: 50.0")
    assert [bar.x for bar in strip.bars] == sorted(bar.x for bar in strip.bars)


def test_sparklines_follow_the_probability():
    trace = findings(n=6, t=5).trace
    trace.seen.log_p_given[2, 1] = np.nan
    points = [[tuple(map(float, p.split(","))) for p in line.split()] for line in sparklines(trace, np.array([4, 2]))]
    p = np.exp(trace.seen.log_p_given)
    assert [x for x, _ in points[0]] == [0, 25, 50, 75, 100]
    np.testing.assert_allclose([1 - y for _, y in points[0]], p[4], atol=6e-4)
    assert [x for x, _ in points[1]] == [0, 50, 75, 100]


def test_sparklines_of_long_runs_are_thinned():
    line = sparklines(findings(n=4, t=500).trace, np.array([0]))[0].split()
    assert len(line) == 60
    assert line[0].startswith("0,")
    assert line[-1].startswith("100,")
