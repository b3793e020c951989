"""Operations are counted as on paper, and the way to inner products that takes fewer is taken."""

import influence_nets as nets
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoisy import influence
from jaxnoisy.influence import cost
from jaxnoisy.influence.pairwise import Forward, Reverse


def shape(*axes):
    return jax.ShapeDtypeStruct(axes, jnp.float32)


def convolution(x, kernel, **options):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), **options
    )


def scanned(x, w):
    return jax.lax.scan(lambda h, _: (h @ w, None), x, None, length=7)[0]


def branched(x, w):
    return jax.lax.cond(True, lambda: x @ w, lambda: x)


@pytest.mark.parametrize(
    ("function", "arguments", "count"),
    [
        (jnp.matmul, (shape(3, 4), shape(4, 5)), 2 * 3 * 4 * 5),
        (jnp.matmul, (shape(6, 3, 4), shape(6, 4, 5)), 6 * 2 * 3 * 4 * 5),
        (jax.jit(jnp.matmul), (shape(3, 4), shape(4, 5)), 2 * 3 * 4 * 5),
        (jnp.add, (shape(6, 2), shape(6, 2)), 24),
        (convolution, (shape(2, 8, 8, 3), shape(3, 3, 3, 5)), 2 * (2 * 6 * 6 * 5) * (3 * 3 * 3)),
        (
            lambda x, k: convolution(x, k, feature_group_count=3),
            (shape(2, 8, 8, 3), shape(3, 3, 1, 6)),
            2 * (2 * 6 * 6 * 6) * (3 * 3),
        ),
    ],
)
def test_counts_are_those_on_paper(function, arguments, count):
    assert cost.operations(function, *arguments) == count


def test_loops_count_every_step_and_branches_the_dearest():
    once = cost.operations(jnp.matmul, shape(4, 4), shape(4, 4))
    assert cost.operations(scanned, shape(4, 4), shape(4, 4)) == 7 * once
    assert once <= cost.operations(branched, shape(4, 4), shape(4, 4)) <= once + 16
    body = lambda x: jax.lax.while_loop(lambda s: s[0, 0] > 0, lambda s: s @ s, x)  # noqa: E731
    assert once <= cost.operations(body, shape(4, 4)) <= once + 32


def test_a_gradient_counts_about_three_forward_passes():
    def loss(w, x):
        return jnp.sum(jnp.tanh(x @ w) @ w.T)

    forward = cost.operations(loss, shape(64, 64), shape(32, 64))
    both = cost.operations(jax.value_and_grad(loss, argnums=(0, 1)), shape(64, 64), shape(32, 64))
    assert 2.8 < both / forward < 3.3


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_auto_takes_the_way_with_fewer_operations(name):
    p = nets.problem(name, n=16)
    counts = {}
    for k in (1, 300):
        vectors = jax.tree.map(lambda a, k=k: jnp.ones((k, *a.shape)), p.params)
        for mode, way in (("forward", Forward(p.loss, 1 << 30)), ("reverse", Reverse(p.loss))):
            counts[mode, k] = cost.operations(way, p.params, None, vectors, p.train)
        rows = influence.pairwise(p.loss, mode="auto")(p.params, p.train, vectors)
        chosen = {"Forward": "forward", "Reverse": "reverse"}[type(rows.of.func).__name__]
        assert counts[chosen, k] == min(counts["forward", k], counts["reverse", k])
        assert chosen == ("forward" if k == 1 else "reverse")
    # One more query is one more pass forward, and one more column of a product in reverse.
    assert counts["forward", 300] > 100 * counts["forward", 1]
    per_column = 2 * 16 * sum(a.size for a in jax.tree.leaves(p.params))
    assert counts["reverse", 300] - counts["reverse", 1] < 299 * per_column * 1.5


def test_nothing_is_run_to_choose():
    p = nets.problem("mlp")
    seen = []

    def loss(params, example):
        jax.debug.callback(lambda y: seen.append(y), example[1])
        return p.loss(params, example)

    vectors = jax.tree.map(lambda a: a[None], p.params)
    rows = influence.pairwise(loss)(p.params, p.train, vectors)
    assert not seen
    influence.matrix(rows)
    jax.effects_barrier()
    assert len(np.unique(seen)) > 1
