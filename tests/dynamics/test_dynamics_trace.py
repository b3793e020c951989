import dataclasses

import numpy as np
import pytest
from recordings import assert_same_observation, made_up
from scipy.special import softmax

from jaxnoisy.dynamics import Observation, Trace, flips, from_probabilities, load, same_labels, signals


def trace_of(run, **options):
    return Trace(run.labels, run.seen, run.logits.shape[2], **options)


@pytest.fixture
def trace():
    run = made_up()
    return trace_of(run, mean_probs=run.mean_probs.astype(np.float32), mode="eval", fingerprint="0123")


def assert_same_trace(a, b):
    for x, y in zip(a.seen, b.seen):
        np.testing.assert_array_equal(x, y)
        assert x.dtype == y.dtype
    np.testing.assert_array_equal(a.labels, b.labels)
    if a.mean_probs is None:
        assert b.mean_probs is None
    else:
        np.testing.assert_array_equal(a.mean_probs, b.mean_probs)
    assert (a.num_classes, a.mode, a.fingerprint) == (b.num_classes, b.mode, b.fingerprint)


def test_saved_and_loaded_it_is_the_same(trace, tmp_path):
    for number, each in enumerate([trace, dataclasses.replace(trace, mean_probs=None, mode="unknown", fingerprint="")]):
        path = tmp_path / f"{number}.npz"
        each.save(path)
        assert_same_trace(load(path), each)


def test_a_truncated_file_is_refused(trace, tmp_path):
    trace.save(tmp_path / "t.npz")
    whole = (tmp_path / "t.npz").read_bytes()
    for share in (0, 0.01, 0.5, 0.99):
        (tmp_path / "short.npz").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=r"short\.npz"):
            load(tmp_path / "short.npz")


def test_a_damaged_file_is_refused_or_read_whole(trace, tmp_path):
    trace.save(tmp_path / "t.npz")
    whole = bytearray((tmp_path / "t.npz").read_bytes())
    rng, refused = np.random.default_rng(0), 0
    for _ in range(150):
        damaged = whole.copy()
        damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        (tmp_path / "d.npz").write_bytes(damaged)
        try:
            assert_same_trace(load(tmp_path / "d.npz"), trace)
        except ValueError:
            refused += 1
    assert refused > 100  # a flipped bit in a time stamp or the like changes nothing


def test_another_version_is_refused(trace, tmp_path):
    arrays = {**trace.header(), "labels": trace.labels, **trace.seen._asdict()}
    np.savez(tmp_path / "t.npz", **{**arrays, "format": "jaxnoisy-trace-0"})
    with pytest.raises(ValueError, match="not a trace of this version"):
        load(tmp_path / "t.npz")
    np.savez(tmp_path / "n.npz", **{k: v for k, v in arrays.items() if k != "format"})
    with pytest.raises(ValueError, match="not a trace of this version"):
        load(tmp_path / "n.npz")


def test_a_missing_field_is_named(trace, tmp_path):
    arrays = {**trace.header(), "labels": trace.labels, **trace.seen._asdict()}
    del arrays["log_normalizer"]
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(ValueError, match="lacks the arrays log_normalizer"):
        load(tmp_path / "t.npz")


def test_pickled_arrays_are_refused_and_not_run(trace, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    arrays = {**trace.header(), "labels": trace.labels, **trace.seen._asdict()}
    np.savez(tmp_path / "t.npz", **{**arrays, "log_p_given": np.array([Bomb()], object)})
    with pytest.raises(ValueError, match="pickled Python objects"):
        load(tmp_path / "t.npz")
    assert not (tmp_path / "ran").exists()


def test_a_folder_without_a_trace_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"trace-header\.npz"):
        load(tmp_path)


def test_half_precision_traces_are_saved_as_they_are(trace, tmp_path):
    half = dataclasses.replace(
        trace, seen=Observation(*(f.astype(np.float16) for f in trace.seen[:4]), argmax=trace.seen.argmax)
    )
    half.save(tmp_path / "t.npz")
    assert_same_trace(load(tmp_path / "t.npz"), half)


@pytest.mark.parametrize("rows", [slice(3, 20, 2), np.array([5, 1, 1]), np.arange(45) % 3 == 0])
def test_take_picks_rows_of_everything(trace, rows):
    part = trace.take(rows)
    np.testing.assert_array_equal(part.labels, trace.labels[rows])
    np.testing.assert_array_equal(part.mean_probs, trace.mean_probs[rows])
    for whole, field in zip(trace.seen, part.seen):
        np.testing.assert_array_equal(field, whole[rows])
    assert len(part) == len(part.labels)


def test_until_cuts_the_columns_and_drops_the_mean(trace):
    part = trace.until(2)
    assert part.epochs == 2
    np.testing.assert_array_equal(part.seen.log_p_given, trace.seen.log_p_given[:, :2])
    assert part.mean_probs is None
    for epoch in (0, trace.epochs + 1):
        with pytest.raises(ValueError, match="epoch"):
            trace.until(epoch)


@pytest.mark.parametrize("block", [1, 7, 44, 45, 1000])
def test_blocks_of_any_size_give_the_same_statistic(trace, block):
    def statistic(part):
        assert len(part) <= block
        return np.stack([signals.loss(part.seen).mean(axis=1), part.labels], axis=1)

    expected = np.stack([-trace.seen.log_p_given.mean(axis=1), trace.labels], axis=1)
    np.testing.assert_allclose(trace.per_example(statistic, block=block), expected, rtol=1e-6)


def test_probabilities_become_a_trace_of_one_epoch():
    rng = np.random.default_rng(0)
    probs, labels = softmax(rng.normal(size=(30, 4)) * 3, axis=1), rng.integers(0, 4, 30)
    trace = from_probabilities(probs, labels)
    rows = np.arange(30)
    assert trace.epochs == 1
    np.testing.assert_allclose(signals.probability(trace.seen)[:, 0], probs[rows, labels], rtol=1e-5)
    others = np.where(np.eye(4, dtype=bool)[labels], -1, probs).max(axis=1)
    np.testing.assert_allclose(
        signals.probability_margin(trace.seen)[:, 0], probs[rows, labels] - others, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(trace.seen.argmax[:, 0], probs.argmax(axis=1))
    np.testing.assert_array_equal(trace.mean_probs, probs)


def test_certain_probabilities_give_finite_signals():
    trace = from_probabilities(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]))
    for name, signal in signals.SIGNALS.items():
        assert np.isfinite(signal(trace.seen)).all(), name
    np.testing.assert_allclose(signals.loss(trace.seen)[:, 0], [0, -np.log(np.finfo(np.float32).tiny)], rtol=1e-5)


@pytest.mark.parametrize(
    "bad",
    [
        {"labels": np.array([0, 1])},
        {"labels": np.full(45, 9)},
        {"mode": "test"},
        {"mean_probs": np.ones((45, 4), np.float32)},
        {"num_classes": 2},
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(trace, bad):
    with pytest.raises(ValueError, match=r"shape|labels|mode"):
        dataclasses.replace(trace, **bad)


def test_a_field_of_another_shape_is_named(trace):
    seen = trace.seen._replace(squared_error=trace.seen.squared_error[:, :2])
    with pytest.raises(ValueError, match="squared_error"):
        dataclasses.replace(trace, seen=seen)
    with pytest.raises(ValueError, match="argmax"):
        dataclasses.replace(trace, seen=Observation(*(f[:, :0] for f in trace.seen)))


def test_same_labels_names_the_first_difference(trace):
    same_labels(trace, trace.labels.astype(np.int64))
    other = trace.labels.copy()
    other[[7, 9]] = (other[[7, 9]] + 1) % 5
    with pytest.raises(ValueError, match="2 of 45 differ, the first at row 7"):
        same_labels(trace, other)
    with pytest.raises(ValueError, match="45 examples, but there are 44 labels"):
        same_labels(trace, other[1:])
    np.testing.assert_array_equal(np.flatnonzero(flips(trace, other)), [7, 9])


def test_the_trace_keeps_the_fields_it_was_given():
    run = made_up()
    assert_same_observation(trace_of(run).seen, run.seen, rtol=0)
