"""What every generator keeps, whatever its kind. A new one joins with a line in GENERATORS."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoisy.noise import asymmetric, instance, superclass, symmetric, symmetric_matrix, transition, twice

C, N = 6, 240
GROUPS = [0, 0, 0, 1, 1, 1]
LABELS = np.arange(N, dtype=np.int32) % C
INPUTS = np.random.default_rng(0).standard_normal((N, 2, 3)).astype(np.float32)

GENERATORS = {
    "symmetric": lambda rate: symmetric(num_classes=C, rate=rate),
    "symmetric exact": lambda rate: symmetric(num_classes=C, rate=rate, exact=True),
    "asymmetric": lambda rate: asymmetric(num_classes=C, rate=rate),
    "asymmetric exact": lambda rate: asymmetric(num_classes=C, rate=rate, mapping=[0, 2, 1, 4, 5, 3], exact=True),
    "superclass": lambda rate: superclass(num_classes=C, groups=GROUPS, rate=rate),
    "superclass exact": lambda rate: superclass(num_classes=C, groups=GROUPS, rate=rate, exact=True),
    "instance": lambda rate: instance(num_classes=C, rate=rate),
    "transition": lambda rate: transition(matrix=symmetric_matrix(num_classes=C, rate=rate)),
    "twice": lambda rate: twice(symmetric(num_classes=C, rate=rate), asymmetric(num_classes=C, rate=rate)),
    "twice with inputs": lambda rate: twice(
        symmetric(num_classes=C, rate=rate), instance(num_classes=C, rate=rate, features="unit_norm")
    ),
}

every_generator = pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS.keys())


TRACES = {name: 0 for name in GENERATORS}


@functools.cache
def compiled(make):
    """The generator at rate 0.5 under jit, shared by the tests; each tracing adds one to TRACES."""
    (name,) = (name for name, other in GENERATORS.items() if other is make)
    corrupt = make(0.5)

    def counted(key, labels, inputs):
        TRACES[name] += 1
        return corrupt(key, labels, inputs)

    return jax.jit(counted)


def assert_same(a, b):
    assert type(a) is type(b)
    for name, x, y in zip(a._fields, a, b, strict=True):
        np.testing.assert_array_equal(x, y, err_msg=name)


@every_generator
def test_mask_marks_the_labels_that_changed(make):
    noisy = compiled(make)(jax.random.key(0), LABELS, INPUTS)
    assert noisy.labels.shape == noisy.mask.shape == (N,)
    assert noisy.mask.dtype == bool
    assert 0 < int(noisy.mask.sum()) < N
    assert ((noisy.labels >= 0) & (noisy.labels < C)).all()
    np.testing.assert_array_equal(noisy.mask, np.asarray(noisy.labels) != LABELS)


@every_generator
def test_the_key_decides(make):
    corrupt = compiled(make)
    noisy = corrupt(jax.random.key(0), LABELS, INPUTS)
    assert_same(noisy, corrupt(jax.random.key(0), LABELS, INPUTS))
    other = corrupt(jax.random.key(1), LABELS, INPUTS)
    assert (noisy.labels != other.labels).any()
    assert (noisy.mask != other.mask).any()


@every_generator
def test_jit_changes_nothing(make):
    key = jax.random.key(0)
    assert_same(compiled(make)(key, LABELS, INPUTS), make(0.5)(key, LABELS, INPUTS))


@pytest.mark.parametrize("name", GENERATORS)
def test_the_second_call_does_not_compile(name):
    corrupt = compiled(GENERATORS[name])
    first = corrupt(jax.random.key(0), LABELS, INPUTS)
    traces = TRACES[name]
    assert traces >= 1
    second = corrupt(jax.random.key(1), np.roll(LABELS, 1), INPUTS + 1)
    assert TRACES[name] == traces
    assert (first.labels != second.labels).any()


@every_generator
def test_vmap_over_keys(make):
    keys = jax.random.split(jax.random.key(0), 3)
    # Not under jit: what the generators share is then compiled once for all of them.
    together = jax.vmap(make(0.5), in_axes=(0, None, None))(keys, LABELS, INPUTS)
    for i in range(3):
        assert_same(jax.tree.map(lambda x, i=i: x[i], together), compiled(make)(keys[i], LABELS, INPUTS))


@every_generator
@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int16, jnp.int32, jnp.uint32])
def test_labels_keep_their_dtype(make, dtype):
    noisy = jax.eval_shape(make(0.5), jax.random.key(0), jax.ShapeDtypeStruct((N,), dtype), INPUTS)
    assert noisy.labels == jax.ShapeDtypeStruct((N,), dtype)
    assert noisy.mask == jax.ShapeDtypeStruct((N,), bool)


@every_generator
def test_64_bit_host_labels(make):
    noisy = compiled(make)(jax.random.key(0), LABELS.astype(np.int64), INPUTS)
    assert_same(noisy, compiled(make)(jax.random.key(0), jnp.asarray(LABELS), jnp.asarray(INPUTS)))


@every_generator
@pytest.mark.parametrize(
    "key",
    [np.array([0, 1], np.uint32), jnp.array([0, 1], jnp.uint32), 0, jax.random.split(jax.random.key(0), 2)],
    ids=["raw host", "raw device", "seed", "batch"],
)
def test_only_one_typed_key(make, key):
    with pytest.raises(TypeError, match="typed key"):
        make(0.5)(key, LABELS, INPUTS)


@every_generator
@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.full(N, C), ValueError, f"{C}, but there are {C} classes"),
        (np.full(N, -1), ValueError, "numbered from 0"),
        (LABELS.astype(np.float32), TypeError, "must be integers"),
        (LABELS[:, None], ValueError, "shape"),
        (LABELS[:0], ValueError, "empty"),
    ],
    ids=["too large", "negative", "floats", "column", "empty"],
)
def test_bad_labels(make, labels, error, message):
    with pytest.raises(error, match=message):
        make(0.5)(jax.random.key(0), labels, INPUTS)


@every_generator
@pytest.mark.parametrize("labels", [LABELS.astype(np.float32), LABELS[:, None]], ids=["floats", "column"])
def test_bad_labels_under_jit(make, labels):
    with pytest.raises((TypeError, ValueError), match="labels must"):
        jax.jit(make(0.5))(jax.random.key(0), labels, INPUTS)


@every_generator
@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_bad_rates(make, rate):
    with pytest.raises(ValueError, match=r"rate must lie in \[0, 1\]"):
        make(rate)


@pytest.mark.parametrize("name", [name for name in GENERATORS if not name.startswith(("instance", "twice with"))])
def test_inputs_are_read_by_instance_noise_only(name):
    corrupt = GENERATORS[name](0.5)
    assert_same(corrupt(jax.random.key(0), LABELS), corrupt(jax.random.key(0), LABELS, INPUTS))


@pytest.mark.parametrize(
    "make",
    [
        lambda c: symmetric(num_classes=c, rate=0.5),
        lambda c: asymmetric(num_classes=c, rate=0.5),
        lambda c: superclass(num_classes=c, groups=[0] * c, rate=0.5),
        lambda c: instance(num_classes=c, rate=0.5),
    ],
    ids=["symmetric", "asymmetric", "superclass", "instance"],
)
class TestNumberOfClasses:
    @pytest.mark.parametrize("c", [1, 0])
    def test_two_at_least(self, make, c):
        with pytest.raises(ValueError, match="num_classes must be a whole number >= 2"):
            make(c)

    def test_dtype_must_hold_the_largest(self, make):
        with pytest.raises(ValueError, match="int8, which cannot hold class 199"):
            make(200)(jax.random.key(0), LABELS.astype(np.int8), INPUTS)
