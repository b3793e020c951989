"""A data set beside corrupted copies: what is copied, how it is augmented, and what it weighs in the loss."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import features, images, linear

from jaxnoisy.data import make
from jaxnoisy.losses import cross_entropy
from jaxnoisy.training import TrainConfig, fit
from jaxnoisy.training.corrupted import weights_of_copies, with_corrupted_copies
from jaxnoisy.training.normalize import moments, normalize

KEY = jax.random.key(0)


def test_originals_stay_and_copies_follow_under_other_labels():
    data = features(60)
    data = data.with_labels(data.labels, clean_labels=np.roll(data.labels, 1))
    both = with_corrupted_copies(KEY, data, rate=0.25)
    assert len(both.data) == 75
    assert both.corrupted.tolist() == [False] * 60 + [True] * 15
    for name in ("inputs", "labels", "ids", "clean_labels"):
        np.testing.assert_array_equal(getattr(both.data, name)[:60], getattr(data, name))
    assert (both.data.labels[60:] != data.labels[both.source]).all()
    np.testing.assert_array_equal(both.data.clean_labels[60:], data.clean_labels[both.source])
    assert both.data.ids[60] == f"{data.ids[both.source[0]]} (copy)"
    again = with_corrupted_copies(KEY, data, rate=0.25)
    np.testing.assert_array_equal(again.data.inputs, both.data.inputs)


def test_a_copy_of_features_is_near_its_original_and_within_their_range():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 40)).astype(np.float32) * np.linspace(0.1, 9, 40, dtype=np.float32)
    x[:, 0], x[:, 1] = 3.0, np.maximum(x[:, 1], 0)
    data = make(x, np.arange(400) % 4)
    both = with_corrupted_copies(KEY, data, rate=1.0)
    copies, scale = both.data.inputs[400:], np.std(x, axis=0)
    apart = copies - x[both.source]
    np.testing.assert_allclose(apart.std(axis=0)[2:] / scale[2:], 0.25, rtol=0.15)
    assert (copies[:, 0] == 3.0).all()
    assert (copies.min(axis=0) >= x.min(axis=0)).all()
    assert (copies.max(axis=0) <= x.max(axis=0)).all()
    varied = slice(1, None)
    distances = np.linalg.norm((copies[:, None] - x)[..., varied] / scale[varied], axis=2)
    np.testing.assert_array_equal(distances.argmin(axis=1), both.source)
    exact = with_corrupted_copies(KEY, data, rate=1.0, jitter=0.0)
    np.testing.assert_allclose(exact.data.inputs[400:], x, rtol=1e-6)


@pytest.mark.parametrize(("channels", "mirrored"), [(3, True), (1, False)])
def test_a_copy_of_an_image_is_shifted_and_mirrored_where_it_has_colour(channels, mirrored):
    data = images(60, channels=channels, size=16)
    both = with_corrupted_copies(KEY, data, rate=1.0)
    assert both.data.inputs.dtype == np.uint8
    mean = np.rint(moments(data.inputs).mean)
    seen = set()
    for copy, source in zip(both.data.inputs[60:], both.source, strict=True):
        image = data.inputs[source]
        padded = np.broadcast_to(mean, (20, 20, channels)).copy()
        padded[2:18, 2:18] = image
        flipped = padded.copy()
        flipped[2:18, 2:18] = image[:, ::-1]
        places = [
            (i, j, number)
            for number, source_image in enumerate([padded, flipped])
            for i in range(5)
            for j in range(5)
            if np.array_equal(source_image[i : i + 16, j : j + 16], copy)
        ]
        assert len(places) == 1
        seen.add(places[0][2])
    assert seen == ({0, 1} if mirrored else {0})


def test_clips_are_copied_without_their_flow():
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (12, 2, 8, 8, 3)).astype(np.uint8)
    data = make(clips, np.arange(12) % 2, clips=True)
    both = with_corrupted_copies(KEY, dataclasses.replace(data, flow=clips[..., :2].astype(np.float32)), rate=0.5)
    assert both.data.inputs.shape == (18, 2, 8, 8, 3)
    assert both.data.flow is None


def test_two_classes_swap():
    data = features(40, c=2)
    both = with_corrupted_copies(KEY, data, rate=0.5)
    np.testing.assert_array_equal(both.data.labels[40:], 1 - data.labels[both.source])


def test_names_stay_unique():
    data = make(np.eye(4, dtype=np.float32), np.arange(4) % 2, ids=np.array(["a", "a (copy)", "b", "c"]))
    assert with_corrupted_copies(KEY, data, rate=1.0).data.ids[4] == "a (copy) (copy)"


def test_balanced_weights_make_the_steps_of_equation_2():
    """One step of plain gradient descent from the same start: half of mean over originals + mean over copies."""
    both = with_corrupted_copies(KEY, features(40), rate=0.25)
    data, corrupted = both.data, both.corrupted
    model = linear(6, 3)
    plain = {"momentum": 0.0, "weight_decay": 0.0, "schedule": "constant"}
    config = TrainConfig(epochs=1, batch_size=len(data), learning_rate=0.5, **plain)
    done = fit(model, data, config, weights=weights_of_copies(corrupted, weighting="balanced"))
    x = normalize(jnp.asarray(data.inputs), moments(data.inputs))

    def eq2(kernel):
        losses = cross_entropy(x @ kernel + model.bias[...], data.labels)
        return losses[~corrupted].mean() + losses[corrupted].mean()

    step = jax.grad(eq2)(model.kernel[...])
    np.testing.assert_allclose(done.model.kernel[...], model.kernel[...] - 0.5 * step / 2, atol=1e-6)


def test_pooled_weights_are_those_of_any_example():
    assert weights_of_copies(np.array([False, True, True])).tolist() == [1, 1, 1]


def test_refusals():
    data = features(20)
    with pytest.raises(ValueError, match=r"rate must lie in \(0, 1\], but is 0"):
        with_corrupted_copies(KEY, data, rate=0)
    with pytest.raises(ValueError, match="one class only"):
        with_corrupted_copies(KEY, data.with_labels(np.zeros(20, int)))
    with pytest.raises(ValueError, match="jitter must be >= 0, but is -1"):
        with_corrupted_copies(KEY, data, jitter=-1.0)
    with pytest.raises(TypeError, match="typed key"):
        with_corrupted_copies(0, data)
    with pytest.raises(ValueError, match="weighting must be one of pooled, balanced"):
        weights_of_copies(np.array([True, False]), weighting="equal")
