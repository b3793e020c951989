"""The consensus of frames: its class probabilities, and the loss of a clip."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnoisy.losses import cross_entropy, negative_log_likelihood
from jaxnoisy.models import FrameConsensus, build, fused

N, M, C = 5, 3, 4


@pytest.fixture(scope="module")
def both():
    """A classifier of frames and the clips' model around it, logits of every frame, and clips."""
    frames = build("linear", input_shape=(4, 4, 2), num_classes=C, key=jax.random.key(0))
    clips = jax.random.normal(jax.random.key(1), (N, M, 4, 4, 2))
    logits = jnp.stack([frames(clips[:, j]) for j in range(M)], axis=1)
    return frames, FrameConsensus(frames), np.asarray(logits, np.float64), clips


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_its_softmax_is_that_of_the_mean_logits(both):
    _, model, logits, clips = both
    np.testing.assert_allclose(jax.nn.softmax(model(clips)), softmax(logits.mean(axis=1)), rtol=1e-5)


def test_its_losses_are_those_of_the_frames_and_of_the_consensus(both):
    _, model, logits, clips = both
    y = jnp.array([0, 3, 1, 2, 2])
    of_frames = -np.log(softmax(logits))[np.arange(N), :, y].mean(axis=1)
    np.testing.assert_allclose(negative_log_likelihood(model(clips), y), of_frames, rtol=1e-5)
    of_consensus = -np.log(softmax(logits.mean(axis=1)))[np.arange(N), y]
    np.testing.assert_allclose(cross_entropy(model(clips), y), of_consensus, rtol=1e-5)
    assert np.abs(of_frames - of_consensus).max() > 0.01


def test_a_clip_may_have_any_number_of_frames_in_any_order(both):
    _, model, _, clips = both
    np.testing.assert_allclose(model(clips[:, ::-1]), model(clips), rtol=1e-5)
    np.testing.assert_allclose(model(clips[:, [0, 0]]), model(clips[:, :1]), rtol=1e-5)


def test_what_are_no_clips_is_refused(both):
    _, model, _, clips = both
    for wrong in (clips[:, 0], clips[:, :0]):
        with pytest.raises(ValueError, match=r"clips have shape \(n, m, h, w, channels\)"):
            model(wrong)
    with pytest.raises(TypeError, match=r"must be a jaxnoisy\.models\.Classifier, but is Linear"):
        FrameConsensus(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))


def test_streams_are_fused_before_the_softmax():
    a, b = np.random.default_rng(0).normal(size=(2, N, C))
    want = softmax((a + 1.5 * b) / 2.5)
    np.testing.assert_allclose(fused(a, b, weights=(1.0, 1.5)), want, rtol=1e-5)
    np.testing.assert_allclose(fused(a - 3, b + a[:, :1], weights=(2.0, 3.0)), want, rtol=1e-5)  # one number per clip
    np.testing.assert_allclose(fused(a, a), softmax(a), rtol=1e-5)
    for scores, weights, message in [
        ((), None, "one or more arrays"),
        ((a, b[:3]), None, r"one shape \(n, c\)"),
        ((a, b), (1.0,), "one positive number for each of 2"),
        ((a, b), (1.0, 0.0), "one positive number for each of 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            fused(*scores, weights=weights)
