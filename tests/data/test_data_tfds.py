"""Data sets that TFDS really wrote to disk, read back without TensorFlow."""

import io
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jaxnoisy.data import load, read_tfds

N = 40


def png(k, size=(5, 4), mode="RGB"):
    stream = io.BytesIO()
    Image.new(mode, size, (k, 2 * k, 255 - k) if mode == "RGB" else k).save(stream, "PNG")
    stream.seek(0)
    return stream


class JaxnoisyPictures(tfds.core.GeneratorBasedBuilder):
    """Colour images with text ids; the pair of inputs and labels is declared."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(),
                    "image": tfds.features.Image(shape=(4, 5, 3)),
                    "label": tfds.features.ClassLabel(names=["<b>cat</b>", "$dog$"]),
                    "kind": tfds.features.ClassLabel(num_classes=3),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples("train", N), "test": self._generate_examples("test", 6)}

    def _generate_examples(self, split, n):
        for k in range(n):
            yield k, {"id": f"{split}_{k:05d}", "image": png(k), "label": k % 2, "kind": k % 3}


class JaxnoisyRows(tfds.core.GeneratorBasedBuilder):
    """Feature vectors without ids; nothing is declared."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "features": tfds.features.Tensor(shape=(3,), dtype=np.float32),
            "label": tfds.features.ClassLabel(num_classes=2),
            "id": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for k in range(N):
            yield k, {"features": np.array([k, k + 0.5, -k], np.float32), "label": k % 2, "id": "same"}


class JaxnoisyOdd(tfds.core.GeneratorBasedBuilder):
    """Gray images of two sizes, one of them not an image at all, in a split each."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "photo": tfds.features.Image(shape=(None, None, 1)),
            "answer": tfds.features.ClassLabel(num_classes=2),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(name) for name in ("good", "sizes", "broken")}

    def _generate_examples(self, name):
        for k in range(6):
            photo = png(k, size=(7, 7) if name == "sizes" and k == 3 else (5, 4), mode="L")
            if name == "broken" and k == 3:
                photo = io.BytesIO(b"not an image")
            yield k, {"photo": photo, "answer": k % 2}


class JaxnoisyNoLabel(tfds.core.GeneratorBasedBuilder):
    """Images with a text instead of a label."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"image": tfds.features.Image(shape=(4, 5, 3)), "caption": tfds.features.Text()}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for k in range(2):
            yield k, {"image": png(k), "caption": "a"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for builder in (JaxnoisyPictures, JaxnoisyRows, JaxnoisyOdd, JaxnoisyNoLabel):
        builder(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


def test_images_labels_ids_and_names_stay_together(prepared):
    data = load("tfds:jaxnoisy_pictures", data_dir=prepared)
    assert data.inputs.shape == (N, 4, 5, 3)
    assert data.inputs.dtype == np.uint8
    numbers = np.array([int(text.removeprefix("train_")) for text in data.ids])
    np.testing.assert_array_equal(np.sort(numbers), np.arange(N))
    assert not np.array_equal(numbers, np.arange(N)), "TFDS shuffles: the test would not notice a wrong pairing"
    np.testing.assert_array_equal(data.labels, numbers % 2)
    want = np.stack([numbers, 2 * numbers, 255 - numbers], axis=-1)
    np.testing.assert_array_equal(data.inputs, np.broadcast_to(want[:, None, None], data.inputs.shape))
    assert data.class_names == ("<b>cat</b>", "$dog$")
    assert data.name == "jaxnoisy_pictures@train"


@pytest.mark.parametrize(("split", "n"), [("test", 6), ("train[:25%]", 10), ("train[:5]+test", 11)])
def test_splits_and_slices_of_them(prepared, split, n):
    data = load(f"tfds:jaxnoisy_pictures@{split}", data_dir=prepared)
    assert len(data) == n
    assert data.name == f"jaxnoisy_pictures@{split}"


def test_a_version_may_be_named(prepared):
    assert len(read_tfds("jaxnoisy_pictures:1.0.0", data_dir=prepared)) == N


def test_vectors_with_ids_that_are_not_unique_get_row_numbers(prepared):
    data = read_tfds("jaxnoisy_rows", data_dir=prepared)
    assert data.inputs.shape == (N, 3)
    np.testing.assert_array_equal(data.inputs[:, 1], data.inputs[:, 0] + 0.5)
    np.testing.assert_array_equal(data.labels, data.inputs[:, 0].astype(int) % 2)
    assert list(data.ids) == [str(i) for i in range(N)]
    assert data.class_names == ("0", "1")


def test_features_of_any_name_are_found_where_there_is_one_of_their_kind(prepared):
    data = read_tfds("jaxnoisy_odd", data_dir=prepared, split="good")
    assert data.inputs.shape == (6, 4, 5, 1)
    np.testing.assert_array_equal(data.labels, data.inputs[:, 0, 0, 0] % 2)


def test_images_of_different_sizes_are_refused(prepared):
    with pytest.raises(ValueError, match=r"'example \d of jaxnoisy_odd' is \d x \d pixels"):
        read_tfds("jaxnoisy_odd", data_dir=prepared, split="sizes")


def test_broken_images_are_refused_or_left_out(prepared):
    with pytest.raises(ValueError, match=r"'example \d of jaxnoisy_odd' cannot be read as an image"):
        load("tfds:jaxnoisy_odd@broken", data_dir=prepared)
    data = load("tfds:jaxnoisy_odd@broken", data_dir=prepared, skip_broken=True)
    assert len(data) == 5
    np.testing.assert_array_equal(np.sort(data.inputs[:, 0, 0, 0]), [0, 1, 2, 4, 5])
    np.testing.assert_array_equal(data.labels, data.inputs[:, 0, 0, 0] % 2)
    (line,) = data.skipped
    assert line.startswith("example ")
    left_out = line.split()[1]
    assert list(data.ids) == [str(i) for i in range(6) if str(i) != left_out]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tfds:jaxnoisy_picture", "no data set 'jaxnoisy_picture', and none of that name .*jaxnoisy_pictures"),
        ("tfds:jaxnoisy_pictures@valid", "no split 'valid', only (test, train|train, test)"),
        ("tfds:jaxnoisy_pictures@train[:0]", r"split 'train\[:0\]' of 'jaxnoisy_pictures' cannot be read: it is empty"),
        ("tfds:jaxnoisy_pictures@train[5", r"split 'train\[5' of"),
        ("tfds:mnist", r"'mnist' is not prepared in .*tfds\.builder\('mnist'.*file_format='array_record'\)"),
        ("tfds:mnist/none", "cannot open 'mnist/none'"),
        ("tfds:jaxnoisy_no_label", r"no pair of inputs .*only .*caption \(Text\)"),
    ],
)
def test_what_cannot_be_read_is_named(prepared, spec, message):
    with pytest.raises(ValueError, match=message):
        load(spec, data_dir=prepared)


def test_formats_that_need_tensorflow_are_refused_with_the_remedy(prepared, tmp_path):
    source = prepared / "jaxnoisy_pictures" / "1.0.0"
    target = tmp_path / "jaxnoisy_pictures" / "1.0.0"
    target.mkdir(parents=True)
    for file in source.iterdir():
        name = file.name.replace("array_record", "tfrecord")
        content = file.read_bytes()
        if name == "dataset_info.json":
            content = content.replace(b"array_record", b"tfrecord")
        (target / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"as tfrecord, which needs TensorFlow.*file_format='array_record'"):
        read_tfds("jaxnoisy_pictures", data_dir=tmp_path)


def test_a_data_dir_that_is_no_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"data_dir .*none' is not a folder"):
        read_tfds("mnist", data_dir=tmp_path / "none")


def test_neither_tensorflow_nor_anything_but_the_file_is_imported_before_it_is_needed(prepared):
    program = (
        "import sys, jaxnoisy.data\n"
        "heavy = {'tensorflow_datasets', 'PIL', 'sklearn', 'flax', 'tensorflow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        f"jaxnoisy.data.load('tfds:jaxnoisy_pictures', data_dir={str(prepared)!r})\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
