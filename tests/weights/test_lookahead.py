"""The look-ahead gradient: one forward-mode pass against differentiating through the step, and finite differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from weighted_nets import problem

from jaxnoisy import weights as weighting

RATE = optax.exponential_decay(0.1, 10, 0.9)
OPTIMIZERS = {
    "momentum": optax.sgd(0.1, momentum=0.9),
    "nesterov-decay": optax.chain(optax.add_decayed_weights(1e-2), optax.sgd(RATE, momentum=0.9, nesterov=True)),
    "adamw": optax.adamw(0.05, weight_decay=1e-2),
    "clipped": optax.chain(optax.clip_by_global_norm(0.05), optax.sgd(0.5)),
    "lars": optax.lars(0.1),
}


def after_some_steps(p, tx, steps=2):
    """Parameters and an optimizer state that remembers something."""
    step = jax.jit(weighting.weighted_step(p.losses, tx, has_aux=True))
    done = step(p.params, tx.init(p.params), p.weights, p.batch)
    for _ in range(steps - 1):
        done = step(done.params, done.opt_state, p.weights, p.batch)
    return done.params, done.opt_state


def look(p, tx, params, opt_state, **options):
    made = weighting.lookahead(p.losses, p.clean_loss, tx, has_aux=True, **options)
    return jax.jit(made)(params, opt_state, p.weights, p.batch, p.clean)


def assert_near(a, b, tolerance):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert np.abs(b).max() > 0
    assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


@pytest.mark.parametrize("wide", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize(("name", "optimizer"), [("mlp", "adamw"), ("cnn", "momentum"), ("resnet", "nesterov-decay")])
def test_forward_is_reverse(name, optimizer, wide):
    with jax.enable_x64(wide):
        p, tx = problem(name), OPTIMIZERS[optimizer]
        start = after_some_steps(p, tx)
        ways = [look(p, tx, *start, way=way) for way in ("forward", "reverse")]
        assert ways[0].gradient.dtype == (jnp.float64 if wide else jnp.float32)
        assert_near(ways[0].gradient, ways[1].gradient, 1e-10 if wide else 1e-5)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *(w.stepped for w in ways))
        np.testing.assert_allclose(ways[0].clean_loss, ways[1].clean_loss, rtol=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_any_transformation_agrees_with_finite_differences(optimizer):
    with jax.enable_x64(True):
        p, tx = problem("mlp"), OPTIMIZERS[optimizer]
        if optimizer == "adamw":
            # At weight 0 it has no derivative by units that fire for that example alone.
            p = p._replace(weights=p.weights + 0.1)
        params, opt_state = after_some_steps(p, tx)
        step = weighting.weighted_step(p.losses, tx, has_aux=True)

        @jax.jit
        def clean_loss(weights):
            return p.clean_loss(step(params, opt_state, weights, p.batch).params, p.clean)

        forward = look(p, tx, params, opt_state).gradient
        if optimizer in ("clipped", "lars"):  # test_forward_is_reverse has the others
            assert_near(forward, look(p, tx, params, opt_state, way="reverse").gradient, 1e-10)
        shift = 1e-5 * jnp.eye(len(p.weights))
        slopes = [(clean_loss(p.weights + e) - clean_loss(p.weights - e)) / 2e-5 for e in shift]
        assert_near(forward, slopes, 1e-5)
        assert abs(float(p.weights @ forward)) <= 1e-12 * float(jnp.abs(forward).max())  # equation 1 normalises


@pytest.mark.parametrize("b", [1, 6])
def test_by_the_number_of_examples(b):
    """Without the normalising sum, also at weights 0, where L2RW looks ahead."""
    with jax.enable_x64(True):
        p, tx = problem("cnn", b=b), OPTIMIZERS["momentum"]
        p = p._replace(weights=jnp.zeros(b))
        start = (p.params, tx.init(p.params))
        ways = [look(p, tx, *start, way=way, normalise="count") for way in ("forward", "reverse")]
        assert_near(ways[0].gradient, ways[1].gradient, 1e-10)
        gradient = jax.grad(lambda q: p.clean_loss(q, p.clean))(p.params)
        slopes = jax.jvp(lambda q: p.losses(q, p.batch)[0], (p.params,), (gradient,))[1]
        assert_near(ways[0].gradient, -0.1 * slopes / b, 1e-10)


@pytest.mark.parametrize("way", weighting.WAYS)
def test_a_batch_of_one_has_no_other_to_weigh_against(way):
    p, tx = problem("cnn", b=1), OPTIMIZERS["momentum"]
    ahead = look(p._replace(weights=jnp.array([0.3])), tx, p.params, tx.init(p.params), way=way)
    np.testing.assert_allclose(ahead.gradient, [0], atol=1e-5)


def test_permuted_batches_give_permuted_gradients():
    with jax.enable_x64(True):
        p, tx = problem("resnet"), OPTIMIZERS["nesterov-decay"]
        order = np.array([3, 0, 5, 1, 4, 2])
        x, y, key = p.batch
        moved = p._replace(batch=(x[order], y[order], key), weights=p.weights[order])
        a, b = (look(q, tx, p.params, tx.init(p.params)).gradient for q in (p, moved))
        assert_near(b, a[order], 1e-10)


@pytest.mark.parametrize("optimizer", ["momentum", "clipped"])
def test_a_part_of_the_parameters(optimizer):
    """The weights act through the head's step alone: by definition, and as the reverse way has it."""
    with jax.enable_x64(True):
        p, tx = problem("resnet"), OPTIMIZERS[optimizer]
        params, opt_state = after_some_steps(p, tx)

        def head(path, leaf):
            return "head" in path

        ways = [look(p, tx, params, opt_state, way=way, only=head) for way in ("forward", "reverse")]
        assert_near(ways[0].gradient, ways[1].gradient, 1e-10)
        whole = look(p, tx, params, opt_state)
        # To rounding: where less is differentiated, the programs of the same step are put together otherwise.
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12), ways[0].stepped, whole.stepped
        )
        if optimizer == "momentum":
            at = whole.stepped.params
            clean = jax.grad(lambda h: p.clean_loss({**at, "head": h}, p.clean))(at["head"])
            each = jax.jacrev(lambda h: p.losses({**params, "head": h}, p.batch)[0])(params["head"])
            slopes = -0.1 * jnp.tensordot(each, clean, 2)
            s = p.weights.sum()
            assert_near(ways[0].gradient, (slopes - p.weights @ slopes / s) / s, 1e-10)


def test_the_head_alone_spares_the_passes_below():
    p, tx = problem("resnet"), OPTIMIZERS["momentum"]
    jax.config.update("jax_disable_most_optimizations", False)  # which drop what is not used

    def flops(**options):
        made = jax.jit(weighting.lookahead(p.losses, p.clean_loss, tx, has_aux=True, **options))
        return made.lower(p.params, tx.init(p.params), p.weights, p.batch, p.clean).compile().cost_analysis()["flops"]

    plain = jax.jit(weighting.weighted_step(p.losses, tx, has_aux=True))
    step = plain.lower(p.params, tx.init(p.params), p.weights, p.batch).compile().cost_analysis()["flops"]
    head, whole = flops(only=lambda path, leaf: "head" in path), flops()
    assert step < head < whole
    assert head - step < 0.5 * (whole - step)
    jax.config.update("jax_disable_most_optimizations", True)


def test_weights_that_vanish_teach_nothing():
    p, tx = problem("cnn"), OPTIMIZERS["momentum"]
    for way in weighting.WAYS:
        ahead = look(p._replace(weights=jnp.full(6, 1e-30)), tx, p.params, tx.init(p.params), way=way)
        np.testing.assert_array_equal(ahead.gradient, np.zeros(6))
        jax.tree.map(np.testing.assert_array_equal, ahead.stepped.params, p.params)


def test_units_that_never_fire_leave_adam_differentiable():
    """Where a gradient has been 0 from the start, Adam's quotient has no derivative."""
    p, tx = problem("mlp"), OPTIMIZERS["adamw"]
    x, y, key = p.batch
    dark = (x.at[:, 0].set(0), y, key)  # the first pixels' weights get no gradient
    found = [look(p._replace(batch=dark), tx, p.params, tx.init(p.params), way=way) for way in weighting.WAYS]
    assert np.isfinite(found[0].gradient).all()
    assert_near(found[0].gradient, found[1].gradient, 1e-5)


def test_clean_statistics_are_the_clean_batch_s_own():
    """And those of the batch, which go on to the running averages, know nothing of the clean examples."""
    p, tx = problem("resnet"), OPTIMIZERS["momentum"]
    ahead = look(p, tx, p.params, tx.init(p.params))
    first, _ = ahead.stepped.aux
    body = p.params["body"]
    maps = jax.lax.conv_general_dilated(
        p.batch[0], body["w"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(first[0], maps.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ahead.clean_loss, p.clean_loss(ahead.stepped.params, p.clean), rtol=1e-5)


def test_the_second_call_does_not_compile_again():
    p, tx = problem("mlp"), OPTIMIZERS["momentum"]
    made = jax.jit(weighting.lookahead(p.losses, p.clean_loss, tx, has_aux=True))
    state = tx.init(p.params)
    for weights in (p.weights, 2 * p.weights):
        made(p.params, state, weights, p.batch, p.clean)
    assert made._cache_size() == 1


def test_bad_arguments():
    p, tx = problem("mlp"), OPTIMIZERS["momentum"]
    state = tx.init(p.params)
    with pytest.raises(ValueError, match="way must be one of forward, reverse, but is 'both'"):
        weighting.lookahead(p.losses, p.clean_loss, tx, way="both")
    with pytest.raises(ValueError, match="normalise must be one of sum, count, but is 'max'"):
        weighting.lookahead(p.losses, p.clean_loss, tx, normalise="max")
    with pytest.raises(ValueError, match=r"one number per example, but have \(6,\) and \(3,\)"):
        look(p._replace(weights=p.weights[:3]), tx, p.params, state)
    each = p._replace(clean_loss=lambda params, clean: p.losses(params, clean)[0])
    with pytest.raises(ValueError, match=r"clean_loss must return a scalar, such as a sum, but returns shape \(5,\)"):
        look(each, tx, p.params, state)
    with pytest.raises(ValueError, match="no parameter was chosen"):
        look(p, tx, p.params, state, only=lambda path, leaf: "tail" in path)
