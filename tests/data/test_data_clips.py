"""Clips: which frames are taken, that folders and arrays say the same, and what is refused or left out."""

import jax
import numpy as np
import pytest
from PIL import Image

from jaxnoisy.data import load, load_clean, make, read_clips
from jaxnoisy.data.clip_sources import natural
from jaxnoisy.data.clips import segment_frames
from jaxnoisy.data.flow import scaled

N, T, H, W = 5, 12, 4, 6
LENGTHS = np.array([12, 7, 3, 12, 9])


def arrays(**more):
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 8, (N, T - 1, H, W, 2)).astype(np.float32)
    clips = {
        "inputs": rng.integers(0, 256, (N, T, H, W, 3)).astype(np.uint8),
        "labels": np.array([0, 0, 0, 1, 1]),
        "lengths": LENGTHS,
        "flow": flow,
        "class_names": np.array(["jump", "run"]),
        "ids": np.array(["jump/a2", "jump/a10", "jump/b", "run/a", "run/b"]),
    }
    return {**clips, **more}


def npz(path, **more):
    given = {name: a for name, a in arrays(**more).items() if a is not None}
    np.savez(path, **given)
    return path


def folder(root, clips):
    """The same clips as frames, and their flow as images beside them."""
    beside = root.with_name(root.name + "_flow")
    for i, place in enumerate(clips["ids"]):
        for base in (root, beside):
            (base / place).mkdir(parents=True)
        for k in range(LENGTHS[i]):
            Image.fromarray(clips["inputs"][i, k]).save(root / place / f"frame{k + 1}.png")  # 10 after 9
            if k < LENGTHS[i] - 1:
                for name, motion in zip("xy", np.moveaxis(scaled(clips["flow"][i, k]), -1, 0)):
                    Image.fromarray(motion).save(beside / place / f"flow_{name}_{k + 1:05}.png")
    return root


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    place = tmp_path_factory.mktemp("clips")
    return folder(place / "videos", arrays()), npz(place / "videos.npz")


def test_folders_and_arrays_give_the_same_data_set(both):
    first, second = (read_clips(path, frames=4, flow_length=3) for path in both)
    for name in ("inputs", "flow", "labels", "ids"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.fingerprint() == second.fingerprint()
    assert (first.class_names, first.name) == (second.class_names, second.name)
    assert first.inputs.shape == (N, 4, H, W, 3)
    assert first.flow.shape == (N, 4, H, W, 6)
    assert first.is_clips
    loaded = load(f"clips:{both[0]}", flow=True)
    np.testing.assert_array_equal(loaded.inputs, read_clips(both[1]).inputs)
    np.testing.assert_array_equal(loaded.flow, read_clips(both[1], flow_length=5).flow)
    assert load(f"clips:{both[0]}").flow is None


def test_the_frames_and_the_flow_around_them(both):
    clips = arrays()
    found = read_clips(both[1], frames=4, flow_length=3)
    np.testing.assert_array_equal(found.inputs[0], clips["inputs"][0, [1, 4, 7, 10]])
    np.testing.assert_array_equal(found.inputs[2], clips["inputs"][2, [0, 1, 1, 2]])
    stack = found.flow[0, 1].reshape(H, W, 3, 2)  # around frame 4: pairs 3, 4 and 5
    np.testing.assert_array_equal(stack, scaled(clips["flow"][0, 3:6]).transpose(1, 2, 0, 3))
    last = found.flow[0, 3].reshape(H, W, 3, 2)  # frame 10 of 12: moved in to pairs 8, 9 and 10
    np.testing.assert_array_equal(last, scaled(clips["flow"][0, 8:11]).transpose(1, 2, 0, 3))
    short = found.flow[2, 0].reshape(H, W, 3, 2)  # two pairs in all: the last one stands twice
    np.testing.assert_array_equal(short, scaled(clips["flow"][2, [0, 1, 1]]).transpose(1, 2, 0, 3))


def test_flow_that_is_scaled_already_is_taken_as_it_is(tmp_path):
    want = read_clips(npz(tmp_path / "a.npz"), frames=2, flow_length=5)
    found = read_clips(npz(tmp_path / "b.npz", flow=scaled(arrays()["flow"])), frames=2, flow_length=5)
    np.testing.assert_array_equal(found.flow, want.flow)


def test_the_scale_of_flow():
    steps = np.array([-25.0, -20.0, -10.0, 0.0, 10.0, 20.0, 99.0])
    np.testing.assert_array_equal(scaled(steps), [0, 0, 64, 128, 191, 255, 255])


def test_one_frame_of_each_part_at_random():
    lengths = np.array([40, 10, 3, 1])
    drawn = np.stack([segment_frames(lengths, frames=5, key=jax.random.key(k)) for k in range(400)])
    for clip, part in ((0, 8), (1, 2)):  # whole frames to each part, so that each is as likely
        assert (drawn[:, clip] // part == np.arange(5)).all()
        counts = np.bincount((drawn[:, clip] % part).ravel(), minlength=part)
        share = 2000 / part
        assert np.abs(counts - share).max() < 5 * np.sqrt(share)
    assert (np.diff(drawn, axis=2) >= 0).all()
    assert (drawn.max(axis=(0, 2)) == lengths - 1).all()
    np.testing.assert_array_equal(segment_frames(lengths, frames=5, key=jax.random.key(3)), drawn[3])


def test_frames_drawn_by_a_key_are_those_of_the_clip(both):
    found = read_clips(both[0], frames=3, key=jax.random.key(1))
    numbers = segment_frames(LENGTHS, frames=3, key=jax.random.key(1))
    assert (numbers != segment_frames(LENGTHS, frames=3)).any()
    np.testing.assert_array_equal(found.inputs, arrays()["inputs"][np.arange(N)[:, None], numbers])


def test_natural_order():
    names = ["b1", "a10x2", "a2", "a10x10", "2", "10"]
    assert sorted(names, key=natural) == ["2", "10", "a2", "a10x2", "a10x10", "b1"]


@pytest.fixture
def videos(tmp_path):
    return folder(tmp_path / "videos", arrays())


def test_a_clip_that_cannot_be_read_is_refused_or_left_out_in_both_streams(videos):
    (videos / "jump/a10/frame4.png").write_bytes(b"no image")  # of 7 frames the middle one
    with pytest.raises(ValueError, match=r"videos.*'jump/a10/frame4.png' cannot be read .* \(--skip-broken\)"):
        load(f"clips:{videos}")
    read = read_clips(videos, frames=1, flow_length=5, skip_broken=True)
    assert read.ids.tolist() == ["jump/a2", "jump/b", "run/a", "run/b"]
    assert "jump/a10/frame4.png" in read.skipped[0]
    np.testing.assert_array_equal(read.inputs[3, 0], arrays()["inputs"][4, 4])
    np.testing.assert_array_equal(read.flow[3, 0, ..., :2], scaled(arrays()["flow"])[4, 2])
    (videos.with_name("videos_flow") / "run/b/flow_y_00004.png").write_bytes(b"")
    again = read_clips(videos, frames=1, flow_length=5, skip_broken=True)
    assert again.ids.tolist() == ["jump/a2", "jump/b", "run/a"]
    np.testing.assert_array_equal(again.inputs, read.inputs[:3])
    np.testing.assert_array_equal(again.flow, read.flow[:3])
    (videos / "run/a/frame7.png").write_bytes(b"")
    with pytest.raises(ValueError, match="class 'run' holds no clip that can be read"):
        read_clips(videos, frames=1, flow_length=5, skip_broken=True)


def test_frames_that_are_not_needed_are_not_read(videos):
    (videos / "run/a/frame1.png").write_bytes(b"no image")
    assert len(read_clips(videos, frames=1)) == N


def test_other_files_are_passed_over_and_named(videos):
    (videos / "readme.txt").write_text("")
    (videos / "run/clip.avi").write_bytes(b"")
    (videos / "run/a/notes.txt").write_text("")
    (videos / "run/.hidden").mkdir()
    skipped = "\n".join(read_clips(videos).skipped)
    assert "readme.txt: lies outside the class folders" in skipped
    assert "run/clip.avi: lies outside the clip folders: take it apart into frames first" in skipped
    assert "run/a/notes.txt: not an image by its extension" in skipped
    assert "hidden" not in skipped


def test_gray_and_coloured_clips_become_colour(videos):
    for path in (videos / "run/b").iterdir():
        Image.open(path).convert("L").save(path)
    found = read_clips(videos, frames=2).inputs
    assert found.shape[-1] == 3
    assert (found[4, ..., 0] == found[4, ..., 2]).all()


def test_frames_of_another_size_need_a_size(videos):
    for path in (videos / "run/b").iterdir():
        Image.open(path).resize((9, 9)).save(path)
    with pytest.raises(ValueError, match=r"'run/b' has frames of 9 x 9 pixels .* 'jump/a2' of 6 x 4: .* size="):
        read_clips(videos, skip_broken=True)
    assert read_clips(videos, size=(5, 5)).inputs.shape[2:4] == (5, 5)


def test_missing_flow_is_refused(videos):
    next((videos.with_name("videos_flow") / "run/a").glob("flow_x*")).unlink()
    with pytest.raises(ValueError, match=r"'run/a' has 10 images flow_x\* in 'videos_flow' for 12 frames"):
        read_clips(videos, flow_length=5, skip_broken=True)
    assert read_clips(videos).flow is None


def test_flow_stays_with_its_clips(both, tmp_path):
    np.save(tmp_path / "y.npy", np.array([1, 1, 0, 0, 0]))
    found = load(f"clips:{both[1]}", labels=f"npy:{tmp_path / 'y.npy'}", flow=True)
    np.testing.assert_array_equal(found.flow, load(f"clips:{both[1]}", flow=True).flow)
    part = found.take(np.array([4, 1]))
    np.testing.assert_array_equal(part.flow, found.flow[[4, 1]])
    motion = part.of_flow()
    np.testing.assert_array_equal(motion.inputs, part.flow)
    assert motion.ids.tolist() == part.ids.tolist() == ["run/b", "jump/a10"]
    assert motion.labels.tolist() == part.labels.tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"'videos' holds no flow: read it with the clips \(flow=True\)"):
        motion.of_flow()
    known = found.with_labels(found.labels, clean_labels=np.array([0, 0, 0, 1, 1]))
    apart = load_clean("take:1", known)
    rest = np.setdiff1d(np.arange(N), apart.rows)
    np.testing.assert_array_equal(apart.clean.flow, found.flow[apart.rows])
    np.testing.assert_array_equal(apart.train.flow, found.flow[rest])


@pytest.mark.parametrize(
    ("changes", "options", "error", "message"),
    [
        ({"inputs": None}, {}, ValueError, "no array 'inputs'"),
        ({"labels": None}, {}, ValueError, "no array 'labels'"),
        ({"inputs": np.zeros((N, T, H, W), np.uint8)}, {}, ValueError, "must be clips"),
        ({"inputs": np.full((N, T, H, W, 1), np.nan)}, {}, ValueError, "not finite"),
        ({"labels": np.zeros(3, int)}, {}, ValueError, "3 entries for 5 examples"),
        ({"labels": np.zeros(N)}, {}, TypeError, "must be integers"),
        ({"lengths": np.array([1, 2, 3])}, {}, ValueError, r"lengths must be \(5,\)"),
        ({"lengths": np.array([0, 1, 2, 3, 4])}, {}, ValueError, "from 1 to 12"),
        ({"lengths": np.array([2, 2, 2, 2, 13])}, {}, ValueError, "from 1 to 12"),
        ({"lengths": np.array([2, 2, 1, 2, 2])}, {}, ValueError, "'jump/b' has one frame, in which nothing moves"),
        ({"flow": np.zeros((N, T, H, W, 2), np.float32)}, {}, ValueError, r"flow must have shape \(5, 11, 4, 6, 2\)"),
        ({"flow": np.zeros((N, T - 1, H, W, 2), int)}, {}, TypeError, "flow must be floating point"),
        ({"flow": np.full((N, T - 1, H, W, 2), np.inf)}, {}, ValueError, "flow has .* not finite"),
        ({"flow": None}, {}, ValueError, "at least 12 x 12 pixels, but these have 6 x 4"),
        ({"ids": np.array(list("aabcd"))}, {}, ValueError, "'a' stands 2 times"),
        ({"ids": np.array(list("abcd"))}, {}, ValueError, r"ids must have shape \(5,\)"),
        ({}, {"frames": 0}, ValueError, "frames must be a whole number"),
        ({}, {"flow_length": -1}, ValueError, "flow_length must be a whole number"),
    ],
)
def test_bad_clips_are_refused(tmp_path, changes, options, error, message):
    path = npz(tmp_path / "bad.npz", **changes)
    with pytest.raises(error, match=message):
        read_clips(path, **{"flow_length": 5, **options})


def test_bad_places_and_options_are_refused(tmp_path, both):
    with pytest.raises(ValueError, match="does not exist"):
        load(f"clips:{tmp_path / 'none'}")
    with pytest.raises(ValueError, match="holds no class folders"):
        load(f"clips:{tmp_path}")
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(ValueError, match="clip 'a/b' holds no images"):
        load(f"clips:{tmp_path}")
    (tmp_path / "a" / "b").rename(tmp_path / "b")
    (tmp_path / "a" / "x.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"class folder 'a' holds no clips.*take it apart into frames first"):
        load(f"clips:{tmp_path}")
    with pytest.raises(ValueError, match="size is for folders"):
        read_clips(both[1], size=(4, 4))
    with pytest.raises(TypeError, match="typed key"):
        read_clips(both[1], key=3)
    with pytest.raises(ValueError, match="only clips have flow, and 'digits' are none"):
        load("digits", flow=True)
    with pytest.raises(ValueError, match="one class only"):
        load(f"clips:{npz(tmp_path / 'one.npz', labels=np.zeros(N, int))}")
    clips, y = np.zeros((2, 3, 4, 4, 3), np.uint8), np.array([0, 1])
    for flow in (clips[:, :2], clips[:1], clips[:, 0]):
        with pytest.raises(ValueError, match="flow must have shape"):
            make(clips, y, clips=True, flow=flow)
    with pytest.raises(ValueError, match="flow must have shape"):
        make(clips[:, 0], y, flow=clips)


def test_five_axes_are_features_unless_they_are_said_to_be_clips():
    x, y = np.ones((4, 2, 2, 2, 3), np.float32), np.array([0, 1, 1, 0])
    assert make(x, y).inputs.shape == (4, 24)
    assert make(x, y, clips=True).inputs.shape == x.shape
    assert make(x[..., None], y, clips=True).inputs.shape == (4, 24)
