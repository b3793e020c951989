"""The loop against the same training written out in float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import softmax_regression
from tiny import features, linear

from jaxnoisy.dynamics import signals
from jaxnoisy.losses import cross_entropy
from jaxnoisy.training import TrainConfig, fit, functional
from jaxnoisy.training.normalize import Moments
from jaxnoisy.training.optimizer import optimizer
from jaxnoisy.training.state import initial
from jaxnoisy.training.step import Batch, train_step

SGD = {"optimizer": "sgd", "epochs": 2, "batch_size": 8, "learning_rate": 0.3}


def start(data):
    model = linear(data.inputs.shape[1], data.num_classes)
    return model, np.asarray(model.kernel[...]), np.asarray(model.bias[...])


def assert_is_the_reference(data, config, *, rtol=2e-5, atol=2e-6, **options):
    model, kernel, bias = start(data)
    result = fit(model, data, config, **{k: v for k, v in options.items() if k != "kept"})
    size = min(config.batch_size, len(options.get("kept", data)))
    reference = {"weights": options.get("weights"), "kept": options.get("kept"), "batch_size": size}
    expected = softmax_regression.train(data, kernel, bias, config, **reference)
    np.testing.assert_allclose(result.model.kernel[...], expected[0], rtol=rtol, atol=atol)
    np.testing.assert_allclose(result.model.bias[...], expected[1], rtol=rtol, atol=atol)
    np.testing.assert_allclose(signals.loss(result.trace.seen), expected[2], rtol=1e-4, atol=1e-5)
    return result, expected[2]


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.0, "weight_decay": 0.0, "schedule": "constant"},
        {"momentum": 0.9, "weight_decay": 0.05, "schedule": "constant"},
        {"momentum": 0.8, "weight_decay": 0.05, "schedule": "constant", "nesterov": True},
        {"schedule": "cosine"},
        {"schedule": "step", "epochs": 4, "step_epochs": (1, 3), "step_factor": 0.2},
    ],
    ids=str,
)
def test_sgd(options):
    # 45 examples in batches of 8: the last batch has 3 of padding, which the reference knows nothing of.
    assert_is_the_reference(features(), TrainConfig(**{**SGD, **options}))


def test_adamw():
    config = TrainConfig(
        optimizer="adamw", epochs=2, batch_size=8, learning_rate=0.02, weight_decay=0.1, schedule="constant"
    )
    assert_is_the_reference(features(), config, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 45, 1000])
def test_batches_of_any_size(batch_size):
    assert_is_the_reference(features(), TrainConfig(**{**SGD, "batch_size": batch_size, "learning_rate": 0.05}))


def test_streamed_from_the_host():
    assert_is_the_reference(features(), TrainConfig(**SGD, on_device=False))


def test_weights_scale_the_losses_and_the_recorded_losses_are_not_weighted():
    data = features()
    weights = np.random.default_rng(0).uniform(0, 3, len(data)).astype(np.float32)
    weights[5:9] = 0
    assert_is_the_reference(data, TrainConfig(**SGD), weights=weights)


def test_examples_that_are_not_kept_are_not_seen():
    data = features()
    keep = np.random.default_rng(0).random(len(data)) < 0.6
    result, losses = assert_is_the_reference(data, TrainConfig(**SGD), keep=keep, kept=np.flatnonzero(keep))
    np.testing.assert_array_equal(result.trace.recorded, np.broadcast_to(keep[:, None], losses.shape))


def test_the_report_is_the_mean_loss_and_accuracy_of_the_steps():
    data = features()
    reports = []
    model, kernel, bias = start(data)
    result = fit(model, data, TrainConfig(**SGD), on_epoch=reports.append)
    losses = softmax_regression.train(data, kernel, bias, TrainConfig(**SGD))[2]
    np.testing.assert_allclose([r.loss for r in reports], losses.mean(axis=0), rtol=1e-5)
    right = signals.correctness(result.trace.seen, data.labels).mean(axis=0)
    np.testing.assert_allclose([r.accuracy for r in reports], right, rtol=1e-6)
    assert [(r.epoch, r.examples) for r in reports] == [(1, 45), (2, 45)]
    assert result.history == tuple(reports)


def one_step(data, rows, weights):
    """The parameters after one full-batch step on the examples at ``rows``."""
    config = TrainConfig(**SGD, record="none")
    network, params, rest = functional(linear(6, 3))
    tx = optimizer(config, steps_per_epoch=1)
    state = initial(params, rest, tx, config, n=len(data), num_classes=3, probabilities=False, columns=1)
    step = train_step(network, cross_entropy, tx, config, Moments(np.zeros(6, np.float32), np.ones(6, np.float32)))
    batch = Batch(*map(jnp.asarray, (data.inputs[rows], data.labels[rows], np.float32(weights), rows)))
    return jax.tree.leaves(jax.jit(step)(state, batch, jax.random.key(0))[0].params)


@pytest.mark.parametrize("times", [0, 2, 3])
def test_a_weight_is_how_often_an_example_counts(times):
    data, rows = features(), np.arange(45)
    weighted = one_step(data, rows, np.where(rows % 7 == 0, times, 1))
    repeated = one_step(data, np.repeat(rows, np.where(rows % 7 == 0, times, 1)), 1.0 * np.ones(45 + 7 * (times - 1)))
    for a, b in zip(weighted, repeated):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_only_the_ratio_of_weights_matters():
    data, rows = features(), np.arange(45)
    weights = 1.0 + rows
    for a, b in zip(one_step(data, rows, weights), one_step(data, rows, 100 * weights)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
