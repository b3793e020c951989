"""Scores of a trained classifier, against the algebra written out and among the ways to it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from blobs import DATA, VALIDATION, C, D, DenseHead, normed, short, softmax

from jaxnoisy.curvature import head_room
from jaxnoisy.detect import influential_rank
from jaxnoisy.influence import OverfittingScores
from jaxnoisy.refine import heads
from jaxnoisy.refine.scoring import loss_scores, scorer
from jaxnoisy.refine.subject import Weights, apart, fingerprint, head_data, head_params
from jaxnoisy.training.normalize import moments
from jaxnoisy.training.trained import Trained, train

ROWS = np.flatnonzero(np.arange(len(DATA)) % 5 != 0)
KEPT = DATA.take(ROWS)
CHOICES = {"method": "influential-rank", "gamma": 0.6, "damping": 0.1, "hessian_examples": None, "seed": 0}


@pytest.fixture(scope="module")
def linear():
    return train(DATA, model="linear", config=short(10))


def dense(trained, curved):
    head = trained.model.head
    return DenseHead(head.kernel[...], head.bias[...], trained.scale, curved, CHOICES["damping"])


def scored(trained, rows=ROWS, **choices):
    subject, weights = apart(trained)
    return scorer(subject, DATA, VALIDATION, **{"solver": "exact", **CHOICES, **choices})(weights, rows)


def test_scores_are_those_of_the_kept_examples_alone(linear):
    """The curvature, and the means that scores are counted from, are of the rows asked about."""
    found, by_hand = scored(linear), dense(linear, KEPT)
    np.testing.assert_allclose(found.scores.osm, by_hand.osm(KEPT), atol=1e-3)
    np.testing.assert_allclose(found.scores.osd, by_hand.osd(KEPT, VALIDATION), atol=1e-3)
    np.testing.assert_array_equal(found.scores.queries, [15, 15, 15])
    expected = influential_rank(gamma=0.6)(
        OverfittingScores(by_hand.osm(KEPT), by_hand.osd(KEPT, VALIDATION), np.full(C, 15))
    )
    np.testing.assert_array_equal(found.detection.flagged, expected.flagged)
    assert found.detection.flagged.any()
    rows, queries = np.array([0, 7, 30]), np.array([2, 3, 40, 44])
    by_hand = by_hand.influences(KEPT, VALIDATION)[np.ix_(rows, queries)]
    np.testing.assert_allclose(found.influences(rows, queries), by_hand, rtol=2e-2, atol=2e-3)


def test_conjugate_gradient_is_given_the_hessian_of_the_head(linear, monkeypatch):
    """The solver has its own tests; here the matrix is inverted as it stands."""

    def dense_solver(*, damping, tolerance, max_steps):
        def solve(matrix, rhs):
            size = C * (D + 1)
            unit = {"kernel": jnp.eye(size, D * C).reshape(size, D, C), "bias": jnp.eye(size, C, k=-D * C)}
            columns, flat = matrix.block(unit), rhs["kernel"].reshape(len(rhs["kernel"]), -1)
            whole = jnp.concatenate([columns["kernel"].reshape(size, -1), columns["bias"]], axis=1)
            x = jnp.concatenate([flat, rhs["bias"]], axis=1) @ jnp.linalg.inv(whole + damping * jnp.eye(size))
            return {"kernel": x[:, : D * C].reshape(-1, D, C), "bias": x[:, D * C :]}, None

        return solve

    monkeypatch.setattr(heads, "block_cg", dense_solver)
    rows, queries = np.array([0, 7, 30]), np.array([2, 3, 40, 44])
    found = scored(linear, method="small-loss", solver="cg").influences(rows, queries)
    by_hand = dense(linear, KEPT).influences(KEPT, VALIDATION)[np.ix_(rows, queries)]
    np.testing.assert_allclose(found, by_hand, rtol=1e-2, atol=1e-3)


def test_losses_are_cross_entropies(linear):
    by_hand = -np.log(softmax(dense(linear, KEPT).logits(KEPT))[np.arange(len(KEPT)), KEPT.labels])
    np.testing.assert_allclose(scored(linear).losses, by_hand, rtol=1e-4, atol=1e-5)


def test_the_curvature_of_a_sample_is_that_of_some_of_the_rows(linear):
    found = scored(linear, hessian_examples=40)
    again, other = scored(linear, hessian_examples=40), scored(linear, hessian_examples=40, seed=1)
    np.testing.assert_array_equal(found.scores.osm, again.scores.osm)
    assert np.abs(found.scores.osm - other.scores.osm).max() > 1e-3
    assert np.corrcoef(found.scores.osm, dense(linear, KEPT).osm(KEPT))[0, 1] > 0.8
    more = scored(linear, hessian_examples=len(ROWS))
    np.testing.assert_array_equal(more.scores.osm, scored(linear).scores.osm)


def test_ekfac_ranks_nearly_alike(linear):
    found = scored(linear, solver="ekfac")
    assert np.corrcoef(found.scores.osm, dense(linear, KEPT).osm(KEPT))[0, 1] > 0.9
    assert found.said.startswith("72 of 72 right-hand sides converged")


def test_small_loss_puts_the_loss_in_the_place_of_both_scores(linear):
    found = scored(linear, method="small-loss")
    wide = found.losses.astype(np.float64)
    np.testing.assert_allclose(found.scores.osm, (wide - wide.mean()) / wide.std(), atol=1e-5)
    np.testing.assert_array_equal(found.scores.osd, np.stack([found.losses] * C, axis=1))
    assert set(found.detection.info.votes) <= {0, C}  # all classes agree
    assert found.said == ""
    order = np.argsort(-found.detection.scores)
    assert (np.diff(found.losses[order]) <= 0).all()


def test_equal_losses_flag_nothing():
    found = influential_rank(gamma=0)(loss_scores(np.full(20, 0.3, np.float32), VALIDATION))
    assert not found.flagged.any()


def test_a_head_without_a_bias_is_factorised_without_one(monkeypatch):
    model = Trained(normed(), moments(DATA.inputs))
    subject, weights = apart(model)
    assert set(head_params(subject, weights)) == {"kernel"}
    factors, factorise = [], heads.last_layer.factorise

    def watched(*arguments, **options):
        factors.append(factorise(*arguments, **options))
        return factors[-1]

    monkeypatch.setattr(heads.last_layer, "factorise", watched)
    of = head_data(subject, weights, DATA, ROWS)
    heads.exactly(heads.HeadTask(of, of, None, 0.1, head_params(subject, weights)))
    assert factors[0].like.shape == (6, C)


def test_a_model_that_diverged_is_not_scored(linear):
    subject, weights = apart(linear)
    broken = Weights(jax.tree.map(lambda a: a * np.nan, weights.params), weights.rest)
    with pytest.raises(FloatingPointError, match="its training has diverged"):
        scorer(subject, DATA, VALIDATION, solver="exact", **CHOICES)(broken, ROWS)


def test_a_fingerprint_changes_with_any_parameter(linear):
    subject, weights = apart(linear)
    moved = Weights(jax.tree.map(lambda a: a + 1e-6, weights.params), weights.rest)
    assert fingerprint(subject, weights) == fingerprint(*apart(linear)) != fingerprint(subject, moved)


def test_a_head_too_wide_names_the_other_solvers(monkeypatch):
    monkeypatch.setattr(head_room.os, "sysconf", lambda name: 1)
    with pytest.raises(ValueError, match=r'Choose solver="ekfac".*solver="cg"'):
        heads.refuse_too_wide("exact", 5, 3)
    heads.refuse_too_wide("ekfac", 5, 3)
