from pathlib import Path

import jax
import numpy as np
import pytest
from cli_runs import FEATURES, LABELS, N, arrays, done, same_arrays

from jaxnoisy import noise

NOISE = "noise --labels npy:y.npy --out noisy.npz"
GROUPS = np.array([0, 1, 0])


@pytest.fixture
def there(here):
    np.save("x.npy", FEATURES)
    np.save("groups.npy", GROUPS)
    return here


@pytest.mark.parametrize(
    ("options", "corrupt", "inputs"),
    [
        ("--kind symmetric", noise.symmetric(num_classes=3, rate=0.4), None),
        ("--kind asymmetric", noise.asymmetric(num_classes=3, rate=0.4), None),
        ("--kind instance --inputs npy:x.npy", noise.instance(num_classes=3, rate=0.4), FEATURES),
        (
            "--kind instance --inputs npy:x.npy --features unit_norm",
            noise.instance(num_classes=3, rate=0.4, features="unit_norm"),
            FEATURES,
        ),
        ("--kind superclass --groups npy:groups.npy", noise.superclass(num_classes=3, groups=GROUPS, rate=0.4), None),
        ("--kind symmetric --num-classes 7", noise.symmetric(num_classes=7, rate=0.4), None),
    ],
)
def test_it_is_the_generator_of_the_library(there, options, corrupt, inputs):
    printed = done(f"{NOISE} {options} --rate 0.4 --seed 11")
    found = arrays("noisy.npz")
    expected = corrupt(jax.random.key(11), LABELS.astype(np.int32), inputs)
    assert set(found) == {"labels", "mask", "clean_labels"}
    np.testing.assert_array_equal(found["labels"], expected.labels)
    np.testing.assert_array_equal(found["mask"], found["labels"] != LABELS)
    np.testing.assert_array_equal(found["clean_labels"], LABELS)
    assert found["mask"].dtype == bool
    assert 0 < found["mask"].sum() < N
    assert printed.startswith(f"{found['mask'].sum()} of {N} labels flipped ")
    assert printed.endswith("noisy.npz\n")


@pytest.mark.parametrize(("rate", "flips"), [("0", 0), ("1", N)])
def test_the_ends_of_the_range(there, rate, flips):
    done(f"{NOISE} --kind asymmetric --rate {rate}")
    assert arrays("noisy.npz")["mask"].sum() == flips


def test_the_seed_decides(there):
    for out, seed in (("a", 3), ("b", 3), ("c", 4)):
        done(f"noise --labels y.npy --kind symmetric --rate 0.5 --seed {seed} --out {out}.npz")
    same_arrays("a.npz", "b.npz")
    assert (arrays("a.npz")["labels"] != arrays("c.npz")["labels"]).any()


def test_labels_of_a_data_set_and_noise_on_noise(there):
    done("noise --labels npy:ok.npz --kind symmetric --rate 0.2 --out once.npz")
    done("noise --labels npy:once.npz --kind symmetric --rate 0.2 --out twice.npz")
    np.testing.assert_array_equal(arrays("twice.npz")["clean_labels"], arrays("once.npz")["labels"])
    assert {p.name for p in Path().iterdir()} >= {"once.npz", "twice.npz"}
