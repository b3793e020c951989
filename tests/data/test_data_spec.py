"""What a user types after --data and --labels."""

import pickle

import numpy as np
import pytest
from PIL import Image

from jaxnoisy.data import load
from jaxnoisy.data.spec import read

X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array([0, 1, 2, 1])


@pytest.fixture
def npz(tmp_path):
    np.savez(tmp_path / "train.npz", inputs=X, labels=Y, ids=list("abcd"))
    return f"npz:{tmp_path}/train.npz"


def test_each_kind_of_data_reaches_its_loader(tmp_path, npz):
    assert len(load("digits")) == 1797
    np.testing.assert_array_equal(load(npz).inputs, X)
    (tmp_path / "t.csv").write_text("x,label\n1,cat\n2,dog\n")
    assert load(f"csv:{tmp_path}/t.csv").class_names == ("cat", "dog")
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("L", (2, 2)).save(tmp_path / "photos" / name / "x.png")
    assert list(load(f"folder:{tmp_path}/photos").ids) == ["cat/x.png", "dog/x.png"]


def test_file_names_may_contain_colons_and_at_signs(tmp_path, monkeypatch):
    np.savez(tmp_path / "@a:b.npz", inputs=X, labels=Y)
    np.save(tmp_path / "c:d.npy", Y[::-1])
    monkeypatch.chdir(tmp_path)
    data = load("npz:@a:b.npz", labels=f"npy:{tmp_path}/c:d.npy")
    np.testing.assert_array_equal(data.labels, Y[::-1])


def test_other_labels_replace_the_given_ones_and_claim_nothing_about_the_truth(tmp_path, npz):
    np.save(tmp_path / "y.npy", np.array([2, 2, 0, 1], np.uint8))
    data = load(npz, labels=f"npy:{tmp_path}/y.npy")
    np.testing.assert_array_equal(data.labels, [2, 2, 0, 1])
    assert data.clean_labels is None
    np.testing.assert_array_equal(data.inputs, X)
    assert list(data.ids) == list("abcd")


def test_known_clean_labels_stay_under_other_labels(tmp_path):
    np.savez(tmp_path / "train.npz", inputs=X, labels=Y, clean_labels=Y[::-1])
    np.save(tmp_path / "y.npy", np.array([2, 2, 0, 1]))
    data = load(f"npz:{tmp_path}/train.npz", labels=f"npy:{tmp_path}/y.npy")
    np.testing.assert_array_equal(data.clean_labels, Y[::-1])


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.array([0, 1, 2]), ValueError, "has 3 entries for 4 examples"),
        (np.array([0, 1, 2, 3]), ValueError, "is 3, but there are 3 classes"),
        (np.array([0, 1, 2, -1]), ValueError, "is -1"),
        (np.array([0, 1, 2, 1.0]), TypeError, "must be integers"),
        (np.array([1, 1, 1, 1]), ValueError, "one class only"),
        (np.array([[0, 1, 2, 1]]), ValueError, r"shape \(1, 4\)"),
        (np.array([0, 1, None, 1]), ValueError, "pickled Python objects"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, npz, labels, error, message):
    np.save(tmp_path / "y.npy", labels, allow_pickle=True)
    with pytest.raises(error, match=message) as caught:
        load(npz, labels=f"npy:{tmp_path}/y.npy")
    assert repr(f"{tmp_path}/y.npy") in str(caught.value)


def test_examples_of_one_class_can_be_read_and_are_no_data_set_to_train_on(tmp_path):
    np.savez(tmp_path / "one.npz", inputs=X, labels=Y * 0)
    (tmp_path / "one.csv").write_text("x,label\n1,cat\n2,cat\n")
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    Image.new("L", (2, 2)).save(tmp_path / "photos" / "cat" / "x.png")
    for spec in (f"npz:{tmp_path}/one.npz", f"csv:{tmp_path}/one.csv", f"folder:{tmp_path}/photos"):
        assert read(spec).num_classes == 1
        with pytest.raises(ValueError, match=r"one class only \(0\)") as caught:
            load(spec)
        assert str(caught.value).startswith(repr(spec.partition(":")[2]))


def test_labels_for_data_with_files_left_out_say_so(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("L", (2, 2)).save(tmp_path / name / "x.png")
    (tmp_path / "dog" / "y.png").write_bytes(b"")
    np.save(tmp_path / "y.npy", [0, 1, 1])
    with pytest.raises(ValueError, match=r"3 entries for 2 examples.*; 2 files were left out"):
        load(f"folder:{tmp_path}", labels=f"npy:{tmp_path}/y.npy", skip_broken=True)


def test_the_loaded_data_set_can_be_pickled_apart_from_its_file(npz):
    # Loaders that kept a file open or mapped would fail in the worker processes of a data pipeline.
    data = pickle.loads(pickle.dumps(load(npz)))  # noqa: S301
    np.testing.assert_array_equal(data.inputs, X)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "no known kind: write for example digits, npz:train.npz, folder:photos, clips:videos, csv:table.csv"),
        ("train.npz", "'train.npz' is of no known kind: write for example digits, npz:train.npz"),
        ("NPZ:train.npz", "no known kind"),
        ("parquet:x", "no known kind"),
        ("npz", "incomplete or too long: write for example npz:train.npz"),
        ("npz:", "incomplete"),
        ("tfds:", "write for example tfds:mnist@train"),
        ("tfds:@train", "write for example tfds:mnist@train"),
        ("digits:8", "too long: write for example digits"),
        ("digits:", "too long: write for example digits"),
    ],
)
def test_unknown_kinds_of_data_list_the_known_ones(spec, message):
    with pytest.raises(ValueError, match=message):
        load(spec)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            "y.npy",
            "labels 'y.npy' is of no known kind: write for example npy:labels.npy, cifar10n:.*:worst, cifar100n:",
        ),
        ("npy", "write for example npy:labels.npy"),
        ("npy:", "write for example npy:labels.npy"),
        ("cifar10n:human.pt", "must be written cifar10n:FILE:NAME"),
        ("cifar10n:human.pt:", "must be written cifar10n:FILE:NAME"),
        ("cifar100n::noisy", "must be written cifar100n:FILE:NAME"),
        ("cifar10n:human.pt:noisy", "no labels named 'noisy': choose one of aggre"),
        ("cifar10n:none.pt:worst", "'none.pt' does not exist"),
        ("npy:none.npy", "'none.npy' does not exist"),
    ],
)
def test_unknown_kinds_of_labels_list_the_known_ones(npz, labels, message):
    with pytest.raises(ValueError, match=message):
        load(npz, labels=labels)


def test_options_without_meaning_are_refused(npz, tmp_path):
    with pytest.raises(ValueError, match="data_dir is the folder of data that TFDS prepared"):
        load(npz, data_dir=tmp_path)
    with pytest.raises(ValueError, match="skip_broken leaves out broken images"):
        load(npz, skip_broken=True)
