import jax
import numpy as np
import pytest
from noise_rates import assert_follows

from jaxnoisy.noise import superclass, superclass_matrix

# Of unequal sizes, interleaved, with gaps in the numbering, and with class 4 alone.
GROUPS = np.array([7, 2, 7, 2, 0, 7, 2, 7])


def test_rates_follow_the_matrix():
    labels = np.arange(20_000) % 8
    noisy = superclass(num_classes=8, groups=GROUPS, rate=0.3)(jax.random.key(0), labels)
    assert_follows(labels, noisy.labels, superclass_matrix(num_classes=8, groups=GROUPS, rate=0.3))


def test_flips_stay_in_the_superclass_and_leave_the_class():
    labels = np.arange(20_000) % 8
    noisy = superclass(num_classes=8, groups=GROUPS, rate=1.0)(jax.random.key(0), labels)
    np.testing.assert_array_equal(GROUPS[noisy.labels], GROUPS[labels])
    np.testing.assert_array_equal(noisy.mask, labels != 4)


def test_matrix_by_hand():
    matrix = superclass_matrix(num_classes=4, groups=[1, 0, 1, 1], rate=0.5)
    expected = [[0.5, 0, 0.25, 0.25], [0, 1, 0, 0], [0.25, 0, 0.5, 0.25], [0.25, 0, 0.25, 0.5]]
    np.testing.assert_array_equal(matrix, expected)


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ([0, 0, 1], ValueError, "groups has 3 entries for 4"),
        ([0, 0, 1, -1], ValueError, r"groups\[3\] is -1"),
        ([0.0, 0.0, 1.0, 1.0], TypeError, "groups must be integers"),
        ([3, 1, 2, 0], ValueError, "every class alone"),
    ],
)
def test_bad_groups(groups, error, message):
    for build in (superclass, superclass_matrix):
        with pytest.raises(error, match=message):
            build(num_classes=4, groups=groups, rate=0.1)
