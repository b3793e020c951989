import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import MLP, ConvNet, assert_same_run, features, images, leaves

from jaxnoisy.mesh import data_mesh, over_examples
from jaxnoisy.training import TrainConfig, fit
from jaxnoisy.training.checkpoint import Checkpoints

CONFIG = {"epochs": 3, "batch_size": 16, "learning_rate": 0.05}


class StoppedError(Exception):
    pass


def stopped(after, *arguments, **options):
    """Run ``fit`` and stop it after an epoch."""

    def stop(report):
        if report.epoch == after:
            raise StoppedError

    with pytest.raises(StoppedError):
        fit(*arguments, on_epoch=stop, **options)


def some_state(scale=1.0):
    return {
        "weights": jnp.arange(6.0).reshape(2, 3) * scale,
        "half": jnp.float16([1.5 * scale]),
        "classes": jnp.array([[-1, 3]], jnp.int8),
        "key": jax.random.fold_in(jax.random.key(3), int(scale)),
        "other key": jax.random.key(int(scale), impl="rbg"),
        "keys": jax.random.split(jax.random.key(int(scale)), 3),
        "none": None,
    }


def test_a_state_reads_back_bit_for_bit(tmp_path):
    saved = Checkpoints(tmp_path / "run", {"a": 1})
    assert saved.latest() is None
    for epoch in (1, 2, 3):
        saved.save(epoch, some_state(epoch))
    saved.close()
    again = Checkpoints(tmp_path / "run", {"a": 1}, resume=True)
    assert again.latest() == 3
    back = again.restore(some_state(7))
    again.close()
    for a, b in zip(leaves(back), leaves(some_state(3))):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    assert jax.random.key_impl(back["other key"]) == jax.random.key_impl(some_state()["other key"])
    np.testing.assert_array_equal(jax.random.normal(back["key"], 4), jax.random.normal(some_state(3)["key"], 4))


def test_a_saved_state_is_a_copy(tmp_path):
    # The next epoch overwrites the donated buffers while the checkpoint is still being written.
    saved = Checkpoints(tmp_path / "run", {})
    step = jax.jit(lambda x: x + 1, donate_argnums=0)
    x = jnp.zeros(1 << 20)
    saved.save(1, {"x": x})
    for _ in range(20):
        x = step(x)
    x.block_until_ready()
    saved.close()
    again = Checkpoints(tmp_path / "run", {}, resume=True)
    back = again.restore({"x": x})
    again.close()
    np.testing.assert_array_equal(back["x"], 0.0)


def test_arrays_come_back_split_over_their_mesh(tmp_path):
    split = over_examples(data_mesh(8))
    state = {"x": jax.device_put(np.arange(16.0), split)}
    saved = Checkpoints(tmp_path / "run", {})
    saved.save(1, state)
    saved.close()
    again = Checkpoints(tmp_path / "run", {}, resume=True)
    back = again.restore(state)
    again.close()
    assert back["x"].sharding == split
    np.testing.assert_array_equal(back["x"], np.arange(16.0))


def test_another_run_is_refused_and_the_difference_named(tmp_path):
    run = {"epochs": 5, "rate": 0.1, "data": "ab", "steps": (1, 2)}
    Checkpoints(tmp_path / "run", run).close()
    with pytest.raises(ValueError, match="holds a run: resume it, or choose another folder"):
        Checkpoints(tmp_path / "run", run)
    Checkpoints(tmp_path / "run", run, resume=True).close()  # tuples, written as lists, are the same run
    for change, says in [
        ({"epochs": 6}, "epochs is 5 there and 6 here"),
        ({"data": "cd"}, "data is 'ab' there and 'cd' here"),
        ({"new": 1}, "new is None there and 1 here"),
    ]:
        with pytest.raises(ValueError, match=says):
            Checkpoints(tmp_path / "run", {**run, **change}, resume=True)


def test_resuming_where_nothing_was_saved_begins(tmp_path):
    saved = Checkpoints(tmp_path / "new" / "run", {"a": 1}, resume=True)
    assert saved.latest() is None
    saved.close()
    assert json.loads((tmp_path / "new" / "run" / "run.json").read_text()) == {"a": 1}


@pytest.mark.parametrize(
    ("model", "data", "options", "mesh"),
    [
        (lambda: MLP(6, 3, dropout=0.3), features(), {}, None),
        (
            lambda: ConvNet(1, 3),
            images(),
            {"record": "eval", "on_device": True, "epochs": 4, "checkpoint_every": 2},
            None,
        ),
        (lambda: MLP(6, 3, dropout=0.3), features(), {"on_device": False, "trace_dtype": "float16"}, 8),
    ],
    ids=["dropout", "batch-norm-eval", "streamed-mesh"],
)
def test_stopped_and_resumed_it_is_the_uninterrupted_run_bit_for_bit(tmp_path, model, data, options, mesh):
    config, mesh = TrainConfig(**{**CONFIG, **options}), mesh and data_mesh(mesh)
    shared = {"probabilities": True, "mesh": mesh}
    stopped(1 + config.checkpoint_every, model(), data, config, checkpoints=tmp_path / "run", **shared)
    resumed = fit(model(), data, config, checkpoints=tmp_path / "run", resume=True, **shared)
    # With a checkpoint every second epoch, a run stopped after the third runs it again.
    assert [report.epoch for report in resumed.history] == list(range(3, config.epochs + 1))
    assert_same_run(resumed, fit(model(), data, config, **shared))

    finished = fit(model(), data, config, checkpoints=tmp_path / "run", resume=True, **shared)
    assert finished.history == ()
    assert_same_run(finished, resumed)


def test_what_a_resumed_run_must_share(tmp_path):
    data, model, config = features(), MLP(6, 3), TrainConfig(**CONFIG)
    stopped(1, model, data, config, checkpoints=tmp_path / "run", run={"note": "a"})
    labels = data.labels.copy()
    labels[0] = (labels[0] + 1) % 3
    for says, change in {
        "learning_rate": {"config": TrainConfig(**{**CONFIG, "learning_rate": 0.06})},
        "seed": {"config": TrainConfig(**CONFIG, seed=1)},
        "data": {"data": data.with_labels(labels)},
        "examples": {"weights": 1.0 + np.arange(45)},
        "note": {"run": {"note": "b"}},
        "probabilities": {"probabilities": True},
        "spilled": {"spill": tmp_path / "trace"},
        "parameters": {"model": MLP(6, 3, hidden=9)},
        "trace_rows": {"mesh": data_mesh(8)},
    }.items():
        arguments = {"model": model, "data": data, "config": config, "run": {"note": "a"}, **change}
        with pytest.raises(ValueError, match=f"{says} is .* there and .* here"):
            fit(**arguments, checkpoints=tmp_path / "run", resume=True)
    assert not (tmp_path / "trace").exists()


def test_other_kept_examples_are_another_run(tmp_path):
    keep = np.arange(45) != 3
    stopped(1, MLP(6, 3), features(), TrainConfig(**CONFIG), keep=keep, checkpoints=tmp_path / "run")
    with pytest.raises(ValueError, match="examples is"):
        fit(MLP(6, 3), features(), TrainConfig(**CONFIG), keep=keep[::-1], checkpoints=tmp_path / "run", resume=True)
