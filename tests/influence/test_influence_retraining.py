"""What influence predicts is what leaving an example out and training again does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from jaxnoisy import influence
from jaxnoisy.curvature import last_layer
from jaxnoisy.influence import head

N, K, L2 = 400, 8, 0.01


def digits():
    """Digits pooled to 16 features, with a constant as the last: the bias is penalised like every weight."""
    images, labels = load_digits(return_X_y=True)
    pooled = images.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16) / 16
    features = np.concatenate([pooled, np.ones((len(pooled), 1))], axis=1)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(labels))[: N + K]
    labels = np.where(rng.uniform(size=len(labels)) < 0.1, rng.integers(0, 10, len(labels)), labels)
    return features[chosen[:N]], labels[chosen[:N]], features[chosen[N:]], labels[chosen[N:]]


def trained(x, y, weights):
    """The minimum of sum_i w_i loss_i / n + L2 / 2 ||W||^2, by another library's Newton method: W of (17, 10)."""
    model = LogisticRegression(
        C=1 / (N * L2), fit_intercept=False, solver="newton-cholesky", tol=1e-9, max_iter=100
    ).fit(x, y, sample_weight=weights)
    return model.coef_.T


def losses(w, x, y):
    z = x @ w
    return np.asarray(jax.nn.logsumexp(z, axis=1)) - z[np.arange(len(y)), y]


def loss(w, example):
    x, y = example
    z = x @ w
    return jax.nn.logsumexp(z) - z[y]


@pytest.fixture(scope="module")
def experiment():
    """Predicted and actual changes of the queries' losses, for examples of all sizes of influence."""
    with jax.enable_x64(True):
        x, y, qx, qy = digits()
        w = trained(x, y, np.ones(N))
        data = (x, x @ w, y)
        factor = last_layer.factorise(*data[:2], damping=L2, bias=False)
        solved, info = last_layer.solve(factor, head.gradients(qx, qx @ w, qy, bias=False))
        assert info.converged.all()
        predicted = -np.asarray(influence.matrix(head.pairwise(solved, *data))) / N
        left_out = np.argsort(np.linalg.norm(predicted, axis=1))[::10]
        actual = []
        for i in left_out:
            weights = np.ones(N)
            weights[i] = 0
            actual.append(losses(trained(x, y, weights), qx, qy) - losses(w, qx, qy))
    return (x, y, qx, qy, w), predicted, solved, left_out, np.array(actual)


def test_leaving_one_out_changes_losses_as_predicted(experiment):
    _, predicted, _, left_out, actual = experiment
    assert len(left_out) == 40
    predicted = predicted[left_out]
    for q in range(K):
        assert np.corrcoef(predicted[:, q], actual[:, q])[0, 1] > 0.99
    # In size too: an example among 400 is a small step.
    slope = (predicted * actual).sum() / (predicted**2).sum()
    assert 0.95 < slope < 1.15


def test_any_loss_predicts_the_same(experiment):
    (x, y, _, _, w), predicted, solved, _, _ = experiment
    with jax.enable_x64(True):
        # A head's vectors without a bias are shaped as its kernel.
        rows = influence.pairwise(loss)(jnp.asarray(w), (x, y), solved)
        np.testing.assert_allclose(-influence.matrix(rows) / N, predicted, rtol=1e-9, atol=1e-13)
