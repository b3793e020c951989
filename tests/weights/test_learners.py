"""The rules that learn weights: one contract for all, and the algebra of each."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from learners import MAKERS, ROWS, TX, N, ahead, made, plain_step, start, task
from weighted_nets import problem

from jaxnoisy import weights as weighting
from jaxnoisy.mesh import data_mesh, over_examples, replicated

members = pytest.mark.parametrize("name", MAKERS)


@members
def test_it_learns_from_what_the_look_ahead_says(name):
    """More weight for what helps, less for what harms; nothing for examples outside the batch."""
    p, learner = task(), made(name)
    done = learner.learn(*start(name), ROWS, p.batch, p.clean)
    assert done.weights.shape == done.losses.shape == (6,)
    assert np.isfinite(done.clean_loss)
    before, after = (np.nan_to_num(learner.weights(s)) for s in (start(name)[0], done.state))
    others = np.setdiff1d(np.arange(N), ROWS)
    np.testing.assert_array_equal(after[others], before[others])
    if name != "mwnet":
        given = jnp.zeros(6) if name == "l2rw" else jnp.full(6, 0.5)
        look = ahead("count" if name == "l2rw" else "sum")
        gradient = np.asarray(look(p.params, TX.init(p.params), given, p.batch, p.clean).gradient)
        order = np.argsort(gradient)
        moved = (after - before)[ROWS]
        assert (np.diff(moved[order]) <= 1e-6).all()
        if name != "l2rw":
            np.testing.assert_array_equal(np.sign(moved), -np.sign(gradient))
    assert int(done.state.skips.looked) == 1


@members
def test_a_step_by_weights_as_they_stand(name):
    p, learner = task(), made(name)
    state, params, opt_state = start(name)
    done = learner.hold(state, params, opt_state, ROWS, p.batch)
    average = "count" if name == "mwnet" else "sum"
    plain = plain_step(average)(params, opt_state, done.weights, p.batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), done.params, plain.params)
    assert np.isnan(done.clean_loss)
    assert int(done.state.skips.looked) == 0


@members
def test_padding_takes_no_part(name):
    """Whether it is told by a row past the end or by a weight of 0 from outside."""
    p, learner = task(), made(name)
    state, *rest = start(name)
    x, y, key = p.batch
    other = (x.at[-1].set(9.0), y, key)
    given = jnp.array([1.0, 1, 1, 1, 1, 0])
    past = ROWS.at[-1].set(N)
    found = [
        learner.learn(state, *rest, past, p.batch, p.clean, jnp.ones(6)),
        learner.learn(state, *rest, ROWS, p.batch, p.clean, given),
        learner.learn(state, *rest, past, other, p.clean, given),
    ]
    for done in found:
        assert float(done.weights[-1]) == 0
        assert np.isfinite(jax.tree.leaves(done.params)[0]).all()
        for a, b in zip(jax.tree.leaves((found[0].params, found[0].state)), jax.tree.leaves((done.params, done.state))):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@members
def test_look_aheads_that_are_no_numbers_are_skipped_and_counted(name):
    p, learner = task(), made(name)
    state, params, opt_state = start(name)
    good = learner.learn(state, params, opt_state, ROWS, p.batch, p.clean)
    x, y, key = p.clean
    bad = (x.at[0].set(jnp.nan), y, key)
    done = good
    for _ in range(3):
        done = learner.learn(done.state, done.params, done.opt_state, ROWS, p.batch, bad)
        assert np.isnan(done.clean_loss)
        assert np.isfinite(done.weights).all()
        assert all(np.isfinite(a).all() for a in jax.tree.leaves(done.params))
    if name != "mwnet":
        np.testing.assert_array_equal(learner.weights(done.state), learner.weights(good.state))
    else:
        jax.tree.map(np.testing.assert_array_equal, done.state.network, good.state.network)
    assert [int(a) for a in done.state.skips[:4]] == [4, 3, 3, 3]
    weighting.refuse_many_skips(done.state, most=3)
    with pytest.raises(FloatingPointError, match=r"not finite 3 times in a row \(3 of 4 look-aheads in all\)"):
        weighting.refuse_many_skips(done.state, most=2)
    done = learner.learn(done.state, done.params, done.opt_state, ROWS, p.batch, p.clean)
    assert [int(a) for a in done.state.skips[:4]] == [5, 3, 0, 3]


@pytest.mark.parametrize("name", ["mwnet"])
def test_eight_devices_agree_with_one(name):
    """The batch and whatever has one row per example split over them."""
    p, learner = problem("mlp", b=8), made(name)
    x, y, key = p.batch
    rows = jnp.arange(1, 9)
    mesh = data_mesh(8)

    def run(state, rows, x, y):
        params, opt_state = task().params, TX.init(task().params)
        for _ in range(2):
            done = learner.learn(state, params, opt_state, rows, (x, y, key), p.clean)
            state, params, opt_state = done.state, done.params, done.opt_state
        return state, params

    state = learner.init(N)
    split = jax.tree.map(
        lambda a: jax.device_put(a, over_examples(mesh) if a.shape == (N,) else replicated(mesh)), state
    )
    one = run(state, rows, x, y)
    eight = run(split, *(jax.device_put(a, over_examples(mesh)) for a in (rows, x, y)))
    assert {s.data.shape for s in learner.weights(eight[0]).addressable_shards} == {(N // 8,)}
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@members
def test_the_second_call_does_not_compile_again(name):
    p, learner = task(), made(name)
    done = learner.learn(*start(name), ROWS, p.batch, p.clean)
    size = learner.learn._cache_size()
    learner.learn(done.state, done.params, done.opt_state, ROWS + 1, p.batch, p.clean)
    assert learner.learn._cache_size() == size
    assert jax.tree.structure(done.state) == jax.tree.structure(learner.init(N))


@functools.cache
def scaled(unit):
    """LSW with a clean batch that says by how much its loss is multiplied."""
    p = task()
    learner = weighting.lsw(p.losses, lambda q, c: c[1] * p.clean_loss(q, c[0]), TX, has_aux=True, rate=0.3, unit=unit)
    return learner.init, jax.jit(learner.learn)


def moved(unit, clean_factor=1.0, steps=1):
    """By how much raw values moved in some steps."""
    p, (init, learn) = task(), scaled(unit)
    state, params, opt_state = init(N), p.params, TX.init(p.params)
    for _ in range(steps):
        done = learn(state, params, opt_state, ROWS, p.batch, (p.clean, clean_factor))
        state, params, opt_state = done.state, done.params, done.opt_state
    return np.asarray(state.raw)[ROWS] - 0.5


def test_the_running_unit_makes_the_rate_mean_the_same():
    moves = [moved("running", factor, steps=2) for factor in (1.0, 1e3)]
    np.testing.assert_allclose(moves[0], moves[1], rtol=1e-4, atol=1e-6)
    first = moved("running")
    assert np.sqrt(np.mean(first**2)) == pytest.approx(0.3, rel=1e-5)
    assert np.abs(first.sum()) <= 1e-5  # weights are relative in a batch of equal ones
    plain = [moved("none", factor) for factor in (1.0, 10.0)]
    np.testing.assert_allclose(10 * plain[0], plain[1], rtol=1e-3, atol=1e-6)


def test_line_8_as_printed_forgets_and_the_coherent_reading_does_not():
    """Ten harmful looks take an example below the threshold under one reading, and never under the other."""
    p = task()
    for reading in ("coherent", "printed"):
        learner = weighting.lsw(p.losses, p.clean_loss, TX, has_aux=True, rate=0.2, reading=reading)
        learn, state, params, opt_state = jax.jit(learner.learn), learner.init(N), p.params, TX.init(p.params)
        for _ in range(10):
            state = learn(state, params, opt_state, ROWS, p.batch, p.clean).state
        lowest = float(learner.weights(state).min())
        assert (lowest < weighting.THRESHOLD) == (reading == "coherent")


def test_through_the_sigmoid_small_weights_move_less():
    p = task()
    done = {}
    for through in ("weight", "raw"):
        learner = weighting.lsw(p.losses, p.clean_loss, TX, has_aux=True, unit="none", rate=1.0, through=through)
        state = learner.init(N)._replace(raw=jnp.full(N, -2.0))
        new = jax.jit(learner.learn)(state, p.params, TX.init(p.params), ROWS, p.batch, p.clean)
        done[through] = np.asarray(new.state.raw)[ROWS] + 2
    weight = jax.nn.sigmoid(-2.5)
    np.testing.assert_allclose(done["raw"], done["weight"] * weight * (1 - weight), rtol=1e-3, atol=1e-6)


def test_a_rate_so_large_that_all_weights_vanish():
    """A batch without weights moves nothing, is counted, and the run goes on."""
    p, learner = task(), made("lsw")
    state, params, opt_state = start("lsw")
    gone = state._replace(raw=state.raw.at[ROWS].set(-1e3))
    done = learner.learn(gone, params, opt_state, ROWS, p.batch, p.clean)
    assert float(done.weights.sum()) == 0
    jax.tree.map(np.testing.assert_array_equal, done.params, params)
    np.testing.assert_array_equal(done.state.raw, gone.raw)
    assert (int(done.state.skips.vanished), int(done.state.skips.skipped)) == (1, 0)
    after = learner.learn(done.state, done.params, done.opt_state, ROWS.at[0].set(1), p.batch, p.clean)
    assert not np.array_equal(jax.tree.leaves(after.params)[0], jax.tree.leaves(params)[0])


def test_l2rw_against_its_algebra():
    p, learner = task(), made("l2rw")
    done = learner.learn(*start("l2rw"), ROWS, p.batch, p.clean)
    clean = jax.grad(lambda q: p.clean_loss(q, p.clean))(p.params)
    useful = np.maximum(np.asarray(jax.jvp(lambda q: p.losses(q, p.batch)[0], (p.params,), (clean,))[1]), 0)
    assert 0 < np.count_nonzero(useful) < 6
    np.testing.assert_allclose(done.weights, useful / useful.sum(), rtol=1e-3, atol=1e-6)
    # Last given, in units of an equal share.
    np.testing.assert_allclose(learner.weights(done.state)[ROWS], 6 * done.weights, rtol=1e-5)


def test_clean_rows_are_drawn_without_repetition():
    draws = [np.asarray(weighting.draw_clean(jax.random.key(k), 40, size=30)) for k in range(2)]
    assert all(len(np.unique(rows)) == 30 and rows.max() < 40 for rows in draws)
    assert not np.array_equal(*draws)
    assert len(weighting.draw_clean(jax.random.key(0), 7)) == 7
    with pytest.raises(ValueError, match="m, the number of clean examples, must be a whole number >= 1, but is 0"):
        weighting.draw_clean(jax.random.key(0), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0.0}, "rate must be positive and finite, but is 0.0"),
        ({"rate": float("inf")}, "rate must be positive and finite, but is inf"),
        ({"unit": "mean"}, "unit must be one of running, none, but is 'mean'"),
        ({"reading": "third"}, "reading must be one of coherent, printed, but is 'third'"),
        ({"through": "loss"}, "through must be one of weight, raw, but is 'loss'"),
        ({"way": "up"}, "way must be one of forward, reverse, but is 'up'"),
    ],
)
def test_bad_choices_of_lsw(options, message):
    with pytest.raises(ValueError, match=message):
        weighting.lsw(task().losses, task().clean_loss, TX, **options)


def test_no_examples_are_refused():
    for name in MAKERS:
        with pytest.raises(ValueError, match="n must be a whole number >= 1, but is 0"):
            made(name).init(0)
