import itertools
import threading

import jax
import numpy as np
import pytest

from jaxnoisy.data.batches import prefetched
from jaxnoisy.training.step import batch_rows, epoch_key


@pytest.mark.parametrize(
    ("n", "batch_size", "share"),
    [(1, 1, 1), (1, 5, 1), (12, 1, 1), (12, 5, 1), (12, 12, 1), (12, 50, 1), (37, 5, 0.5), (37, 12, 0.2), (37, 36, 1)],
)
def test_an_epoch_visits_every_kept_row_once_and_pads_the_last_batch(n, batch_size, share):
    kept = np.flatnonzero(np.random.default_rng(n).random(n) <= share).astype(np.int32)
    kept = kept if len(kept) else np.array([n - 1], np.int32)
    source, rows = map(np.asarray, batch_rows(jax.random.key(n), kept, batch_size, n))
    steps = int(np.ceil(len(kept) / batch_size))
    assert source.shape == rows.shape == (steps, batch_size)
    np.testing.assert_array_equal(np.sort(rows[rows < n]), kept)
    flat = rows.ravel()
    assert (flat[: len(kept)] < n).all()
    assert (flat[len(kept) :] == n).all()
    np.testing.assert_array_equal(source[rows < n], rows[rows < n])
    # What fills the last batch are real examples, so that batch statistics stay those of real data.
    assert set(source.ravel()) <= set(kept)


def test_orders_are_uniform():
    kept, key = np.arange(4), jax.random.key(0)
    orders = jax.vmap(lambda k: batch_rows(k, kept, 4, 4)[1][0])(jax.random.split(key, 24 * 200))
    _, counts = np.unique(np.asarray(orders), axis=0, return_counts=True)
    assert len(counts) == 24
    # 23 degrees of freedom: 60 is beyond the 99.997th percentile.
    assert ((counts - 200) ** 2 / 200).sum() < 60


def test_epochs_and_seeds_have_keys_of_their_own():
    keys = [k for seed, epoch in itertools.product(range(4), range(4)) for k in epoch_key(seed, epoch)]
    words = {tuple(np.asarray(jax.random.key_data(k)).tolist()) for k in keys}
    assert len(words) == len(keys) == 32
    again = epoch_key(2, np.int32(3))
    np.testing.assert_array_equal(jax.random.key_data(again[0]), jax.random.key_data(epoch_key(2, 3)[0]))


def test_prefetching_keeps_the_order():
    assert list(prefetched(lambda k: k * k, range(50))) == [k * k for k in range(50)]
    assert list(prefetched(str, [])) == []
    assert list(prefetched(str, range(2), depth=9)) == ["0", "1"]
    assert list(prefetched(str, range(5), depth=0)) == list("01234")


def test_an_error_is_raised_where_its_item_would_have_come():
    def make(k):
        if k == 3:
            raise KeyError("three")
        return k

    ahead = prefetched(make, range(10), depth=2)
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="three"):
        next(ahead)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_it_reads_no_further_ahead_than_depth(depth):
    read, made = [], []

    def items():
        for k in itertools.count():
            read.append(k)
            yield k

    ahead = prefetched(lambda k: made.append(k) or k, items(), depth=depth)
    assert read == []  # nothing before the first item is asked for
    for k in range(5):
        assert next(ahead) == k
        assert len(read) == k + 1 + depth
        assert len(made) <= len(read)
    ahead.close()
    assert len(made) <= 5 + depth


def test_items_are_made_while_the_consumer_works():
    second = threading.Event()
    ahead = prefetched(lambda k: second.set() if k == 1 else None, range(3), depth=1)
    next(ahead)
    assert second.wait(timeout=30)  # made although only the first was asked for
    assert len(list(ahead)) == 2


def test_leaving_early_ends_the_thread():
    before = threading.active_count()
    ahead = prefetched(lambda k: k, itertools.count(), depth=2)
    next(ahead)
    assert threading.active_count() == before + 1
    ahead.close()
    assert threading.active_count() == before
