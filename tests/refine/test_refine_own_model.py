"""A model of one's own, with batch norm and a head without a bias, and what a round goes on from."""

import numpy as np
import pytest
from blobs import DATA, VALIDATION, assert_same, leaves, logits_of, normed, short, softmax
from flax import nnx

from jaxnoisy.refine import loop as rounds_of
from jaxnoisy.refine import refine
from jaxnoisy.refine.subject import apart
from jaxnoisy.training import fit
from jaxnoisy.training.normalize import moments
from jaxnoisy.training.trained import Trained


@pytest.fixture(scope="module")
def own():
    first = fit(normed(), DATA, short(3))
    return Trained(first.model, first.scale)


def test_small_loss_and_a_model_of_ones_own(own):
    config = short(3, learning_rate=0.02)
    found, last = refine(
        DATA,
        VALIDATION,
        own,
        method="small-loss",
        rounds=1,
        config=config,
        anew=config,
        fresh=lambda: normed(1),
        relabel_above=0.2,
        evidence=False,
    )
    (info,) = found.rounds
    probs = softmax(logits_of(own, DATA).astype(np.float64))[np.arange(len(DATA)), DATA.labels]
    assert set(np.argsort(probs)[: len(info.removed)]) == set(info.removed)
    assert len(info.removed) > 0
    plain = fit(normed(1), DATA.with_labels(found.labels), config, keep=found.used, scale=own.scale)
    assert_same(nnx.state(plain.model), nnx.state(last.model))


def test_a_round_goes_on_from_parameters_and_statistics(own):
    """With next to no learning rate only the running statistics of batch norm move, and not far."""
    subject, before = apart(own)
    after = rounds_of.train_on(subject, before, DATA, short(1, learning_rate=1e-12), 1)
    for a, b in zip(leaves(before.params), leaves(after.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    moved = [np.abs(a - b).max() for a, b in zip(leaves(before.rest), leaves(after.rest), strict=True)]
    new = [np.abs(a - b).max() for a, b in zip(leaves(before.rest), leaves(apart_new().rest), strict=True)]
    assert 0 < max(moved) < 0.5 * max(new)


def apart_new():
    return apart(Trained(normed(), moments(DATA.inputs)))[1]
