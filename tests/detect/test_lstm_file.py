"""Detectors on disk: what comes back is what was written, and nothing else is taken for one."""

import jax
import numpy as np
import pytest

from jaxnoisy import files
from jaxnoisy.detect import LSTMDetector, load_detector, save_detector
from jaxnoisy.detect.lstm_network import LSTMWeights
from jaxnoisy.recurrence import LSTMLayer

CARD = {"about": "drawn, not trained", "config": {"learning_rate": 0.01}, "examples": 3}


@pytest.fixture(scope="module")
def detector() -> LSTMDetector:
    rng = np.random.default_rng(0)
    shapes = [((2, 16), (4, 16), (16,)), ((4, 16), (4, 16), (16,))]
    layers = tuple(LSTMLayer(*(rng.normal(size=s).astype(np.float32) for s in layer)) for layer in shapes)
    weights = LSTMWeights(layers, rng.normal(size=4).astype(np.float32), np.float32(0.5))
    return LSTMDetector(weights, ("margin", "probability"), 6, CARD)


@pytest.fixture
def path(detector, tmp_path):
    path = tmp_path / "detector.npz"
    save_detector(path, detector)
    return path


def test_a_detector_comes_back(detector, path):
    again = load_detector(path)
    assert (again.signals, again.epochs, dict(again.card)) == (("margin", "probability"), 6, CARD)
    assert jax.tree.structure(again.weights) == jax.tree.structure(detector.weights)
    for a, b in zip(jax.tree.leaves(again.weights), jax.tree.leaves(detector.weights), strict=True):
        np.testing.assert_array_equal(a, b)
    values = np.random.default_rng(0).random((5, 6, 2))
    np.testing.assert_array_equal(again.logits(values), detector.logits(values))


def test_the_file_is_plain_arrays(path):
    arrays = files.read_npz(path)  # which refuses pickles
    assert {a.dtype.kind for a in arrays.values()} <= {"f", "i", "U"}
    assert str(arrays["format"]) == "jaxnoisy-lstm-detector-1"


def test_a_truncated_file_is_named(path):
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"detector\.npz.* truncated"):
        load_detector(path)


def test_a_failure_leaves_the_old_file(detector, path, monkeypatch):
    before = path.read_bytes()

    def full_disk(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="no space left"):
        save_detector(path, detector)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["detector.npz"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": np.array("jaxnoisy-lstm-detector-2")}, "format 'jaxnoisy-lstm-detector-2', expected"),
        ({"format": None}, "format 'none'"),
        ({"head": None}, "lacks the array head"),
        ({"layer1_bias": None}, "lacks the array layer1_bias"),
        ({"layers": np.array(3)}, "lacks the array layer2_kernel"),
        ({"layers": np.array(0)}, "no layers"),
        ({"layer0_kernel": np.zeros((1, 16), np.float32)}, r"layer 0 kernel must have shape \(2, 16\)"),
        ({"head": np.zeros((4, 1), np.float32)}, "head"),
        ({"offset": np.array(np.nan, np.float32)}, "not finite"),
        ({"offset": np.array(1)}, "offset must be float32, but is int64"),
        ({"signals": np.array(["margin"])}, r"layer 0 kernel must have shape \(1, 16\) .* 1 signals"),
        ({"signals": np.array(["margin", "entropy"])}, r"signals\[1\] must be one of"),
        ({"epochs": np.array(1)}, "epochs must be a whole number >= 2"),
        ({"card": np.array("{")}, "not a whole detector"),
        ({"card": np.array("[1]")}, "not a JSON object"),
    ],
)
def test_other_files_are_refused(path, change, message):
    arrays = {**files.read_npz(path), **change}
    files.write_npz(path, {name: a for name, a in arrays.items() if a is not None})
    with pytest.raises(ValueError, match=message) as caught:
        load_detector(path)
    assert str(path) in str(caught.value)


def test_what_is_no_file_or_no_archive(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        load_detector(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match=r"neither an \.npy nor an \.npz"):
        load_detector(tmp_path / "text.npz")


def test_a_card_must_be_plain(detector, tmp_path):
    with pytest.raises(TypeError, match="serializable"):
        save_detector(tmp_path / "d.npz", LSTMDetector(detector.weights, detector.signals, 6, {"about": object()}))
    assert not list(tmp_path.iterdir())
