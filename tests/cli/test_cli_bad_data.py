"""Bad data: one clear line, exit code 2, and not one file or folder more than before."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from cli_runs import FEATURES, LABELS, N, arrays, done, refused
from PIL import Image

from jaxnoisy.report import FILES

DETECT = "detect --out out --method aum --model linear --epochs 2 --devices 1 --data"
SCORE = "score --out out"
NOISE = "noise --labels npy:y.npy --kind symmetric --rate 0.2 --seed 0 --out noisy.npz"

OBJECTS = np.array([{"a": 1}, None], dtype=object)


def with_value(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


BAD_LABELS = {
    "negative": (LABELS - 1, ["labels[0] is -1", "numbered from 0"]),
    "floats": (LABELS * 1.0, ["float64", "0.0", "integers"]),
    "text": (LABELS.astype(str), ["<U", "integers"]),
    "too short": (LABELS[:50], ["50", "60", "one label per example"]),
    "too long": (np.append(LABELS, 0), ["61", "60", "one label per example"]),
    "two axes": (LABELS[:, None], ["(60, 1)", "shape (n,)"]),
    "one class": (LABELS * 0, ["one class only (0)", "at least two classes"]),
    "empty": (LABELS[:0], ["empty", "at least one example"]),
    "objects": (OBJECTS, ["pickled", "plain"]),
}


@pytest.mark.parametrize("name", BAD_LABELS)
def test_labels_of_the_data(here, name):
    labels, says = BAD_LABELS[name]
    np.savez("bad.npz", inputs=FEATURES[:0] if name == "empty" else FEATURES, labels=labels)
    line = refused(f"{DETECT} npz:bad.npz")
    assert "bad.npz" in line
    assert all(text in line for text in says), line


@pytest.mark.parametrize("name", [*BAD_LABELS, "out of range"])
def test_labels_on_top_of_the_data(here, name):
    labels, says = BAD_LABELS.get(name, (LABELS + 10, ["labels[2] is 12", "numbered 0 to 2"]))
    np.save("bad.npy", labels, allow_pickle=True)
    line = refused(f"{DETECT} npz:ok.npz --labels npy:bad.npy")
    assert "bad.npy" in line
    assert all(text in line for text in says), line


@pytest.mark.parametrize("name", [*BAD_LABELS, "out of range"])
def test_labels_for_score(here, name):
    labels, says = BAD_LABELS.get(name, (LABELS + 10, ["labels[2] is 12", "numbered 0 to 2"]))
    np.save("bad.npy", labels, allow_pickle=True)
    line = refused(f"{SCORE} --pred-probs probs.npy --labels bad.npy")
    assert all(text in line for text in says), line


@pytest.mark.parametrize("name", sorted({*BAD_LABELS} - {"too short", "too long"}))
def test_labels_for_noise(here, name):
    labels, says = BAD_LABELS[name]
    np.save("bad.npy", labels, allow_pickle=True)
    line = refused(f"{NOISE} --labels npy:bad.npy")
    assert all(text in line for text in says), line


def test_a_class_with_one_example_is_not_bad(here):
    np.savez("one.npz", inputs=FEATURES, labels=np.where(np.arange(N) == 7, 2, LABELS % 2))
    done(f"{DETECT} npz:one.npz --method all")
    assert set(FILES) <= {p.name for p in Path("out").iterdir()}
    assert len(arrays("out/detections.npz")["aum/scores"]) == N


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (with_value(FEATURES, (3, 2), np.nan), ["nan", "(3, 2)", "fill them in or leave those examples out"]),
        (with_value(FEATURES, (59, 4), -np.inf), ["-inf", "(59, 4)"]),
        (FEATURES[:0], ["there are 0 inputs for 60 labels"]),
        (FEATURES[:, :0], ["(60, 0)", "no values"]),
        (FEATURES[:, 0], ["(60,)", "two axes"]),
        (FEATURES.astype(str), ["<U", "numbers"]),
        (FEATURES.astype(np.float64) * 1e300, ["float32"]),
        (OBJECTS, ["pickled", "plain"]),
    ],
)
def test_inputs(here, inputs, says):
    np.savez("bad.npz", inputs=inputs, labels=LABELS)
    line = refused(f"{DETECT} npz:bad.npz")
    assert "bad.npz" in line
    assert all(text in line for text in says), line


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("npz:nowhere.npz", ["'nowhere.npz'", "does not exist"]),
        ("npz:.", ["'.'", "directory"]),
        ("npz:y.npy", ["'y.npy'", ".npz"]),
        ("npz:cut.npz", ["'cut.npz'", "truncated"]),
        ("npz:", ["'npz:'", "npz:train.npz"]),
        ("folder:nowhere", ["'nowhere'", "one folder per class"]),
        ("folder:y.npy", ["'y.npy'", "is a file"]),
        ("csv:nowhere.csv", ["'nowhere.csv'", "does not exist"]),
        ("csv:.", ["'.'", "directory"]),
        ("tfds:mnist --data-dir nowhere", ["'nowhere'", "not a folder"]),
        ("digits:x", ["'digits:x'", "digits"]),
        ("zip:x", ["'zip:x'", "folder:photos", "tfds:mnist@train"]),
        ("npz:ok.npz --data-dir x", ["leave it out"]),
        ("npz:ok.npz --skip-broken", ["leave it out"]),
        ("npz:ok.npz --labels txt:y.npy", ["'txt:y.npy'", "npy:labels.npy"]),
        ("npz:ok.npz --labels npy:nowhere.npy", ["'nowhere.npy'", "does not exist"]),
        ("npz:ok.npz --labels npy:.", ["'.'", "directory"]),
        ("npz:ok.npz --labels npy:probs.npy", ["(60, 3)", "shape (n,)"]),
        ("npz:ok.npz --labels cifar10n:y.npy", ["FILE:NAME"]),
        ("npz:ok.npz --labels cifar10n:y.npy:best", ["'best'", "worst"]),
        ("npz:ok.npz --labels cifar100n:nowhere:noisy", ["'nowhere'", "does not exist"]),
    ],
)
def test_where_the_data_is(here, spec, says):
    Path("cut.npz").write_bytes(Path("ok.npz").read_bytes()[:700])
    line = refused(f"{DETECT} {spec}")
    assert all(text in line for text in says), line


class Evil:
    """Unpickled by the standard library this would leave a file behind."""

    def __reduce__(self):
        return (Path.touch, (Path("unpickled"),))


def test_a_pickle_with_anything_but_arrays_in_it(here):
    Path("evil.pt").write_bytes(pickle.dumps({"worse_label": Evil(), "clean_label": LABELS}))
    line = refused(f"{DETECT} npz:ok.npz --labels cifar10n:evil.pt:worst")
    assert "evil.pt" in line
    assert not Path("unpickled").exists()
    pickle.loads(Path("evil.pt").read_bytes())  # noqa: S301
    assert Path("unpickled").exists(), "the file above is not the attack that it is meant to be"


@pytest.mark.parametrize("name", ["labels", "class_names", "ids", "clean_labels"])
def test_objects_in_an_npz(here, name):
    parts = {"inputs": FEATURES, "labels": LABELS, name: np.array([Evil()] * N, dtype=object)}
    np.savez("evil.npz", **parts)
    line = refused(f"{DETECT} npz:evil.npz")
    assert "'evil.npz'" in line
    assert "pickled" in line


def photos(root, *, size=(9, 8)):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for k in range(8):
            pixels = rng.integers(0, 255, size=(size[1], size[0]), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{k}.png")


def test_images_of_different_sizes(here):
    photos(here / "photos")
    Image.new("L", (4, 4)).save("photos/dog/3.png")
    for option in ("", " --skip-broken"):
        line = refused(f"{DETECT} folder:photos{option}")
        assert "dog/3.png" in line
        assert "4 x 4" in line
        assert "9 x 8" in line


def test_broken_images_are_named_or_skipped(here):
    from jaxnoisy.files import read_json

    photos(here / "photos")
    Path("photos/cat/2.png").write_bytes(Path("photos/cat/2.png").read_bytes()[:60])
    Path("photos/dog/5.png").write_text("no image")
    line = refused(f"{DETECT} folder:photos")
    assert "cat/2.png" in line
    assert "--skip-broken" in line
    done(f"{DETECT} folder:photos --skip-broken")
    skipped = read_json("out/summary.json")["data"]["skipped"]
    assert [text.split(":")[0] for text in skipped] == ["cat/2.png", "dog/5.png"]
    assert len(arrays("out/detections.npz")["ids"]) == 14


def test_class_names_with_html_in_them(here):
    evil = "<script>alert(1)<!-- & \"'"
    np.savez(
        "html.npz",
        inputs=FEATURES,
        labels=LABELS,
        class_names=[evil, "<b>b</b>", "c"],
        ids=[f"<i>{k}" for k in range(N)],
    )
    done(f"{DETECT} npz:html.npz")
    page = Path("out/report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;!-- &amp; " in page
    assert "<b>b</b>" not in page
    assert "<i>" not in page


def test_folder_names_with_html_in_them(here):
    photos(here / "photos")
    os.rename("photos/cat", "photos/<img src=x onerror=alert(1)>")
    done(f"{DETECT} folder:photos")
    page = Path("out/report.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
