import numpy as np
import pytest

from jaxnoisy.training import TrainConfig
from jaxnoisy.training.optimizer import learning_rate


def rates(config, steps):
    schedule = learning_rate(config, steps)
    return np.array([float(schedule(k)) for k in range(config.epochs * steps + 1)])


def test_cosine_starts_at_the_rate_and_ends_at_zero():
    found = rates(TrainConfig(epochs=5, learning_rate=0.3, schedule="cosine"), 4)
    np.testing.assert_allclose(found, 0.15 * (1 + np.cos(np.pi * np.arange(21) / 20)), atol=1e-7)


def test_the_rate_drops_with_the_first_step_after_the_epoch():
    config = TrainConfig(epochs=6, learning_rate=0.3, schedule="step", step_epochs=(2, 4), step_factor=0.5)
    found = rates(config, 3)[:-1].reshape(6, 3)
    np.testing.assert_allclose(found, np.outer([0.3, 0.3, 0.15, 0.15, 0.075, 0.075], np.ones(3)), rtol=1e-6)


def test_constant():
    np.testing.assert_allclose(rates(TrainConfig(epochs=2, learning_rate=0.3, schedule="constant"), 3), 0.3, rtol=1e-6)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": 1.5}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"crop": -1}, "crop"),
        ({"seed": -1}, "seed"),
        ({"optimizer": "adam"}, "sgd, adamw"),
        ({"schedule": "linear"}, "constant, step, cosine"),
        ({"record": "both"}, "train, eval, none"),
        ({"trace_dtype": "bfloat16"}, "float32, float16"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"step_factor": -0.1}, "step_factor"),
        ({"momentum": 1.1}, "momentum"),
        ({"weight_decay": -1e-4}, "weight_decay"),
        ({"schedule": "step"}, "step_epochs"),
        ({"schedule": "step", "step_epochs": (20,)}, r"1\.\.19"),
        ({"schedule": "step", "step_epochs": (0,)}, r"1\.\.19"),
    ],
)
def test_impossible_settings_are_refused(bad, says):
    with pytest.raises(ValueError, match=says):
        TrainConfig(**bad)
