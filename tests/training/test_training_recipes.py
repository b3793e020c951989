"""The default settings, against the gradients and the training that they are reasoned from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnoisy.data import make
from jaxnoisy.models import build
from jaxnoisy.training import TrainConfig, fit
from jaxnoisy.training.recipes import gentle_rate, recipe


def features(n: int = 64, d: int = 40, c: int = 4):
    rng = np.random.default_rng(0)
    return make(rng.normal(size=(n, d)).astype(np.float32), np.arange(n) % c)


def own_push(model: str, data, config: TrainConfig) -> float:
    """r K t / (2 b (1 - m)), with K the mean squared gradient of a logit of the model as initialised."""
    network = build(model, input_shape=data.inputs.shape[1:], num_classes=data.num_classes, key=jax.random.key(0))
    graph, params = nnx.split(network)

    def squared(x):
        gradient = jax.grad(lambda p: nnx.merge(graph, p)(x[None])[0, 0])(params)
        return sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient))

    standardised = (data.inputs - data.inputs.mean(axis=0)) / data.inputs.std(axis=0)
    kernel = float(jax.vmap(squared)(jnp.asarray(standardised)).mean())
    return config.learning_rate * kernel * config.epochs / (2 * config.batch_size * (1 - config.momentum))


@pytest.mark.parametrize(("model", "d"), [("linear", 300), ("mlp", 40), ("mlp", 600)])
def test_an_example_pushes_its_own_logit_by_three_nats(model, d):
    data = features(d=d)
    assert own_push(model, data, recipe(model, data)) == pytest.approx(3.0, rel=0.1)


def test_longer_runs_take_smaller_steps_and_none_are_larger_than_the_cap():
    data = features()
    rates = [recipe("mlp", data, epochs=epochs).learning_rate for epochs in (10, 20, 40)]
    assert rates[0] == pytest.approx(2 * rates[1])
    assert rates[1] == pytest.approx(2 * rates[2])
    assert recipe("linear", features(d=1), epochs=1).learning_rate == 0.05


def test_the_push_follows_batch_momentum_and_schedule():
    data = features()
    config = TrainConfig(batch_size=16, momentum=0.9, epochs=50)
    rate = gentle_rate("mlp", data, config)
    assert gentle_rate("mlp", data, config, push=6.0) == pytest.approx(2 * rate)
    constant = TrainConfig(batch_size=16, momentum=0.9, epochs=50, schedule="constant")
    assert gentle_rate("mlp", data, constant) == pytest.approx(rate / 2)
    plain = TrainConfig(batch_size=16, momentum=0.95, epochs=50)
    assert gentle_rate("mlp", data, plain) == pytest.approx(rate / 2)
    # A batch larger than the data set is cut down to it in training.
    assert gentle_rate("mlp", data, TrainConfig(batch_size=999, epochs=50)) == gentle_rate(
        "mlp", data, TrainConfig(batch_size=64, epochs=50)
    )


def test_chosen_rates_and_networks_for_images_are_left_alone():
    data = features()
    assert recipe("mlp", data, learning_rate=0.3).learning_rate == 0.3
    assert recipe("mlp", data, optimizer="adamw").learning_rate == 0.05
    images = make(np.zeros((16, 8, 8, 1), np.uint8) + np.arange(16, dtype=np.uint8)[:, None, None, None], [0, 1] * 8)
    assert recipe("cnn", images).learning_rate == 0.05
    assert recipe("resnet20", images).learning_rate == 0.1


def test_random_labels_on_unrelated_examples_are_not_learned_at_once():
    # 512 random features of 256 examples with random labels: any label that is fitted is memorised.
    data = features(n=256, d=512)

    def fitted(config):
        network = build("mlp", input_shape=(512,), num_classes=4, key=jax.random.key(0))
        return fit(network, data, config).trace.seen.argmax == data.labels[:, None]

    gentle, former = (fitted(recipe("mlp", data, learning_rate=rate))[:, 4].mean() for rate in (None, 0.05))
    assert former > 0.95
    assert gentle < 0.8
