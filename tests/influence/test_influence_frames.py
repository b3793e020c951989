"""Scores of clips, whose loss is the mean over their frames, are those of dense algebra on gradients spelt out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoisy import influence
from jaxnoisy.curvature import last_layer
from jaxnoisy.influence import frames_overfitting, head_frames, head_overfitting

N, M, D, C, DAMPING, BLOCK = 14, 3, 4, 3, 0.05, 8
CLEAN = np.array([0, 1, 0, 2, 1, 0])


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def clips(*, bias=True):
    """Features, logits and labels of N clips to train on and of some with clean labels, M frames each."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(N + len(CLEAN), M, D))
    kernel = rng.normal(size=(D + 1, C))
    labels = np.concatenate([rng.integers(0, C, N), CLEAN]).astype(np.int32)
    data = features, features @ kernel[:-1] + bias * kernel[-1], labels
    return tuple(a[:N] for a in data), tuple(a[N:] for a in data)


def frame_loss(kernel, h, label):
    return jax.nn.logsumexp(h @ kernel) - (h @ kernel)[label]


def dense(train, validation, bias):
    """Gradients by automatic differentiation, frame by frame, and the Hessian of the mean of clips' mean losses."""
    features, logits, labels = (np.concatenate(a) for a in zip(train, validation))
    h = np.concatenate([features, np.ones((len(features), M, 1))], axis=2) if bias else features
    kernel = jnp.asarray(np.linalg.lstsq(h.reshape(-1, h.shape[2]), logits.reshape(-1, C), rcond=None)[0])
    gradient, hessian = jax.jit(jax.grad(frame_loss)), jax.jit(jax.hessian(frame_loss))
    g = np.stack([np.mean([gradient(kernel, x, y).ravel() for x in clip], axis=0) for clip, y in zip(h, labels)])
    p = kernel.size
    whole = np.mean(
        [np.mean([hessian(kernel, x, y).reshape(p, p) for x in clip], axis=0) for clip, y in zip(h[:N], labels)], axis=0
    )
    moved = -np.linalg.solve(whole + DAMPING * np.eye(p), g[:N].T).T
    return g, moved, moved @ g[N:].T


def factor_of(train, bias=True):
    return head_frames.factorise(*train[:2], damping=DAMPING, bias=bias)


@pytest.mark.parametrize(("place", "bias"), [(np.asarray, True), (jnp.asarray, False)])
def test_scores_of_clips_against_dense_algebra(place, bias):
    train, validation = clips(bias=bias)
    g, moved, influences = dense(train, validation, bias)
    here = tuple(map(place, train))
    own, info = head_frames.self_influence(factor_of(here, bias), *here, block_size=BLOCK)
    np.testing.assert_allclose(own.norms, np.linalg.norm(moved, axis=1), rtol=1e-9)
    np.testing.assert_allclose(own.values, -(moved * g[:N]).sum(axis=1), rtol=1e-9)
    assert isinstance(own.norms, type(here[0]))
    assert info.residual.shape == (N,)
    assert info.converged.all()
    found, both = frames_overfitting(normalise="none", block_size=BLOCK)(factor_of(here, bias), here, validation)
    norms = np.linalg.norm(moved, axis=1)
    np.testing.assert_allclose(found.osm, (norms - norms.mean()) / norms.std(), rtol=1e-8, atol=1e-9)
    voting = [0, 1]  # class 2 has one validation clip, which cannot deviate
    for k in voting:
        np.testing.assert_allclose(found.osd[:, k], influences[:, k == CLEAN].std(axis=1), rtol=1e-8)
    assert not np.asarray(found.osd[:, 2]).any()
    assert both.train.converged.all()
    assert both.validation.converged.all()
    normalised = frames_overfitting(block_size=BLOCK)(factor_of(here, bias), here, validation)[0].osd[:, voting]
    np.testing.assert_allclose(normalised.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(normalised.std(axis=0), 1, rtol=1e-9)


def test_the_matrix_of_influences_and_the_gradients():
    train, validation = clips()
    g, _, influences = dense(train, validation, True)
    asked = head_frames.gradients(*validation)
    np.testing.assert_allclose(np.asarray(asked).reshape(len(CLEAN), -1), g[N:], rtol=1e-9, atol=1e-12)
    solved, _ = last_layer.solve(factor_of(train), asked)
    rows = head_frames.pairwise(solved, *train, block_size=BLOCK)
    np.testing.assert_allclose(influence.matrix(rows), influences, rtol=1e-8)


def test_clips_of_one_frame_are_plain_examples():
    train, validation = (tuple(a[:, 0] if a.ndim == 3 else a for a in part) for part in clips())
    plain = head_overfitting()(last_layer.factorise(*train[:2], damping=DAMPING), train, validation)[0]
    train, validation = (tuple(a[:, None] if a.ndim == 2 else a for a in part) for part in (train, validation))
    found, _ = frames_overfitting()(factor_of(train), train, validation)
    for a, b in zip(found, plain):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9)


def test_a_clip_whose_frames_repeat_scores_as_without_the_repeats():
    train, validation = clips()
    twice = tuple(np.repeat(a, 2, axis=1) if a.ndim == 3 else a for a in train)
    once, repeated = (frames_overfitting()(factor_of(t), t, validation)[0] for t in (train, twice))
    np.testing.assert_allclose(once.osm, repeated.osm, rtol=1e-8)
    np.testing.assert_allclose(once.osd, repeated.osd, rtol=1e-8, atol=1e-9)


def test_scores_under_jit():
    train, validation = (tuple(map(jnp.asarray, part)) for part in clips())
    score = frames_overfitting(block_size=BLOCK)
    want = score(factor_of(train), train, validation)[0]
    found = jax.jit(lambda t, v: score(head_frames.factorise(*t[:2], damping=DAMPING), t, v)[0])(train, validation)
    np.testing.assert_allclose(found.osm, want.osm, rtol=1e-8)
    np.testing.assert_allclose(found.osd, want.osd, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda x, z, y: (x[:, 0], z, y), ValueError, "features must be an array with axes examples, frames, values"),
        (lambda x, z, y: (x, z[:, :2], y), ValueError, "have shapes"),
        (lambda x, z, y: (x, z[:, :, :1], y), ValueError, "c >= 2"),
        (lambda x, z, y: (x[:, :0], z[:, :0], y), ValueError, "n, m and d >= 1"),
        (lambda x, z, y: (x.astype(int), z, y), TypeError, "features must be floating point"),
        (lambda x, z, y: (x, z, y + 3), ValueError, "there are 3 classes"),
        (lambda x, z, y: (x, z, y[:-1]), ValueError, "13 entries for 14 examples"),
        (lambda x, z, y: (x, z, y.astype(float)), TypeError, "labels must be integers"),
        (lambda x, z, y: (x, z, jnp.asarray(y)), ValueError, "must all be NumPy arrays"),
        (lambda x, z, y: (x[:, :, :2], z, y), ValueError, "do not belong to a head of 5 inputs"),
        (lambda x, z, y: (np.where(x == x[3, 1, 2], np.nan, x), z, y), ValueError, "not finite"),
    ],
)
def test_bad_clips_are_refused(change, error, message):
    train, _ = clips()
    factor = factor_of(train)
    with pytest.raises(error, match=message):
        head_frames.self_influence(factor, *change(*train))


def test_bad_choices_are_refused():
    train, validation = clips()
    with pytest.raises(ValueError, match="block_size"):
        frames_overfitting(block_size=0)
    with pytest.raises(ValueError, match="normalise must be one of"):
        frames_overfitting(normalise="rows")
    with pytest.raises(ValueError, match="no validation clips"):
        frames_overfitting()(factor_of(train), train, tuple(a[:0] for a in validation))
    narrow = (validation[0][:, :, :3], *validation[1:])
    with pytest.raises(ValueError, match="3 columns, but training features have 4"):
        frames_overfitting()(factor_of(train), train, narrow)
    with pytest.raises(ValueError, match=r"vectors must have shape \(k, D, c\)"):
        head_frames.pairwise(jnp.zeros((0, D + 1, C)), *train)
    with pytest.raises(ValueError, match="not finite"):
        head_frames.gradients(np.full((1, 2, 3), np.inf), np.zeros((1, 2, 2)), np.array([0]))
