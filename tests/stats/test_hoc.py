import jax
import numpy as np
import pytest

from jaxnoisy.stats import Consensus, consensus, expected_consensus, hoc

C = 4
IDENTITY = np.eye(C)
TRANSITIONS = {
    "symmetric": 0.6 * IDENTITY + 0.4 * (1 - IDENTITY) / (C - 1),
    "asymmetric": 0.7 * IDENTITY + 0.3 * np.roll(IDENTITY, 1, axis=1),
    "none": IDENTITY,
    "any": 0.6 * IDENTITY + 0.4 * np.random.default_rng(0).dirichlet(np.ones(C), C),
}
PRIOR = np.array([0.4, 0.3, 0.2, 0.1])
ESTIMATE = jax.jit(hoc())


def exact(transition, prior):
    """The sums of the paper, term by term in float64."""
    third = np.zeros((C, C, C))
    for row, share in zip(transition, prior):
        third += share * row[:, None, None] * row[None, :, None] * row[None, None, :]
    return Consensus(*(order.astype(np.float32) for order in (third.sum(axis=(1, 2)), third.sum(axis=2), third)))


@pytest.mark.parametrize("name", TRANSITIONS)
def test_expected_consensus_is_the_sum_over_true_classes(name):
    for found, expected in zip(expected_consensus(TRANSITIONS[name], PRIOR), exact(TRANSITIONS[name], PRIOR)):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", TRANSITIONS)
def test_exact_statistics_give_back_the_transition_matrix(name):
    found = ESTIMATE(exact(TRANSITIONS[name], PRIOR))
    np.testing.assert_allclose(found.transition, TRANSITIONS[name], atol=0.02)
    np.testing.assert_allclose(found.prior, PRIOR, atol=0.02)
    assert 0 <= found.divergence + 1e-6 < 1e-4
    right = PRIOR * np.diag(TRANSITIONS[name])
    np.testing.assert_allclose(found.noise_rate, 1 - right.sum(), atol=0.01)
    np.testing.assert_allclose(found.wrong_given, 1 - right / (PRIOR @ TRANSITIONS[name]), atol=0.03)


def test_counts_come_near_to_the_truth_and_cannot_without_shared_classes():
    rng = np.random.default_rng(0)
    n, transition = 3000, TRANSITIONS["symmetric"]
    true = np.sort(rng.choice(C, n, p=PRIOR))
    given = (rng.random((n, 1)) > transition.cumsum(axis=1)[true]).sum(axis=1)
    members = [np.flatnonzero(true == k) for k in range(C)]
    neighbours = np.stack([rng.choice(members[k], 2) for k in true])
    found = ESTIMATE(consensus(given, neighbours, num_classes=C))
    np.testing.assert_allclose(found.noise_rate, 0.4, atol=0.03)
    np.testing.assert_allclose(found.transition, transition, atol=0.15)
    mixed = ESTIMATE(consensus(given, rng.integers(0, n, (n, 2)), num_classes=C))
    assert abs(mixed.noise_rate - 0.4) > 0.1


def test_consensus_counts_every_example_once():
    labels, neighbours = np.array([0, 1, 1, 2]), np.array([[1, 2], [2, 0], [1, 0], [0, 1]])
    first, second, third = consensus(labels, neighbours, num_classes=3)
    np.testing.assert_allclose(first, [0.25, 0.5, 0.25])
    np.testing.assert_allclose(second, [[0, 0.25, 0], [0, 0.5, 0], [0.25, 0, 0]])
    expected = np.zeros((3, 3, 3))
    for i, (a, b) in enumerate(neighbours):
        expected[labels[i], labels[a], labels[b]] += 0.25
    np.testing.assert_allclose(third, expected)


def test_a_class_that_nobody_was_given():
    found = ESTIMATE(exact(np.eye(C), np.array([0.5, 0.3, 0.2, 0.0])))
    assert all(np.isfinite(np.asarray(part)).all() for part in (*found, found.wrong_given))
    np.testing.assert_allclose(found.wrong_given[:3], 0, atol=0.03)


def test_a_second_estimate_does_not_compile():
    before = ESTIMATE._cache_size()
    for name in TRANSITIONS:
        ESTIMATE(exact(TRANSITIONS[name], PRIOR))
    assert ESTIMATE._cache_size() == max(before, 1)


def test_every_step_raises_the_likelihood():
    observed = exact(TRANSITIONS["any"], PRIOR)
    divergences = [float(jax.jit(hoc(max_steps=steps))(observed).divergence) for steps in (1, 20)]
    assert ESTIMATE(observed).divergence < divergences[1] < divergences[0]


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: hoc(max_steps=0), "max_steps must be a whole number >= 1, but is 0"),
        (lambda: hoc(tolerance=-1.0), "tolerance must be a finite number >= 0, but is -1.0"),
        (lambda: consensus(np.array([0, 1]), np.zeros((2, 1), int), num_classes=2), r"\(2, 2\) or wider.* \(2, 1\)"),
        (lambda: consensus(np.array([0, 1]), np.zeros((3, 2), int), num_classes=2), r"\(2, 2\) or wider.* \(3, 2\)"),
        (lambda: consensus(np.array([0, 2]), np.zeros((2, 2), int), num_classes=2), r"labels\[1\] is 2"),
        (lambda: consensus(np.array([0]), np.zeros((1, 2), int), num_classes=300), "300 classes are 300.3 numbers"),
        (lambda: hoc()(Consensus(np.ones(2), np.ones((2, 2)), np.ones((2, 2)))), "the three orders must have shapes"),
    ],
)
def test_what_the_estimate_refuses(act, says):
    with pytest.raises(ValueError, match=says):
        act()
