import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recordings import assert_same_observation, made_up, padded

from jaxnoisy import mesh as sharding
from jaxnoisy.dynamics import HostRecorder, recorder

CLOSE = {"rtol": 2e-6, "atol": 2e-6}


def recorded(run, *, size=8, step=recorder.record, state=None, epochs=None):
    t, n, c = run.logits.shape
    state = recorder.init(n, t, c, probabilities=True) if state is None else state
    for epoch in range(t) if epochs is None else epochs:
        for batch in run.batches(epoch, size):
            state = step(state, epoch, *map(jnp.asarray, padded(*batch, size, n)))
    return state


def test_recording_in_any_order_is_the_direct_computation():
    run = made_up()
    forwards, backwards = recorded(run), recorded(run, epochs=[3, 1, 0, 2], size=11)
    assert_same_observation(forwards.seen, run.seen, **CLOSE)
    assert_same_observation(backwards.seen, run.seen, **CLOSE)
    trace = recorder.finish(forwards, run.labels, num_classes=5)
    np.testing.assert_allclose(trace.mean_probs, run.mean_probs, rtol=1e-5, atol=1e-6)
    assert trace.mode == "train"
    assert trace.recorded.all()


def test_the_device_recorder_and_the_host_recorder_agree():
    run = made_up()
    host = HostRecorder(run.labels, 4, num_classes=5, probabilities=True)
    for epoch in range(4):
        for rows, _, logits in run.batches(epoch, 8):
            host.record(epoch, rows, logits)
    device = recorder.finish(recorded(run), run.labels, num_classes=5)
    assert_same_observation(device.seen, host.trace().seen, **CLOSE)
    np.testing.assert_allclose(device.mean_probs, host.trace().mean_probs, rtol=1e-5, atol=1e-6)
    assert device.seen.argmax.dtype == host.trace().seen.argmax.dtype


def test_rows_past_the_end_are_left_out():
    run = made_up(n=6, t=1)
    empty = recorder.init(6, 1, 5, probabilities=True)
    rows = jnp.array([6, 7, 2**31 - 1])
    state = recorder.record(empty, 0, rows, jnp.zeros(3, int), jnp.asarray(run.logits[0, :3]))
    for before, after in zip(jax.tree.leaves(empty), jax.tree.leaves(state)):
        np.testing.assert_array_equal(before, after)


def test_what_was_not_recorded_is_nan_and_minus_one():
    run = made_up(n=6, t=3)
    state = recorder.record(
        recorder.init(6, 3, 5), 1, jnp.array([4]), jnp.asarray(run.labels[4:5]), jnp.asarray(run.logits[1, 4:5])
    )
    expected = np.zeros((6, 3), bool)
    expected[4, 1] = True
    np.testing.assert_array_equal(np.asarray(state.seen.argmax) >= 0, expected)
    for field in state.seen[:4]:
        np.testing.assert_array_equal(~np.isnan(field), expected)


def test_mean_probabilities_count_recorded_epochs_only():
    run = made_up(n=6, t=3)
    state = recorder.init(6, 3, 5, probabilities=True)
    for epoch in (0, 2):
        logits = jnp.asarray(run.logits[epoch, :4])
        state = recorder.record(state, epoch, jnp.arange(4), jnp.asarray(run.labels[:4]), logits)
    trace = recorder.finish(state, run.labels, num_classes=5)
    expected = run._replace(logits=run.logits[[0, 2]]).mean_probs
    np.testing.assert_allclose(trace.mean_probs[:4], expected[:4], rtol=1e-5)
    np.testing.assert_allclose(trace.mean_probs[4:], 0.2)


def test_jit_with_donation_is_eager_and_compiles_once():
    run = made_up()
    traced = []

    def record(*arguments):
        traced.append(1)
        return recorder.record(*arguments)

    donated = recorded(run, step=jax.jit(record, donate_argnums=0))
    for a, b in zip(donated.seen, recorded(run).seen):
        np.testing.assert_allclose(a, b, **CLOSE)
    assert len(traced) == 1


def test_donated_buffers_are_gone():
    run = made_up()
    state = recorder.init(45, 4, 5)
    rows, labels, logits = map(jnp.asarray, next(run.batches(0, 8)))
    jax.jit(recorder.record, donate_argnums=0)(state, 0, rows, labels, logits)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def test_a_scan_over_epochs_and_a_vmap_over_runs():
    runs = [made_up(seed=s) for s in range(3)]
    logits = jnp.asarray(np.stack([r.logits for r in runs]))
    labels = jnp.asarray(np.stack([r.labels for r in runs]))

    def whole(logits, labels):
        def body(state, xs):
            epoch, z = xs
            return recorder.record(state, epoch, jnp.arange(45), labels, z), None

        return jax.lax.scan(body, recorder.init(45, 4, 5), (jnp.arange(4), logits))[0]

    together = jax.jit(jax.vmap(whole))(logits, labels)
    for k, run in enumerate(runs):
        one = jax.tree.map(lambda x, k=k: x[k], together)
        assert_same_observation(one.seen, run.seen, **CLOSE)


def test_no_gradient_flows_through_recording():
    run = made_up()
    rows, labels, logits = map(jnp.asarray, next(run.batches(0, 8)))

    def total(z):
        state = recorder.record(recorder.init(45, 4, 5, probabilities=True), 0, rows, labels, z)
        return jnp.nansum(state.seen.log_p_given) + state.prob_sum[:, 0].sum() + z.sum()

    np.testing.assert_array_equal(jax.grad(total)(logits), np.ones_like(logits))


def test_half_precision_buffers_round_each_field_once():
    run = made_up()
    state = recorded(run, state=recorder.init(45, 4, 5, dtype=jnp.float16))
    assert {f.dtype for f in state.seen[:4]} == {np.dtype(np.float16)}
    # 2^-11 for the rounding, and the float32 computation before it.
    assert_same_observation(state.seen, run.seen, rtol=1.01 * 2**-11, atol=1e-6)


def test_clear_empties_the_columns_and_keeps_the_sum():
    state = recorded(made_up())
    cleared = recorder.clear(state)
    assert np.asarray(cleared.seen.argmax).max() == -1
    assert all(np.isnan(f).all() for f in cleared.seen[:4])
    np.testing.assert_array_equal(cleared.prob_sum, state.prob_sum)
    assert recorder.epochs(cleared) == 4


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"n": 0}, ValueError),
        ({"epochs": 0}, ValueError),
        ({"num_classes": 1}, ValueError),
        ({"dtype": jnp.int32}, TypeError),
    ],
)
def test_impossible_buffers_are_refused(bad, error):
    with pytest.raises(error):
        recorder.init(**{"n": 3, "epochs": 2, "num_classes": 2, **bad})


def sharded_record(mesh, n, t, c):
    """Compiled ``record`` under a mesh, with buffers and batch split over it, and its empty buffers."""
    split = sharding.over_examples(mesh)
    make = functools.partial(recorder.init, sharding.padded_length(n, mesh), t, c, probabilities=True)
    state = jax.jit(make, out_shardings=split)()
    return jax.jit(recorder.record, donate_argnums=0, out_shardings=sharding.shardings(state)), state, split


def test_buffers_split_over_eight_devices_hold_the_same():
    mesh, run = sharding.data_mesh(8), made_up()
    step, state, split = sharded_record(mesh, 45, 4, 5)
    assert {shard.data.shape for shard in state.seen.argmax.addressable_shards} == {(6, 4)}
    for epoch in range(4):
        for batch in run.batches(epoch, 8):
            state = step(state, epoch, *jax.device_put(padded(*batch, 8, 48), split))
    trace = recorder.finish(state, run.labels, num_classes=5)
    assert_same_observation(trace.seen, run.seen, **CLOSE)
    np.testing.assert_allclose(trace.mean_probs, run.mean_probs, rtol=1e-5, atol=1e-6)


def test_no_device_gathers_the_buffers_of_the_others():
    n, t, c = 1000, 7, 3
    step, state, split = sharded_record(sharding.data_mesh(8), n, t, c)
    batch = jax.device_put((np.arange(16), np.zeros(16, np.int32), np.zeros((16, c), np.float32)), split)
    text = step.lower(state, 0, *batch).compile().as_text()
    assert re.search(rf"\[{n // 8},{t}\]", text)
    assert not re.search(rf"\[{n},{t}\]", text)
