"""Training with learned weights: what is learned, and that it is the same run wherever and however it is run."""

import dataclasses
import functools

import numpy as np
import pytest
from tiny import MLP, ConvNet, assert_same_run, features, images

from jaxnoisy.data import make
from jaxnoisy.mesh import data_mesh
from jaxnoisy.training import TrainConfig, fit
from jaxnoisy.training.learning import Learning

CONFIG = TrainConfig(epochs=4, batch_size=16, learning_rate=0.05, momentum=0.9)
CLEAN = features(24, seed=1)


def mixed():
    """Features by which classes can be told, a few wrong labels, and clean examples that divide by eight devices."""
    rng = np.random.default_rng(3)
    labels = np.arange(45) % 3
    x = 3 * np.eye(3)[labels] + 0.3 * rng.normal(size=(45, 3))
    wrong = np.arange(45) < 9
    given = np.where(wrong, (labels + 1) % 3, labels)
    known = np.arange(16) % 3
    clean = make((3 * np.eye(3)[known] + 0.3 * rng.normal(size=(16, 3))).astype(np.float32), known)
    return make(x.astype(np.float32), given), wrong, clean


def usual(**options):
    return Learning(clean=mixed()[2], rate=0.5, start=1, **options)


@functools.cache
def learned(**options):
    """A run on the device, made once."""
    data = mixed()[0]
    return fit(MLP(3, 3), data, CONFIG, learning=usual(**options))


def test_wrong_labels_lose_weight():
    wrong = mixed()[1]
    done = learned()
    weights = done.learned.weights
    assert weights[wrong].max() < weights[~wrong].min()
    assert weights[wrong].mean() < 0.4 < 0.5 < weights[~wrong].mean()
    assert done.learned.skips == {"looked": 9, "skipped": 0, "in_a_row": 0, "longest": 0, "vanished": 0}
    used = done.learned.used
    assert used.shape == (45, 4)
    np.testing.assert_array_equal(used[:, :2], 0.5)  # the second epoch uses what the first, which held, left
    assert (used[:, 3][wrong] < 0.5).all()
    assert done.trace.recorded.all()


def test_streamed_from_the_host_it_is_the_same_run():
    data, _, clean = mixed()
    options = Learning(clean=clean, rate=0.5, start=1, every=2, clean_batch=5)
    runs = [
        fit(MLP(3, 3, dropout=0.2), data, dataclasses.replace(CONFIG, on_device=here), learning=options)
        for here in (True, False)
    ]
    assert_same_run(*runs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(runs[0].learned.weights, runs[1].learned.weights, rtol=1e-5)
    np.testing.assert_allclose(runs[0].learned.used, runs[1].learned.used, rtol=1e-5)
    assert runs[0].learned.skips["looked"] == 5  # of nine steps, every other


def test_eight_devices_give_the_run_of_one():
    runs = [learned(), fit(MLP(3, 3), mixed()[0], CONFIG, learning=usual(), mesh=data_mesh(8))]
    assert_same_run(*runs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(runs[0].learned.weights, runs[1].learned.weights, rtol=1e-4)
    np.testing.assert_allclose(runs[0].learned.used, runs[1].learned.used, rtol=1e-3)
    shapes = {s.data.shape for s in runs[1].state.learned.used.addressable_shards}
    assert shapes == {(6, 4)}


def test_before_its_start_it_is_a_run_without():
    data, _, clean = mixed()
    runs = [fit(MLP(3, 3), data, CONFIG, learning=one) for one in (None, Learning(clean=clean, start=4))]
    assert_same_run(*runs, rtol=1e-4, atol=1e-5)
    assert runs[1].learned.skips["looked"] == 0
    np.testing.assert_array_equal(runs[1].learned.weights, 0.5)


def test_killed_and_resumed_it_is_the_same_run(tmp_path):
    data, options = mixed()[0], usual()

    def stop(report):
        if report.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(MLP(3, 3), data, CONFIG, learning=options, checkpoints=tmp_path / "run", on_epoch=stop)
    other = dataclasses.replace(options, rate=0.4)
    with pytest.raises(ValueError, match="holds another run: learning is"):
        fit(MLP(3, 3), data, CONFIG, learning=other, checkpoints=tmp_path / "run", resume=True)
    done = fit(MLP(3, 3), data, CONFIG, learning=options, checkpoints=tmp_path / "run", resume=True)
    assert len(done.history) == 2
    assert_same_run(done, learned())
    np.testing.assert_array_equal(done.learned.weights, learned().learned.weights)
    np.testing.assert_array_equal(done.learned.used, learned().learned.used)


@pytest.mark.parametrize("options", [{"rule": "l2rw", "part": "head"}, {"reading": "printed", "part": "last-block"}])
def test_convolutions_with_batch_norm(options):
    """A network without a part called head, or blocks, has no such part."""
    data, clean = images(), images(12, seed=1)
    config = dataclasses.replace(CONFIG, epochs=1, flip=True)
    with pytest.raises(ValueError, match="no parameter was chosen"):
        fit(ConvNet(1, 3), data, config, learning=Learning(clean=clean, start=0, **options))
    options["part"] = "all"
    done = fit(ConvNet(1, 3), data, config, learning=Learning(clean=clean, start=0, **options))
    assert np.isfinite(done.learned.weights).all()
    assert done.learned.skips["looked"] == 3


def test_a_clean_loss_that_is_no_number_again_and_again_ends_the_run():
    data, _, clean = mixed()
    broken = make(np.where(np.arange(16)[:, None] < 6, 1e38, clean.inputs).astype(np.float32), clean.labels)
    options = Learning(clean=broken, start=0, most_skips=2)
    with pytest.raises(FloatingPointError, match=r"loss after a step was not finite 3 times in a row \(3 of 3 look"):
        fit(MLP(3, 3), data, CONFIG, learning=options)


def test_refusals():
    data, _, clean = mixed()
    with pytest.raises(
        ValueError, match=r"the clean examples have shape \(6,\) and 3 classes, the training data shape"
    ):
        fit(MLP(3, 3), data, CONFIG, learning=Learning(clean=CLEAN))
    for options, message in [
        ({"rule": "best"}, "rule must be one of lsw, l2rw, mwnet, but is 'best'"),
        ({"part": "tail"}, "part must be one of all, body, last-block, head, but is 'tail'"),
        ({"start": -1}, "start must be a whole number >= 0"),
        ({"every": 0}, "every must be a whole number >= 1"),
        ({"clean_batch": 0}, "clean_batch must be a whole number >= 1"),
        ({"most_skips": -1}, "most_skips must be a whole number >= 0"),
        ({"rate": -1.0}, "rate must be positive and finite, but is -1.0"),
        ({"reading": "third"}, "reading must be one of coherent, printed"),
    ]:
        with pytest.raises(ValueError, match=message):
            Learning(clean=clean, **options)
