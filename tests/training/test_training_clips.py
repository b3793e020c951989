"""Training on clips: the loss is the mean over frames, and frames are drawn where that is asked for."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoisy.data import make
from jaxnoisy.training import TrainConfig, fit
from jaxnoisy.training.normalize import moments
from jaxnoisy.training.recipes import default_model, gentle_rate, objective, recipe
from jaxnoisy.training.trained import start, train

N, M, SIDE = 12, 4, 8
ONE_STEP = TrainConfig(
    epochs=1, batch_size=N, learning_rate=0.1, momentum=0.0, weight_decay=0.0, schedule="constant", record="none"
)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    labels = np.arange(N) % 3
    return make(rng.integers(0, 256, (N, M, SIDE, SIDE, 1)).astype(np.uint8), labels, clips=True)


def kernel_after(data, config, frames=slice(None)):
    """One step from the start by the definition: the mean over clips of the mean over frames of cross entropy."""
    model, scale = start("linear", data), moments(data.inputs)
    x = (data.inputs[:, frames].astype(np.float32) - scale.mean) / scale.std
    x = jnp.asarray(x.reshape(N, x.shape[1], -1))

    def risk(kernel):
        logits = x @ kernel + model.frames.head.bias[...]
        mine = jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.asarray(data.labels)[:, None, None], axis=2)
        return -mine.mean()

    kernel = model.frames.head.kernel[...]
    return kernel - config.learning_rate * jax.grad(risk)(kernel)


def test_a_step_follows_the_mean_over_frames(clips):
    done = train(clips, model="linear", config=ONE_STEP)
    np.testing.assert_allclose(done.model.frames.head.kernel[...], kernel_after(clips, ONE_STEP), rtol=1e-4, atol=1e-6)


def test_segments_train_on_one_frame_of_each_part(clips):
    chosen = dataclasses.replace(ONE_STEP, segments=M)
    done = train(clips, model="linear", config=chosen)
    np.testing.assert_allclose(done.model.frames.head.kernel[...], kernel_after(clips, chosen), rtol=1e-4, atol=1e-6)
    one = train(clips, model="linear", config=dataclasses.replace(ONE_STEP, segments=1))
    assert np.abs(one.model.frames.head.kernel[...] - kernel_after(clips, chosen)).max() > 1e-3
    still = make(np.repeat(clips.inputs[:, :1], M, axis=1), clips.labels, clips=True)
    drawn = train(still, model="linear", config=dataclasses.replace(ONE_STEP, segments=2))
    np.testing.assert_allclose(
        drawn.model.frames.head.kernel[...], kernel_after(still, ONE_STEP, slice(1)), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("segments", [1, 5])
def test_segments_without_as_many_frames_are_refused(clips, segments):
    data = clips if segments == 5 else make(clips.inputs[:, 0], clips.labels)
    with pytest.raises(ValueError, match=f"{segments} segments need clips"):
        fit(start("linear", data), data, dataclasses.replace(ONE_STEP, segments=segments), loss=objective(data))


def test_recipes_look_at_the_frames(clips):
    assert default_model(clips) == "cnn"
    colour = make(np.zeros((N, M, 32, 32, 3), np.uint8), clips.labels, clips=True)
    assert (recipe("resnet18", colour).flip, recipe("resnet18", colour).crop) == (True, 4)
    image = make(clips.inputs[:, 0], clips.labels)
    assert gentle_rate("linear", clips, ONE_STEP) == gentle_rate("linear", image, ONE_STEP)


def test_moments_are_over_frames_and_pixels_too():
    x = np.random.default_rng(0).normal(3, 2, (5, 3, 4, 4, 2)).astype(np.float32)
    found = moments(x)
    np.testing.assert_allclose(found.mean, x.reshape(-1, 2).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.std, x.reshape(-1, 2).std(axis=0), rtol=1e-5)
