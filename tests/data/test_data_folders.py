"""Folders of images: order, colour, ids, and files that are no images."""

import numpy as np
import pytest
from PIL import Image

from jaxnoisy.data import load, read_folder


def gray(value, size=(4, 3)):
    return Image.new("L", size, value)


def color(value, size=(4, 3)):
    return Image.new("RGB", size, (value, 0, 255 - value))


def save(image, *parts):
    path = parts[0].joinpath(*parts[1:])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    for k, parts in enumerate([("dog", "2.png"), ("dog", "10.png"), ("cat", "b.png"), ("cat", "a.png")]):
        save(gray(10 * k), root, *parts)
    return root


def test_classes_and_images_are_in_the_order_of_their_names(photos):
    data = read_folder(photos)
    assert data.class_names == ("cat", "dog")
    assert list(data.ids) == ["cat/a.png", "cat/b.png", "dog/10.png", "dog/2.png"]
    np.testing.assert_array_equal(data.labels, [0, 0, 1, 1])
    np.testing.assert_array_equal(data.inputs[:, 0, 0, 0], [30, 20, 10, 0])
    assert data.inputs.shape == (4, 3, 4, 1)
    assert data.inputs.dtype == np.uint8
    assert data.name == "photos"
    assert data.skipped == ()


def test_a_class_may_have_one_image(photos):
    save(gray(7), photos, "owl", "only.png")
    np.testing.assert_array_equal(read_folder(photos).labels, [0, 0, 1, 1, 2])


@pytest.mark.parametrize("where", ["cat/0.png", "dog/9.png"])
def test_one_color_image_makes_all_of_them_color(photos, where):
    save(color(200), photos, where)
    data = read_folder(photos)
    assert data.inputs.shape == (5, 3, 4, 3)
    i = list(data.ids).index(where)
    np.testing.assert_array_equal(data.inputs[i], np.broadcast_to([200, 0, 55], (3, 4, 3)))
    j = list(data.ids).index("cat/a.png")
    np.testing.assert_array_equal(data.inputs[j], np.full((3, 4, 3), 30))


def test_modes_and_formats_of_pillow(tmp_path):
    save(gray(100).convert("1"), tmp_path, "a", "bits.png")
    save(Image.merge("LA", (gray(100), gray(0))), tmp_path, "a", "transparent.png")
    save(Image.fromarray(np.full((3, 4), 257 * 100, np.uint16)), tmp_path, "a", "wide.png")
    save(gray(100), tmp_path, "b", "plain.BMP")
    save(gray(100), tmp_path, "b", "lossless.webp")
    data = read_folder(tmp_path)
    by_id = dict(zip(data.ids, data.inputs))
    assert by_id["a/transparent.png"][0, 0, 0] == 100
    assert by_id["a/wide.png"][0, 0, 0] == 100
    assert by_id["b/plain.BMP"][0, 0, 0] == 100
    assert set(np.unique(by_id["a/bits.png"])) <= {0, 255}


def test_palettes_and_transparency_become_rgb(tmp_path):
    save(color(200).convert("P", palette=Image.Palette.ADAPTIVE), tmp_path, "a", "palette.gif")
    save(color(200).convert("RGBA"), tmp_path, "b", "alpha.png")
    data = read_folder(tmp_path)
    assert data.inputs.shape == (2, 3, 4, 3)
    np.testing.assert_array_equal(data.inputs[1, 0, 0], [200, 0, 55])
    np.testing.assert_allclose(data.inputs[0, 0, 0], [200, 0, 55], atol=1)


def test_the_orientation_a_camera_noted_is_applied(tmp_path):
    pixels = np.zeros((3, 4), np.uint8)
    pixels[0, 0] = 255
    turned = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6  # To be shown after a quarter turn to the right.
    (tmp_path / "a").mkdir()
    turned.save(tmp_path / "a" / "turned.png", exif=exif)
    save(gray(1, (3, 4)), tmp_path, "b", "upright.png")
    data = read_folder(tmp_path)
    assert data.inputs.shape == (2, 4, 3, 1)
    np.testing.assert_array_equal(data.inputs[0, ..., 0], np.rot90(pixels, -1))


def test_more_images_than_are_decoded_at_once_stay_in_order(tmp_path):
    for k in range(1100):
        save(gray(k % 251, (2, 2)), tmp_path, f"class{k % 2}", f"{k:05d}.png")
    data = read_folder(tmp_path)
    want = [int(text.split("/")[1].removesuffix(".png")) % 251 for text in data.ids]
    np.testing.assert_array_equal(data.inputs[:, 0, 0, 0], want)
    assert len(data) == 1100


def test_names_are_kept_verbatim(tmp_path):
    names = ["<script>alert(1)<\u2215script>", "$x^2$ & \u00fc", "a b"]
    for k, name in enumerate(names):
        save(gray(k), tmp_path, name, "<i>.png")
    data = read_folder(tmp_path)
    assert data.class_names == tuple(sorted(names))
    assert list(data.ids) == [f"{name}/<i>.png" for name in sorted(names)]


def test_images_in_folders_within_a_class_belong_to_it(photos):
    save(gray(99), photos, "cat", "2020", "x.png")
    data = read_folder(photos)
    assert data.labels[list(data.ids).index("cat/2020/x.png")] == 0


def test_hidden_files_are_passed_over_and_others_are_listed(photos):
    for name in ("cat/.DS_Store", ".git/config", "cat/.thumbs/x.png"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(b"")
    (photos / "cat" / "notes.txt").write_text("none")
    (photos / "stray.png").write_bytes(b"")
    data = read_folder(photos)
    assert len(data) == 4
    assert data.class_names == ("cat", "dog")
    assert data.skipped == (
        "stray.png: lies outside the class folders",
        "cat/notes.txt: not an image by its extension",
    )


def damage(photos):
    whole = save(gray(5, (64, 64)), photos, "dog", "cut.png").read_bytes()
    (photos / "dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (photos / "cat" / "empty.jpg").write_bytes(b"")
    (photos / "cat" / "text.png").write_text("no image")


def test_the_first_broken_file_is_named_with_the_remedy(photos):
    damage(photos)
    with pytest.raises(ValueError, match=r"'cat/empty\.jpg' cannot be read .*--skip-broken") as caught:
        read_folder(photos)
    assert repr(str(photos)) in str(caught.value)


def test_skip_broken_leaves_them_out_and_lists_them(photos):
    damage(photos)
    data = load(f"folder:{photos}", skip_broken=True)
    assert list(data.ids) == ["cat/a.png", "cat/b.png", "dog/10.png", "dog/2.png"]
    np.testing.assert_array_equal(data.inputs[:, 0, 0, 0], [30, 20, 10, 0])
    np.testing.assert_array_equal(data.labels, [0, 0, 1, 1])
    assert [line.partition(":")[0] for line in data.skipped] == ["cat/empty.jpg", "cat/text.png", "dog/cut.png"]
    assert str(photos) not in "".join(data.skipped)


def test_a_class_that_is_broken_altogether_is_an_error_even_then(photos):
    (photos / "owl").mkdir()
    (photos / "owl" / "x.png").write_bytes(b"")
    with pytest.raises(ValueError, match="class folder 'owl' holds no image that can be read"):
        read_folder(photos, skip_broken=True)


def test_nothing_readable_at_all_is_an_error(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of the 2 images can be read; the first: a/x\.png"):
        read_folder(tmp_path, skip_broken=True)


@pytest.mark.parametrize("skip_broken", [False, True])
def test_another_size_is_an_error_that_names_both(photos, skip_broken):
    save(gray(1, (6, 5)), photos, "dog", "10.png")
    with pytest.raises(ValueError, match=r"'dog/10\.png' is 6 x 5 pixels .*'cat/a\.png' is 4 x 3: bring"):
        read_folder(photos, skip_broken=skip_broken)


def test_size_brings_all_images_to_one(photos):
    save(gray(1, (6, 5)), photos, "dog", "10.png")
    data = read_folder(photos, size=(2, 7))
    assert data.inputs.shape == (4, 2, 7, 1)
    np.testing.assert_array_equal(data.inputs[0], np.full((2, 7, 1), 30))


def test_pixels_without_a_known_scale_are_refused(photos):
    Image.fromarray(np.ones((3, 4), np.float32)).save(photos / "cat" / "float.tiff")
    with pytest.raises(ValueError, match=r"'cat/float\.tiff' cannot be read as an image \(its pixels have 32 bits"):
        read_folder(photos)


def test_folders_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist: give the folder"):
        read_folder(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file: give the folder"):
        read_folder(tmp_path / "file")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="holds no class folders: put the images"):
        read_folder(empty)
    save(gray(1), empty, "x.png")
    with pytest.raises(ValueError, match="no class folders, but 1 files"):
        read_folder(empty)
    save(gray(1), empty, "cat", "x.png")
    assert len(read_folder(empty)) == 1
    (empty / "dog").mkdir()
    (empty / "dog" / "x.txt").write_text("")
    with pytest.raises(ValueError, match="class folder 'dog' holds no images"):
        read_folder(empty)
