import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxnoisy import tree


def made_up(seed=0, block=None):
    rng = np.random.default_rng(seed)
    lead = () if block is None else (block,)
    return {"w": jnp.asarray(rng.normal(size=(*lead, 3, 2)), jnp.float32), "b": [jnp.asarray(rng.normal(size=lead))]}


def flat(x, block=False):
    return np.concatenate(
        [np.asarray(a, np.float64).reshape((len(a), -1) if block else -1) for a in jax.tree.leaves(x)], axis=-1
    )


def test_arithmetic_is_that_of_flat_vectors():
    x, y = made_up(0), made_up(1)
    assert np.isclose(tree.dot(x, y), flat(x) @ flat(y), rtol=1e-6)
    assert np.isclose(tree.norm(x), np.linalg.norm(flat(x)), rtol=1e-6)
    np.testing.assert_allclose(flat(tree.axpy(-0.5, x, y)), flat(y) - 0.5 * flat(x), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(flat(tree.scale(3.0, x)), 3 * flat(x), rtol=1e-6)
    assert tree.size(x) == 7
    assert not flat(tree.zeros_like(x)).any()


def test_half_precision_is_summed_in_single_and_kept_in_the_result():
    x = {"a": jnp.full(4096, 1.0, jnp.bfloat16)}
    assert tree.dot(x, x).dtype == jnp.float32
    assert float(tree.dot(x, x)) == 4096  # bfloat16 sums stop growing at 256
    assert tree.axpy(jnp.float32(2), x, x)["a"].dtype == jnp.bfloat16


def test_blocks_are_matrices_of_vectors():
    x, y = made_up(0, block=4), made_up(1, block=3)
    np.testing.assert_allclose(tree.gram(x, y), flat(x, block=True) @ flat(y, block=True).T, rtol=1e-5, atol=1e-6)
    c = np.random.default_rng(2).normal(size=(4, 5)).astype(np.float32)
    np.testing.assert_allclose(
        flat(tree.combine(x, jnp.asarray(c)), block=True), c.T @ flat(x, block=True), rtol=1e-5, atol=1e-6
    )
    assert tree.block_size(x, made_up(), name="rhs") == 4


def test_random_trees_have_independent_leaves_and_follow_the_key():
    like = {"a": jnp.zeros(1000), "b": jnp.zeros(1000)}
    x = tree.random_like(jax.random.key(0), like)
    assert abs(float(tree.dot({"a": x["a"]}, {"a": x["b"]}))) < 200
    assert 0.9 < float(jnp.std(x["a"])) < 1.1
    np.testing.assert_array_equal(x["a"], tree.random_like(jax.random.key(0), like)["a"])
    signs = tree.random_like(jax.random.key(0), like, draw=jax.random.rademacher)
    assert set(np.unique(signs["a"])) == {-1.0, 1.0}


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ({"w": jnp.zeros((3, 2))}, "lacks"),
        ({"w": jnp.zeros((3, 2)), "b": [jnp.zeros(())], "c": jnp.zeros(1)}, "in excess"),
        ({"w": jnp.zeros((3, 2)), "b": (jnp.zeros(()),)}, "containers"),
        ({"w": jnp.zeros((2, 3)), "b": [jnp.zeros(())]}, r"\['w'\] has shape \(2, 3\)"),
    ],
)
def test_trees_that_differ_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        tree.same_shapes(x, made_up(), name="rhs")


def test_blocks_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"x\[None\]"):
        tree.block_size(made_up(), made_up(), name="rhs")
    with pytest.raises(ValueError, match="has shape"):
        tree.block_size({"w": jnp.zeros((2, 3, 3)), "b": [jnp.zeros(2)]}, made_up(), name="rhs")


def test_parameters_must_be_real_numbers():
    with pytest.raises(TypeError, match=r"\['steps'\] has dtype int32"):
        tree.real_parameters({"w": jnp.zeros(2), "steps": jnp.zeros((), jnp.int32)})
    with pytest.raises(TypeError, match="complex"):
        tree.real_parameters([jnp.zeros(2, jnp.complex64)])
    with pytest.raises(ValueError, match="no arrays"):
        tree.real_parameters({"w": None})


def test_split_and_merge_are_inverse():
    x = made_up()
    inside, rest = tree.split(x, lambda path, leaf: leaf.ndim == 2)
    assert tree.size(inside) == 6
    assert tree.size(rest) == 1
    joined = tree.merge(inside, rest)
    assert jax.tree.structure(joined) == jax.tree.structure(x)
    np.testing.assert_array_equal(flat(joined), flat(x))
    with pytest.raises(ValueError, match="no parameter was chosen"):
        tree.split(x, lambda path, leaf: False)
    with pytest.raises(ValueError, match="both among the frozen"):
        tree.merge(x, rest)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_dot_products_take_sharded_leaves(kind):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
    x = jnp.arange(32.0).reshape(16, 2)
    with jax.set_mesh(mesh):
        placed = {"a": jax.device_put(x, jax.NamedSharding(mesh, jax.P("data")))}
        assert float(jax.jit(tree.dot)(placed, placed)) == float((x**2).sum())
        assert float(tree.norm(tree.axpy(-1.0, placed, placed))) == 0
