"""What DynaCor minimises and stops by, against the paper's equations in float64."""

import dynacor_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoisy.detect.dynacor_losses import losses, sharpened, validation_metric
from jaxnoisy.detect.dynacor_network import Encoder, Weights, init, q_noisy, represent

N, D = 60, 6
RNG = np.random.default_rng(0)
Z = RNG.normal(size=(N, D)) + np.where(np.arange(N) < 20, 1.5, -0.5)[:, None]
NOISY, CLEAN = RNG.normal(size=(2, D)) + np.array([[1.0], [-0.5]])
CORRUPTED = np.arange(N) % 4 == 0


def weights(noisy=NOISY, clean=CLEAN):
    return Weights(Encoder((), jnp.zeros((1, D)), jnp.zeros(D)), jnp.float32(noisy), jnp.float32(clean))


def test_assignments_and_targets():
    q = reference.q_noisy(Z, NOISY, CLEAN)
    np.testing.assert_allclose(q_noisy(weights(), jnp.float32(Z)), q, atol=1e-6)
    np.testing.assert_allclose(sharpened(jnp.float32(q)), reference.p_noisy(q), atol=1e-6)
    assert (q > 0.5).any()
    assert (q < 0.5).any()


def test_assignments_stay_within_their_bounds():
    ends = jnp.float32(np.stack([NOISY, -NOISY, 0 * NOISY]))
    q = q_noisy(weights(NOISY, -NOISY), ends)
    np.testing.assert_allclose(q, [0.75, 0.25, 0.5], atol=1e-6)


def test_losses_and_metric():
    q = reference.q_noisy(Z, NOISY, CLEAN)
    found = losses(weights(), jnp.float32(Z), CORRUPTED)
    assert float(found.cluster) == pytest.approx(reference.cluster_loss(q), rel=1e-4)
    assert float(found.align) == pytest.approx(reference.align_loss(Z, q, CORRUPTED), rel=1e-4)
    assert float(validation_metric(jnp.float32(q), CORRUPTED)) == pytest.approx(
        reference.metric(q, CORRUPTED), rel=1e-4
    )


def test_no_gradient_passes_through_the_target():
    """Central differences in float64 of the loss against a target held still."""
    target = reference.p_noisy(reference.q_noisy(Z, NOISY, CLEAN))

    def held(noisy):
        return reference.cluster_loss(reference.q_noisy(Z, noisy, CLEAN), target)

    steps = 1e-5 * np.eye(D)
    expected = [(held(NOISY + step) - held(NOISY - step)) / 2e-5 for step in steps]
    gradient = jax.grad(lambda centre: losses(weights(centre), jnp.float32(Z), CORRUPTED).cluster)(jnp.float32(NOISY))
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-7)

    def moving(noisy):
        return reference.cluster_loss(reference.q_noisy(Z, noisy, CLEAN))

    through = [(moving(NOISY + step) - moving(NOISY - step)) / 2e-5 for step in steps]
    assert np.abs(np.array(through) - expected).max() > 10 * np.abs(np.asarray(gradient) - expected).max()


@pytest.mark.parametrize(
    ("representations", "corrupted"),
    [
        (np.tile(NOISY, (N, 1)), CORRUPTED),  # every example noisy
        (np.tile(CLEAN, (N, 1)), CORRUPTED),  # none
        (Z, np.zeros(N, bool)),  # no copies
        (Z, np.ones(N, bool)),  # copies only
        (np.zeros((N, D)), CORRUPTED),  # no direction at all
    ],
    ids=["all noisy", "none noisy", "no copies", "only copies", "zeros"],
)
def test_empty_groups_are_skipped(representations, corrupted):
    z = jnp.float32(representations)

    def total(weights, z):
        found = losses(weights, z, corrupted)
        return found.cluster + 0.5 * found.align

    for leaf in jax.tree.leaves(jax.value_and_grad(total, argnums=(0, 1))(weights(), z)):
        assert np.isfinite(leaf).all()
    q = q_noisy(weights(), z)
    assert float(validation_metric(q, corrupted)) == 0
    assert float(losses(weights(), z, corrupted).align) == pytest.approx(
        0.5 if not representations.any() else reference.align_loss(representations, np.float64(q), corrupted), abs=1e-6
    )


@pytest.mark.parametrize("pooling", ["flatten", "mean"])
def test_the_encoder(pooling):
    values = np.sign(RNG.normal(size=(5, 8))).astype(np.float32)
    encoder = init(jax.random.key(0), epochs=8, widths=(4, 6, 6), dimension=7, pooling=pooling)
    found = represent(encoder, jnp.asarray(values))
    assert found.shape == (5, 7)
    if pooling == "flatten":
        np.testing.assert_allclose(found, reference.represent(encoder, values), atol=1e-5)
    else:
        doubled = np.zeros((5, 16), np.float32)
        assert represent(encoder, jnp.asarray(doubled)).shape == (5, 7)
        inner = Encoder(encoder.layers, np.eye(48), np.zeros(48))
        features = reference.represent(inner, values).reshape(5, 8, 6).mean(axis=1)
        np.testing.assert_allclose(found, features @ np.asarray(encoder.kernel), atol=1e-5)
    np.testing.assert_allclose(jax.jit(represent)(encoder, values), found, atol=1e-6)


def test_another_pooling_is_refused():
    with pytest.raises(ValueError, match="pooling must be one of flatten, mean"):
        init(jax.random.key(0), epochs=8, pooling="max")
