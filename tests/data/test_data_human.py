"""Human labels end up on the images they were given for, whatever the order of the file and of the data."""

import pickle

import numpy as np
import pytest

from jaxnoisy.data import human_labels, load, make, with_human_labels

N = 2000
RNG = np.random.default_rng(0)
CLEAN = RNG.integers(0, 10, N)
"""Labels in the order of the python batches."""
ORDER = RNG.permutation(N)
"""Place j of the TFDS order holds image ORDER[j] of the python batches, as in the published image_order files."""
NOISY = np.where(RNG.random(N) < 0.4, (CLEAN + RNG.integers(1, 10, N)) % 10, CLEAN)
KEYS = {
    "aggre": "aggre_label",
    "random1": "random_label1",
    "random2": "random_label2",
    "random3": "random_label3",
    "worst": "worse_label",
}


def pack(noisy=NOISY, clean=CLEAN):
    """The dictionary that CIFAR-10_human.pt holds; a different vector under each name."""
    return {"clean_label": clean} | {key: (noisy + k) % 10 for k, key in enumerate(KEYS.values())}


def write_pt(path, value):
    path.write_bytes(b"".join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {}, value, [])))
    return path


def write_ordered(path, value, order=ORDER):
    """The file in TFDS order, ``CIFAR-10_human_ordered.npy``."""
    np.save(path, {key: vector[order] for key, vector in value.items()})
    return path


def data(order=None, **more):
    rows = np.arange(N) if order is None else order
    return make(rows[:, None].astype(np.float32), CLEAN[rows], **more)


@pytest.mark.parametrize("name", KEYS)
def test_every_published_name_is_found_under_its_key(tmp_path, name):
    path = write_pt(tmp_path / "CIFAR-10_human.pt", pack())
    want = pack()[KEYS[name]]
    np.testing.assert_array_equal(human_labels(path, name, data()), want)
    np.testing.assert_array_equal(human_labels(path, KEYS[name], data()), want)


def test_npz_packs_with_short_names_are_read(tmp_path):
    np.savez(tmp_path / "pack.npz", clean=CLEAN.astype(np.uint8), worst=NOISY.astype(np.uint8))
    got = human_labels(tmp_path / "pack.npz", "worst", data())
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, NOISY)


def test_columns_of_shape_n_by_1_are_read(tmp_path):
    path = write_pt(tmp_path / "x.pt", {key: value[:, None] for key, value in pack().items()})
    np.testing.assert_array_equal(human_labels(path, "aggre", data()), NOISY)


def test_the_labels_of_the_data_become_the_clean_ones(tmp_path):
    path = write_pt(tmp_path / "x.pt", pack())
    result = with_human_labels(data(), path, "aggre")
    np.testing.assert_array_equal(result.labels, NOISY)
    np.testing.assert_array_equal(result.clean_labels, CLEAN)
    assert 0.3 < result.flips.mean() < 0.5


def test_known_clean_labels_are_what_the_order_is_checked_with(tmp_path):
    path = write_pt(tmp_path / "x.pt", pack())
    noisy = make(np.zeros((N, 1)), (CLEAN + 1) % 10, clean_labels=CLEAN)
    result = with_human_labels(noisy, path, "aggre")
    np.testing.assert_array_equal(result.labels, NOISY)
    np.testing.assert_array_equal(result.clean_labels, CLEAN)


def test_a_file_in_tfds_order_fits_data_in_tfds_order_as_it_is(tmp_path):
    path = write_ordered(tmp_path / "CIFAR-10_human_ordered.npy", pack())
    np.testing.assert_array_equal(human_labels(path, "aggre", data(ORDER)), NOISY[ORDER])


@pytest.mark.parametrize("file_in_tfds_order", [True, False])
def test_a_wrong_order_is_noticed_and_says_what_to_provide(tmp_path, file_in_tfds_order):
    if file_in_tfds_order:
        path, dataset = write_ordered(tmp_path / "ordered.npy", pack()), data()
    else:
        path, dataset = write_pt(tmp_path / "human.pt", pack()), data(ORDER)
    with pytest.raises(
        ValueError, match=r"only 1?\d\.\d\d% of its clean labels agree.*put the published.*c10\.npy"
    ) as e:
        human_labels(path, "aggre", dataset)
    assert str(path) in str(e.value)


def test_the_index_file_maps_tfds_order_to_python_order(tmp_path):
    path = write_ordered(tmp_path / "ordered.npy", pack())
    np.save(tmp_path / "image_order_c10.npy", ORDER)
    np.testing.assert_array_equal(human_labels(path, "aggre", data()), NOISY)


def test_the_index_file_maps_python_order_to_tfds_order(tmp_path):
    path = write_pt(tmp_path / "human.pt", pack())
    np.save(tmp_path / "image_order_c10.npy", ORDER)
    np.testing.assert_array_equal(human_labels(path, "aggre", data(ORDER)), NOISY[ORDER])


def test_a_shuffled_file_is_refused_with_the_index_file_too(tmp_path):
    path = write_ordered(tmp_path / "ordered.npy", pack(), RNG.permutation(N))
    np.save(tmp_path / "image_order_c10.npy", ORDER)
    with pytest.raises(ValueError, match=r"only 1?\d\.\d\d%.*both directions.*same data set"):
        human_labels(path, "aggre", data())


def test_two_wrong_labels_in_two_thousand_are_the_limit(tmp_path):
    for wrong, accepted in ((2, True), (3, False)):
        clean = CLEAN.copy()
        clean[:wrong] = (clean[:wrong] + 1) % 10
        path = write_pt(tmp_path / "human.pt", pack(clean=clean))
        if accepted:
            np.testing.assert_array_equal(human_labels(path, "aggre", data()), NOISY)
        else:
            with pytest.raises(ValueError, match=r"only 99\.85%"):
                human_labels(path, "aggre", data())


def tfds_ids(order):
    return [f"train_{i:05d}" for i in order]


def test_tfds_ids_say_which_image_is_meant(tmp_path):
    path = write_pt(tmp_path / "human.pt", pack())
    some = ORDER[:300]
    for order in (ORDER, some):
        got = human_labels(path, "aggre", data(order, ids=tfds_ids(order)))
        np.testing.assert_array_equal(got, NOISY[order])


def test_tfds_ids_and_a_file_in_tfds_order_meet_through_the_index_file(tmp_path):
    path = write_ordered(tmp_path / "ordered.npy", pack())
    some = ORDER[200:300]
    dataset = data(some, ids=tfds_ids(some))
    with pytest.raises(ValueError, match="put the published index"):
        human_labels(path, "aggre", dataset)
    np.save(tmp_path / "image_order_c10.npy", ORDER)
    np.testing.assert_array_equal(human_labels(path, "aggre", dataset), NOISY[some])


def test_ids_that_lie_are_noticed(tmp_path):
    path = write_pt(tmp_path / "human.pt", pack())
    with pytest.raises(ValueError, match="tried its own order, the order that the ids give"):
        human_labels(path, "aggre", data(ORDER, ids=tfds_ids(np.roll(ORDER, 1))))


def test_a_part_without_ids_cannot_be_placed(tmp_path):
    path = write_pt(tmp_path / "human.pt", pack())
    with pytest.raises(ValueError, match="2000 labels in it for 300 examples"):
        human_labels(path, "aggre", data(np.arange(300)))


@pytest.mark.parametrize("index", [ORDER[:-1], np.zeros(N, int), ORDER.astype(float), ORDER + 1])
def test_a_broken_index_file_is_refused(tmp_path, index):
    path = write_ordered(tmp_path / "ordered.npy", pack())
    np.save(tmp_path / "image_order_c10.npy", index)
    with pytest.raises(ValueError, match=r"index file .*image_order_c10.*each of 0\.\.1999 once"):
        human_labels(path, "aggre", data())


def test_cifar100_has_fine_and_coarse_labels(tmp_path):
    fine, coarse = RNG.integers(0, 100, N), RNG.integers(0, 20, N)
    value = {
        "clean_label": fine,
        "noisy_label": (fine + 1) % 100,
        "clean_coarse_label": coarse,
        "noisy_coarse_label": (coarse + 1) % 20,
    }
    path = write_pt(tmp_path / "CIFAR-100_human.pt", value)
    x = np.zeros((N, 1))
    got = human_labels(path, "noisy", make(x, fine), scheme="cifar100n")
    np.testing.assert_array_equal(got, value["noisy_label"])
    got = human_labels(path, "coarse", make(x, coarse), scheme="cifar100n")
    np.testing.assert_array_equal(got, value["noisy_coarse_label"])
    # The .npy file calls the same vector noise_label, and its index file has its own name.
    ordered = {"clean_label": fine[ORDER], "noise_label": value["noisy_label"][ORDER]}
    np.save(tmp_path / "CIFAR-100_human_ordered.npy", ordered)
    np.save(tmp_path / "image_order_c100.npy", ORDER)
    got = human_labels(tmp_path / "CIFAR-100_human_ordered.npy", "noisy", make(x, fine), scheme="cifar100n")
    np.testing.assert_array_equal(got, value["noisy_label"])


@pytest.mark.parametrize(
    ("value", "name", "message"),
    [
        (pack(), "best", "no labels named 'best': choose one of aggre, random1, random2, random3, worst"),
        ({"clean_label": CLEAN}, "aggre", "no labels 'aggre' or 'aggre_label' in it, only clean_label"),
        ({"aggre_label": NOISY}, "aggre", "no labels 'clean' or 'clean_label' in it, only aggre_label"),
        ({"clean_label": CLEAN, "aggre_label": NOISY[:-1]}, "aggre", "1999 labels 'aggre' for 2000 clean"),
        ({"clean_label": CLEAN, "aggre_label": NOISY - 1}, "aggre", "is -1"),
        ({"clean_label": CLEAN, "aggre_label": NOISY + 1}, "aggre", "is 10, but there are 10 classes"),
        ({"clean_label": CLEAN, "aggre_label": np.zeros((N, 2), int)}, "aggre", r"shape \(2000, 2\)"),
    ],
)
def test_other_files_are_refused(tmp_path, value, name, message):
    path = write_pt(tmp_path / "human.pt", value)
    with pytest.raises(ValueError, match=message):
        human_labels(path, name, data())


def test_labels_that_are_not_integers_are_refused(tmp_path):
    path = write_pt(tmp_path / "human.pt", {"clean_label": CLEAN, "aggre_label": NOISY / 1})
    with pytest.raises(TypeError, match=r"human\.pt.*aggre_label must be integers"):
        human_labels(path, "aggre", data())


def test_load_reads_them_by_spec_with_colons_in_the_file_name(tmp_path):
    np.savez(tmp_path / "cifar.npz", inputs=np.zeros((N, 2)), labels=CLEAN)
    path = write_pt(tmp_path / "hum:an.pt", pack())
    result = load(f"npz:{tmp_path}/cifar.npz", labels=f"cifar10n:{path}:worst")
    np.testing.assert_array_equal(result.labels, pack()["worse_label"])
    np.testing.assert_array_equal(result.clean_labels, CLEAN)
