import functools

import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest
import systems

from jaxnoisy import curvature
from jaxnoisy.curvature import Parts, Status, Stream

P = systems.P


def of_index(matrices, j, vectors):
    return vectors @ matrices[j]


def indexed(matrices, weights):
    """Parts that are dense matrices, on vectors that are arrays."""
    part = jax.tree_util.Partial(of_index, jnp.asarray(matrices))
    return Parts(part, jnp.asarray(weights))


def some_parts(m=4, *, scale=1.0):
    matrices = np.stack([scale * systems.with_eigenvalues(np.linspace(0, 1, P), seed) for seed in range(m)])
    weights = np.arange(1.0, m + 1)
    return matrices, weights, np.average(matrices, axis=0, weights=weights)


def rows(k, seed=1):
    return np.random.default_rng(seed).normal(size=(k, P))


@functools.cache
def compiled(**options):
    return jax.jit(curvature.stochastic_lissa(**options))


def stochastic(matrices, weights, b, *, seed=0, **options):
    x, info = compiled(**options)(jax.random.key(seed), indexed(matrices, weights), jnp.asarray(b))
    return np.asarray(x), info


def test_the_iterate_is_the_partial_sum_of_the_series():
    a, b, scale, damping = systems.spd(), rows(2), 1.7, 0.3
    step = np.eye(P) - (a + damping * np.eye(P)) / scale
    expected = sum(b @ np.linalg.matrix_power(step, i) / scale for i in range(6))
    with jax.enable_x64(True):
        solve = curvature.lissa(damping=damping, scale=scale, tolerance=1e-12, max_steps=5)
        x, info = jax.jit(lambda m, r: solve(lambda v: m @ v, r))(jnp.asarray(a), jnp.asarray(b))
    x = np.asarray(x)
    np.testing.assert_allclose(x, expected, rtol=1e-12)
    left = np.linalg.norm(b - x @ (a + damping * np.eye(P)), axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(info.residual, left, rtol=1e-9)
    assert (np.asarray(info.status) == Status.LIMIT).all()
    assert int(info.steps) == 5 + 1  # one for the residual


@pytest.mark.parametrize(("share", "status"), [(0.52, Status.CONVERGED), (0.45, Status.DIVERGED)])
def test_a_scale_below_half_the_top_eigenvalue_is_named(share, status):
    a, b = systems.with_eigenvalues(np.linspace(0.1, 1, P)), rows(3)
    with jax.enable_x64(True):
        solve = curvature.lissa(damping=0.5, scale=share * 1.5, tolerance=1e-6)
        x, info = jax.jit(lambda m, r: solve(lambda v: m @ v, r))(jnp.asarray(a), jnp.asarray(b))
    assert (np.asarray(info.status) == status).all()
    assert np.isfinite(x).all()
    assert ("larger scale" in curvature.describe(info)) == (status == Status.DIVERGED)


def test_what_single_precision_cannot_reach_is_said():
    a, b = systems.spd(condition=1e3).astype(np.float32), rows(2).astype(np.float32)
    solve = curvature.lissa(tolerance=1e-9, max_steps=50_000)
    _, info = jax.jit(lambda m, r: solve(lambda v: m @ v, r))(jnp.asarray(a), jnp.asarray(b))
    assert (np.asarray(info.status) == Status.STAGNATED).all()
    assert (np.asarray(info.residual) < 1e-3).all()


@pytest.mark.parametrize("p", [5, 60])
def test_the_bound_lies_above_the_top_eigenvalue_and_not_far(p):
    spectra = np.stack(
        [np.linspace(-3, 2, p), np.geomspace(1e-3, 7, p), np.full(p, 4.0), np.zeros(p), np.full(p, -1.0)]
    )
    q = systems.orthogonal(p)
    with jax.enable_x64(True):
        bound = jax.jit(lambda m: curvature.spectral_bound(jax.random.key(0), lambda v: m @ v, jnp.zeros(p)))
        for spectrum in spectra:
            found, top = float(bound(jnp.asarray(q * spectrum @ q.T))), max(spectrum.max(), 0)
            assert top * (1 - 1e-12) <= found <= top + 0.5 * np.abs(spectrum).max() + 1e-12


def test_the_expected_iterate_obeys_the_recursion_of_the_whole_matrix():
    matrices, weights, mean = some_parts()
    b, scale, damping, repeats = rows(1), 1.5, 0.2, 4000
    step = np.eye(P) - (mean + damping * np.eye(P)) / scale
    expected = sum(b @ np.linalg.matrix_power(step, i) / scale for i in range(4))
    with jax.enable_x64(True):
        x, _ = stochastic(matrices, weights, b, damping=damping, scale=scale, steps=4, repeats=repeats, tail=0.25)
    # An iterate of four steps differs from its mean by less than half its length.
    assert np.linalg.norm(x - expected) < 4 * 0.5 * np.linalg.norm(expected) / np.sqrt(repeats)


def test_the_mean_of_the_iterates_comes_to_the_damped_system_with_the_root_of_the_steps():
    matrices, weights, mean = some_parts()
    b, damping = rows(3), 0.3
    expected = np.linalg.solve(mean + damping * np.eye(P), b.T).T

    def error(**options):
        options |= {"damping": damping, "scale": 1.5}
        found, infos = zip(*[stochastic(matrices, weights, b, seed=s, **options) for s in range(4)])
        for x, info in zip(found, infos):
            left = np.linalg.norm(b - x @ (mean + damping * np.eye(P)), axis=1) / np.linalg.norm(b, axis=1)
            np.testing.assert_allclose(info.residual, left, rtol=1e-6)
        return np.linalg.norm(np.stack(found) - expected, axis=2).mean() / np.linalg.norm(expected, axis=1).mean()

    with jax.enable_x64(True):
        last, few, many = error(steps=300, tail=1e-3), error(steps=300), error(steps=12_000)
        repeated = error(steps=300, repeats=40)
    assert many < 0.02
    assert few < 0.5 * last
    for better in (many, repeated):
        assert 2.5 < few / better < 16  # the root of 40 is 6.3


def test_random_steps_with_too_small_a_scale_are_broken_off():
    matrices, weights, _ = some_parts()
    with jax.enable_x64(True):
        x, info = stochastic(matrices, weights, rows(2), damping=0.3, scale=0.3, steps=300)
    assert (np.asarray(info.status) == Status.DIVERGED).all()
    assert np.isfinite(x).all()
    assert (np.asarray(info.residual) > 1).all()


def test_parts_of_a_network_are_the_matrices_of_its_microbatches():
    with jax.enable_x64(True):
        p = nets.problem("mlp")
        w = np.random.default_rng(0).uniform(size=11)
        block, v = nets.vectors(p.params, 3)

        @jax.jit
        def products(q, d, u):
            split = curvature.parts(nets.made("fisher", p), q, d, batch_size=4, weights=u)
            each = jax.lax.map(lambda j: split.at(j).block(block), jnp.arange(split.number))
            return split.shares, each, split.whole().block(block)

        shares, each, whole = products(p.params, p.data, w)
        np.testing.assert_allclose(nets.as_matrix(whole), v @ nets.dense("fisher", p, weights=w), rtol=1e-9)
        # Microbatch j holds every third example from j on.
        for j in range(3):
            np.testing.assert_allclose(shares[j], w[j::3].sum() / w.sum(), rtol=1e-6)
            rows_of = p._replace(data=jax.tree.map(lambda a, j=j: a[j::3], p.data))
            expected = v @ nets.dense("fisher", rows_of, weights=w[j::3])
            np.testing.assert_allclose(nets.as_matrix(jax.tree.map(lambda a, j=j: a[j], each)), expected, rtol=1e-6)


def test_parts_read_on_the_host_give_what_arrays_give():
    matrices, weights, _ = some_parts()
    weights[2] = 0
    matrices[2] = np.nan  # never drawn
    read = []

    def part(j, vectors):
        read.append(int(j))
        return jnp.asarray(np.asarray(vectors) @ matrices[int(j)])

    with jax.enable_x64(True):
        bounded, _ = stochastic(matrices, weights, rows(2), damping=0.3, steps=40)
        assert np.isfinite(bounded).all()
        options = {"damping": 0.3, "steps": 40, "scale": 1.5}
        x, info = stochastic(matrices, weights, rows(2), **options)
        host = Parts(part, jnp.asarray(weights), streamed=True)
        found, again = curvature.stochastic_lissa(**options)(jax.random.key(0), host, jnp.asarray(rows(2)))
    np.testing.assert_allclose(found, x, rtol=1e-9)
    np.testing.assert_allclose(again.residual, info.residual, rtol=1e-9)
    assert int(info.steps) == int(again.steps) == 40 / 4 + 1
    assert len(read) == 40 + 3
    assert 2 not in read


def test_bad_arguments_are_refused():
    for name, bad in (("scale", 0.0), ("scale", -1.0), ("steps", 0), ("repeats", 0), ("tail", 0.0), ("tail", 1.5)):
        with pytest.raises(ValueError, match=name):
            curvature.stochastic_lissa(**{name: bad})
    with pytest.raises(ValueError, match="scale"):
        curvature.lissa(scale=np.inf)
    solve, split = curvature.stochastic_lissa(), indexed(np.eye(P)[None], np.ones(1))
    with pytest.raises(TypeError, match="key"):
        solve(0, split, jnp.ones((1, P)))
    with pytest.raises(TypeError, match="Parts"):
        solve(jax.random.key(0), lambda v: v, jnp.ones((1, P)))
    p = nets.problem("mlp")
    with pytest.raises(ValueError, match="batch_size"):
        curvature.parts(nets.made("fisher", p), p.params, p.data, batch_size=0)
    with pytest.raises(TypeError, match="own order"):
        curvature.parts(nets.made("fisher", p), p.params, Stream([p.data]), batch_size=2)
