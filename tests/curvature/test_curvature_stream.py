import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest

from jaxnoisy import curvature
from jaxnoisy.curvature import Stream


def made_up(n=10, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)).astype(np.float32), rng.integers(0, 3, n)


def cut(x, y, size=4):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def read(stream):
    return [(batch, w) for batch, w in stream]


class Changing:
    """Another list of batches on every pass."""

    def __init__(self, *passes):
        self.passes = list(passes)

    def __iter__(self):
        return iter(self.passes.pop(0))


def test_batches_come_with_their_weights_in_order():
    x, y = made_up()
    w = np.arange(10.0)
    passes = [read(Stream(cut(x, y), weights=w)), read(Stream(lambda: iter(cut(x, y)), weights=w))]
    for found in passes:
        np.testing.assert_array_equal(np.concatenate([b[0] for b, _ in found]), x)
        np.testing.assert_array_equal(np.concatenate([u for _, u in found]), w)
    assert all((u == 1).all() for _, u in read(Stream(cut(x, y))))


@pytest.mark.parametrize("place", [np.asarray, jnp.asarray])
def test_the_same_data_in_another_order_or_size_passes(place):
    x, y = map(place, made_up())
    order = np.random.default_rng(1).permutation(10)
    stream = Stream(Changing(cut(x, y), cut(x[order], y[order]), cut(x, y, size=3), [(x, y)]))
    for _ in range(4):
        assert sum(len(b[1]) for b, _ in stream) == 10


def other_data():
    x, y = made_up()
    swapped = y.copy()
    i, j = 0, int(np.flatnonzero(y != y[0])[0])
    swapped[[i, j]] = y[[j, i]]
    changed = x.copy()
    changed[7, 1] += 1e-3
    return {
        "mirrored": cut(x[:, ::-1], y),
        "one value": cut(changed, y),
        "labels exchanged": cut(x, swapped),
        "one example fewer": cut(x[:-1], y[:-1]),
        "one example again": cut(np.concatenate([x, x[:1]]), np.concatenate([y, y[:1]])),
        "nothing": [],
    }


@pytest.mark.parametrize("case", other_data())
def test_other_data_on_the_second_pass_is_noticed(case):
    stream = Stream(Changing(cut(*made_up()), other_data()[case]))
    read(stream)
    with pytest.raises(ValueError, match="no batches" if case == "nothing" else "other data on a later pass"):
        read(stream)


def test_another_order_is_noticed_where_weights_depend_on_it():
    x, y = made_up()
    stream = Stream(Changing(cut(x, y), cut(x[::-1], y[::-1])), weights=np.arange(10.0))
    read(stream)
    with pytest.raises(ValueError, match="other data"):
        read(stream)


def test_a_product_refuses_a_stream_that_changes():
    p = nets.problem("mlp")
    rng = np.random.default_rng(0)

    def augmented():
        for x, y in cut(*map(np.asarray, p.data)):
            yield x + rng.normal(size=x.shape).astype(np.float32), y

    matrix = curvature.hessian(p.loss)(p.params, Stream(augmented))
    v = jax.tree.map(jnp.ones_like, p.params)
    matrix(v)
    with pytest.raises(ValueError, match="switch augmentation"):
        matrix(v)
    with pytest.raises(ValueError, match="other data on a later pass"):
        curvature.cg(damping=1.0)(
            curvature.hessian(p.loss)(p.params, Stream(augmented)), jax.tree.map(lambda a: a[None], v)
        )


def test_what_cannot_be_read_twice_is_refused():
    x, y = made_up()
    with pytest.raises(TypeError, match="only once"):
        Stream(iter(cut(x, y)))
    with pytest.raises(TypeError, match="only once"):
        Stream(b for b in cut(x, y))
    with pytest.raises(TypeError, match="re-iterable"):
        Stream(3)


def test_bad_batches_and_weights_are_refused():
    x, y = made_up()
    bad = x.copy()
    bad[5, 2] = np.nan
    for place in (np.asarray, jnp.asarray):
        with pytest.raises(ValueError, match=r"batch 1 of the stream.*\(1, 2\)"):
            read(Stream(cut(place(bad), place(y))))
    with pytest.raises(ValueError, match="no batches"):
        read(Stream([]))
    with pytest.raises(ValueError, match="in common"):
        read(Stream([(x, y[:3])]))
    with pytest.raises(ValueError, match="has more examples"):
        read(Stream(cut(x, y), weights=np.ones(9)))
    with pytest.raises(ValueError, match="has 10 examples"):
        read(Stream(cut(x, y), weights=np.ones(11)))
    with pytest.raises(ValueError, match="negative"):
        Stream(cut(x, y), weights=-np.ones(10))


def test_batches_of_one_shape_compile_once():
    traced = []

    def loss(params, example):
        traced.append(1)
        return (params @ example) ** 2

    x = np.ones((6, 3), np.float32)
    matrix = curvature.hessian(loss)(jnp.ones(3), Stream([x, x, x]))
    matrix.block(jnp.ones((2, 3)))
    once = len(traced)
    checks = 3  # each pass looks at the shapes that every batch gives
    matrix.block(jnp.ones((2, 3)))
    assert len(traced) <= once + checks
