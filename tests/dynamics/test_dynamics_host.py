import jax.numpy as jnp
import numpy as np
import pytest
from recordings import assert_same_observation, made_up

from jaxnoisy.dynamics import HostRecorder, load


def filled(run, directory=None, *, epochs=None, recorder=None, **options):
    t, _, c = run.logits.shape
    recorder = recorder or HostRecorder(run.labels, t, num_classes=c, directory=directory, **options)
    for epoch in range(t) if epochs is None else epochs:
        for rows, _, logits in run.batches(epoch, 8):
            recorder.record(epoch, rows, logits)
    return recorder


def test_recording_is_the_direct_computation():
    run = made_up()
    trace = filled(run, probabilities=True).trace()
    assert_same_observation(trace.seen, run.seen, rtol=1e-7)
    np.testing.assert_allclose(trace.mean_probs, run.mean_probs, rtol=1e-5, atol=1e-7)


def test_a_spilled_trace_reads_back_memory_mapped_and_equal(tmp_path):
    run = made_up()
    memory = filled(run, probabilities=True).trace()
    filled(run, tmp_path / "deep" / "trace", probabilities=True, mode="eval", fingerprint="f").trace()
    back = load(tmp_path / "deep" / "trace")
    assert all(isinstance(f.base, np.memmap) or isinstance(f, np.memmap) for f in back.seen)
    for a, b in zip(memory.seen, back.seen):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(back.mean_probs, memory.mean_probs)
    np.testing.assert_array_equal(back.labels, run.labels)
    assert (back.mode, back.fingerprint, back.num_classes) == ("eval", "f", 5)


def test_a_spilled_recording_goes_on_where_it_stopped(tmp_path):
    run = made_up()
    first = filled(run, tmp_path, epochs=[0, 1])
    del first  # as if its process had ended: no header was written
    again = HostRecorder(run.labels, 4, num_classes=5, directory=tmp_path, resume=True)
    filled(run, recorder=again, epochs=[2, 3])
    again.trace()
    assert_same_observation(load(tmp_path).seen, run.seen, rtol=1e-7)


def test_resuming_begins_anew_where_a_field_file_is_missing(tmp_path):
    run = made_up()
    filled(run, tmp_path, epochs=[0, 1])
    (tmp_path / "argmax.npy").unlink()
    again = HostRecorder(run.labels, 4, num_classes=5, directory=tmp_path, resume=True)
    assert not again.trace().recorded.any()
    assert np.isnan(again.trace().seen.log_p_given).all()


def test_resuming_refuses_the_buffers_of_another_run(tmp_path):
    run = made_up()
    filled(run, tmp_path)
    with pytest.raises(ValueError, match="another run"):
        HostRecorder(run.labels, 5, num_classes=5, directory=tmp_path, resume=True)
    with pytest.raises(ValueError, match="another run"):
        HostRecorder(run.labels, 4, num_classes=5, directory=tmp_path, resume=True, dtype=np.float16)


def test_resuming_with_probabilities_is_refused(tmp_path):
    with pytest.raises(ValueError, match="without probabilities"):
        HostRecorder(np.array([0, 1]), 2, directory=tmp_path, resume=True, probabilities=True)


def test_a_folder_that_holds_a_trace_is_not_written_over(tmp_path):
    run = made_up()
    filled(run, tmp_path).trace()
    with pytest.raises(ValueError, match="holds a trace already"):
        HostRecorder(run.labels, 4, num_classes=5, directory=tmp_path)
    assert_same_observation(load(tmp_path).seen, run.seen, rtol=1e-7)


def test_an_interrupted_epoch_leaves_gaps(tmp_path):
    run = made_up()
    recorder = filled(run, tmp_path, epochs=[0])
    rows, _, logits = next(run.batches(1, 8))
    recorder.record(1, rows, logits)
    recorder.trace()
    expected = np.zeros((45, 4), bool)
    expected[:, 0] = expected[rows, 1] = True
    np.testing.assert_array_equal(load(tmp_path).recorded, expected)
    np.testing.assert_array_equal(~np.isnan(load(tmp_path).seen.squared_error), expected)


def test_recording_again_replaces_the_entry():
    run = made_up()
    recorder = filled(run)
    recorder.record(0, [3], np.zeros((1, 5)))
    np.testing.assert_allclose(recorder.trace().seen.log_p_given[3, 0], -np.log(5), rtol=1e-6)


def test_other_frameworks_logits_are_taken():
    recorder = HostRecorder(np.array([0, 1]), 1)
    recorder.record(0, [0], jnp.array([[2.0, 0.0]], jnp.bfloat16))
    recorder.record(0, [1], [[2.0, 0.0]])
    np.testing.assert_allclose(
        recorder.trace().seen.log_p_given[:, 0], [-np.log1p(np.exp(-2)), -2 - np.log1p(np.exp(-2))], rtol=1e-6
    )


def test_an_empty_batch_changes_nothing():
    recorder = HostRecorder(np.array([0, 1]), 1)
    recorder.record(0, [], np.zeros((0, 2)))
    assert not recorder.trace().recorded.any()


@pytest.mark.parametrize(
    ("epoch", "indices", "logits", "error", "says"),
    [
        (0, [0], [[np.nan, 0.0]], ValueError, "not finite"),
        (0, [0], [[np.inf, 0.0]], ValueError, "not finite"),
        (0, [3], [[0.0, 0.0]], ValueError, r"0\.\.2"),
        (0, [-1], [[0.0, 0.0]], ValueError, r"0\.\.2"),
        (2, [0], [[0.0, 0.0]], ValueError, "more epochs"),
        (-1, [0], [[0.0, 0.0]], ValueError, "epoch"),
        (0.5, [0], [[0.0, 0.0]], TypeError, "float"),
        (0, [0], [[0.0, 0.0, 0.0]], ValueError, r"\(1, 2\)"),
        (0, [0, 1], [[0.0, 0.0]], ValueError, r"\(2, 2\)"),
        (0, [[0]], [[0.0, 0.0]], ValueError, "shape"),
        (0, [0], [[1, 0]], TypeError, "floating"),
        (0, [True, False, True], [[0.0, 0.0]] * 3, TypeError, "mask"),
        (0, [0.0], [[0.0, 0.0]], TypeError, "whole numbers"),
    ],
)
def test_a_bad_batch_is_refused_and_leaves_nothing(epoch, indices, logits, error, says):
    recorder = HostRecorder(np.array([0, 1, 1]), 2)
    with pytest.raises(error, match=says):
        recorder.record(epoch, indices, np.asarray(logits))
    assert not recorder.trace().recorded.any()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"labels": [0, 2], "num_classes": 2}, ValueError),
        ({"labels": [0.0, 1.0]}, TypeError),
        ({"labels": []}, ValueError),
        ({"labels": [0, 0]}, ValueError),
        ({"epochs": 0}, ValueError),
        ({"dtype": np.int32}, TypeError),
        ({"mode": "test"}, ValueError),
    ],
)
def test_an_impossible_recorder_is_refused(options, error):
    with pytest.raises(error):
        HostRecorder(**{"labels": [0, 1], "epochs": 2, **options})
