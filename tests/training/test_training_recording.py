"""What a run records, in which mode, and where it is kept."""

import jax
import numpy as np
import pytest
from flax import nnx
from scipy.special import softmax
from tiny import MLP, ConvNet, assert_same_run, differs, features, images, leaves, linear

from jaxnoisy.data import make
from jaxnoisy.dynamics import load, observe
from jaxnoisy.mesh import data_mesh
from jaxnoisy.training import TrainConfig, fit, predict

# Runs that differ in no more than a test asks for, so that many share one compiled program.
CONFIG = {"epochs": 3, "batch_size": 16, "learning_rate": 0.05}


def evaluated(result, data):
    return predict(result.network, result.state.params, result.state.rest, result.scale, data.inputs)


def test_evaluation_mode_records_the_predictions_after_each_epoch():
    data = images()
    keep = np.arange(45) % 3 > 0
    config = TrainConfig(**CONFIG, record="eval", on_device=True, flip=True, crop=1)
    result = fit(ConvNet(1, 3), data, config, keep=keep, probabilities=True)
    column = observe(evaluated(result, data), data.labels)
    for name, field in column._asdict().items():
        np.testing.assert_allclose(getattr(result.trace.seen, name)[:, -1], field, rtol=1e-4, atol=1e-5, err_msg=name)
    assert result.trace.recorded.all()  # also the examples that are not trained on
    assert result.trace.mode == "eval"


def test_with_a_vanishing_rate_every_epoch_records_the_same_predictions():
    data = features()
    # Batches of 4 are evaluated 16 at a time: the last block of 45 is filled up, and must not be counted twice.
    config = TrainConfig(**{**CONFIG, "learning_rate": 1e-30, "batch_size": 4}, record="eval")
    result = fit(MLP(6, 3), data, config, probabilities=True)
    logits = evaluated(result, data)
    expected = observe(logits, data.labels).log_p_given
    np.testing.assert_allclose(result.trace.seen.log_p_given, np.stack([expected] * 3, axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result.trace.mean_probs, softmax(logits, axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("block", [1, 7, 45, 512])
def test_predictions_do_not_depend_on_the_block(block):
    data = features()
    result = fit(MLP(6, 3), data, TrainConfig(**CONFIG, record="none"), probabilities=True)
    assert result.trace is None
    one = predict(result.network, result.state.params, result.state.rest, result.scale, data.inputs, block=block)
    x = (data.inputs - result.scale.mean) / result.scale.std
    np.testing.assert_allclose(one, result.model(x), rtol=1e-4, atol=1e-5)
    assert one.shape == (45, 3)


@pytest.mark.parametrize("record", ["train", "eval"])
def test_streamed_inputs_give_the_run_of_resident_ones(record):
    data = features()
    runs = [
        fit(MLP(6, 3, dropout=0.3), data, TrainConfig(**CONFIG, record=record, on_device=where), probabilities=True)
        for where in (True, False)
    ]
    assert_same_run(*runs, rtol=1e-5, atol=1e-6)
    assert runs[0].trace.recorded.all()


def test_streamed_images_are_augmented_and_normalised_as_resident_ones():
    data = images()
    config = {**CONFIG, "flip": True, "crop": 1}
    runs = [
        fit(ConvNet(1, 3), data, TrainConfig(**config, on_device=where), probabilities=True) for where in (True, False)
    ]
    assert_same_run(*runs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"record": "train"}, {"record": "eval", "trace_dtype": "float16"}])
def test_a_spilled_trace_is_the_one_in_memory(tmp_path, options):
    data, config = features(), TrainConfig(**CONFIG, **options)
    memory = fit(MLP(6, 3), data, config, probabilities=True)
    spilled = fit(MLP(6, 3), data, config, probabilities=True, spill=tmp_path / "trace")
    assert_same_run(memory, spilled)
    assert spilled.state.recorder.seen.argmax.shape == (45, 1)
    back = load(tmp_path / "trace")
    assert back.mode == config.record
    assert back.fingerprint == data.fingerprint()
    for a, b in zip(back.seen, memory.trace.seen):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    np.testing.assert_array_equal(back.mean_probs, memory.trace.mean_probs)


def test_half_precision_rounds_the_trace_and_changes_nothing_else():
    data = features()
    wide = fit(MLP(6, 3), data, TrainConfig(**CONFIG), probabilities=True)
    half = fit(MLP(6, 3), data, TrainConfig(**CONFIG, trace_dtype="float16"), probabilities=True)
    assert not differs(wide, half)
    assert half.trace.seen.log_p_given.dtype == np.float16
    for a, b in zip(half.trace.seen[:4], wide.trace.seen[:4]):
        np.testing.assert_allclose(a.astype(np.float64), b, rtol=2**-11 * 1.01, atol=2**-24)


def test_recording_does_not_change_the_training():
    data = features()
    runs = [
        fit(MLP(6, 3), data, TrainConfig(**CONFIG, record=r), probabilities=True) for r in ("none", "train", "eval")
    ]
    for other in runs[1:]:
        for a, b in zip(leaves(runs[0].state.params), leaves(other.state.params)):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_the_seed_fixes_the_run_and_the_model_passed_in_stays():
    data, model = features(), MLP(6, 3, dropout=0.3)
    before = leaves(nnx.state(model))
    first, second = (fit(model, data, TrainConfig(**CONFIG), probabilities=True) for _ in range(2))
    assert_same_run(first, second)
    assert differs(first, fit(model, data, TrainConfig(**CONFIG, seed=4), probabilities=True))
    for a, b in zip(before, leaves(nnx.state(model))):
        np.testing.assert_array_equal(a, b)


def test_batch_statistics_are_those_of_the_normalised_images():
    data = images(n=60)
    config = TrainConfig(**{**CONFIG, "epochs": 6, "batch_size": 20, "learning_rate": 1e-30, "weight_decay": 0.0})
    result = fit(ConvNet(1, 3), data, config)
    x = (data.inputs - result.scale.mean) / result.scale.std
    kernel, bias = (np.asarray(result.state.params["conv"][k][...]) for k in ("kernel", "bias"))
    hidden = np.asarray(
        jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + bias
    )
    norm = result.state.rest["norm"]
    # 18 updates at momentum 0.8 forget the start; batches of 20 wander around the mean of all.
    np.testing.assert_allclose(norm["mean"][...], hidden.mean(axis=(0, 1, 2)), atol=0.1)
    np.testing.assert_allclose(norm["var"][...], hidden.var(axis=(0, 1, 2)), rtol=0.2)


def test_a_network_learns_clean_labels_and_not_the_flipped_ones_first():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 6)).astype(np.float32)
    labels = (x[:, 0] > 0).astype(int)
    flipped = rng.random(200) < 0.15
    data = make(x, np.where(flipped, 1 - labels, labels))
    result = fit(linear(6, 2), data, TrainConfig(epochs=8, batch_size=20, learning_rate=0.1))
    assert result.trace.seen.log_p_given[~flipped].mean() > -0.6
    assert result.trace.seen.log_p_given[flipped].mean() < -1.2


@pytest.mark.parametrize(
    "options",
    [{"record": "eval"}, {"record": "train", "on_device": False, "spill": True}, {"record": "eval", "mesh": True}],
    ids=str,
)
def test_epochs_after_the_first_compile_nothing(tmp_path, options):
    options = dict(options)
    spill = tmp_path / "trace" if options.pop("spill", False) else None
    mesh = data_mesh(8) if options.pop("mesh", False) else None
    compiled, by_epoch = [], []

    def listen(event, _seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        config = TrainConfig(**{**CONFIG, "epochs": 4}, **options)
        fit(
            MLP(6, 3, hidden=7),
            features(),
            config,
            spill=spill,
            mesh=mesh,
            on_epoch=lambda _: by_epoch.append(len(compiled)),
        )
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert by_epoch[0] > 0
    assert by_epoch[1:] == by_epoch[:1] * 3
