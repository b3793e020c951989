"""Robust generative classifiers on the stages of a network."""

import numpy as np
import pytest
from flax import nnx
from sklearn.datasets import load_digits

from jaxnoisy.data import make
from jaxnoisy.models import MLP
from jaxnoisy.refine.rog import generative
from jaxnoisy.repair import rog
from jaxnoisy.training import TrainConfig, fit, functional, predict
from jaxnoisy.training.normalize import moments
from jaxnoisy.training.trained import Trained, start

NAMES = tuple("0123456789")


@pytest.fixture(scope="module")
def digits():
    """600 to train on, of which four in ten are labelled wrong, 100 and 500 labelled right."""
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(y))[:1200]
    x, y = x[order].astype(np.float32), y[order]
    given = np.where(np.arange(1200) < 240, (y + rng.integers(1, 10, 1200)) % 10, y)
    return [make(x[rows], given[rows], class_names=NAMES) for rows in np.split(np.arange(1200), [600, 700])]


def test_it_is_more_often_right_than_the_head(digits):
    noisy, clean, test = digits
    model = MLP(in_features=64, num_classes=10, hidden=(32, 16), rngs=nnx.Rngs(0))
    config = TrainConfig(epochs=30, batch_size=50, record="none")
    done = fit(model, noisy, config)
    trained = Trained(done.network.merge(done.state.params, done.state.rest), done.scale)
    found, info = generative(noisy, clean, trained)
    network, params, rest = functional(trained.model)
    head = np.mean(predict(network, params, rest, trained.scale, test.inputs).argmax(axis=1) == test.labels)
    assert found.accuracy(test) > head + 0.05
    assert info.supports.shape == (2, 600)
    for kept in info.supports:
        assert np.mean(np.flatnonzero(kept) < 240) < 0.32  # of 40 %; all but 14 % at best


def test_it_is_rog_on_the_stages_in_evaluation_mode(digits):
    noisy, clean, test = digits
    model = MLP(in_features=64, num_classes=10, hidden=(6, 5), batch_norm=True, rngs=nnx.Rngs(0))
    model.norms[0].mean[...] = model.norms[0].mean[...] + 0.3
    scale = moments(noisy.inputs)
    found, info = generative(noisy, clean, Trained(model, scale), support=1.0, prior="uniform")
    model.eval()
    layers = [model.stages((part.inputs - scale.mean) / scale.std) for part in digits]
    direct, expected = rog(support=1.0, prior="uniform")(layers[0], noisy.labels, layers[1], clean.labels)
    np.testing.assert_allclose(info.weights, expected.weights, atol=1e-3)
    p = found.probabilities(test.inputs)
    assert (p.shape, p.dtype) == ((500, 10), np.float32)
    np.testing.assert_allclose(p, direct.probabilities(layers[2]), atol=1e-3)
    assert found.accuracy(test) == np.mean(p.argmax(axis=1) == test.labels)


def test_what_does_not_fit_is_refused(digits):
    noisy, clean, _ = digits
    trained = Trained(start("linear", noisy), moments(noisy.inputs))
    with pytest.raises(ValueError, match="support must lie in"):
        generative(noisy, clean, trained, support=0.2)
    with pytest.raises(ValueError, match=r"shape \(3,\), but the training data has shape \(64,\)"):
        generative(noisy, make(np.ones((2, 3)), [0, 1]), trained)
    bare = Trained(nnx.Linear(64, 10, rngs=nnx.Rngs(0)), trained.scale)
    with pytest.raises(ValueError, match=r"jaxnoisy.models.Classifier has, but was given Linear"):
        generative(noisy, clean, bare)
