"""Killed with SIGKILL at any moment and resumed, ``detect`` ends as if it had never been interrupted: bit for bit."""

import shutil
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from cli_runs import contents, done, refused, same_arrays
from killing import killed, killed_when
from sklearn.datasets import load_digits

from jaxnoisy.report import FILES
from jaxnoisy.training.checkpoint import Checkpoints

SAVE = "jaxnoisy.training.loop:Checkpoints.save"
EPOCHS = 4
_DETECT = f"detect --data npz:digits.npz --epochs {EPOCHS} --devices"
RUNS = {
    "mlp": f"{_DETECT} 1 --model mlp --method aum,confident-learning --seed 3",
    "cnn": f"{_DETECT} 1 --model cnn --method aum --crop 1 --optimizer adamw --record eval --dtype bfloat16",
    "three runs": f"{_DETECT} 2 --model linear --method aum-threshold,aum",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folders of uninterrupted runs, made when first asked for."""
    folder = tmp_path_factory.mktemp("whole")
    x, y = load_digits(return_X_y=True)
    np.savez(folder / "digits.npz", inputs=x[:203].reshape(-1, 8, 8, 1).astype(np.uint8), labels=y[:203])

    def run(name):
        if not (folder / name).exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                done(f"{RUNS[name]} --out '{name}'")
        return folder / name

    return run


@pytest.fixture
def here(tmp_path, monkeypatch, whole):
    """A temporary current folder with the data set in it."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(whole("mlp").parent / "digits.npz", ".")
    return tmp_path


def parameters(out):
    """The last state of every run in the folder, as plain arrays."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    states = {}
    for run in sorted((Path(out) / "checkpoints").iterdir()):
        (last,) = (p for p in run.iterdir() if p.is_dir())
        assert last.name == str(EPOCHS)
        state = last.absolute() / "default"
        with ocp.StandardCheckpointer() as checkpointer:
            saved = checkpointer.metadata(state).item_metadata
            like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), saved)
            states[run.name] = checkpointer.restore(state, like)
    return states


def same_run(out, whole):
    for name in ("trace.npz", "detections.npz"):
        same_arrays(Path(out) / name, whole / name)
    assert (Path(out) / "issues.csv").read_bytes() == (whole / "issues.csv").read_bytes()
    assert {p.name for p in Path(out).iterdir()} >= {*FILES, "checkpoints"}
    found, expected = parameters(out), parameters(whole)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    assert len(jax.tree.leaves(expected["main"]["params"])) >= 2
    for (path, a), b in zip(jax.tree.leaves_with_path(found), jax.tree.leaves(expected)):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), jax.tree_util.keystr(path)


KILLED_AT = {
    "before anything is written": ("jaxnoisy.training.loop:Checkpoints", 1, False),
    "while the first checkpoint is written": (SAVE, 1, True),
    "before a checkpoint takes its name": ("os:rename", 2, False),
    "before the report": ("jaxnoisy.report:write", 1, False),
    "while the results take their names": ("jaxnoisy.report.staging:_move", 3, True),
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", KILLED_AT)
def test_killed_and_resumed_it_is_the_same_run(here, whole, moment):
    place, call, after = KILLED_AT[moment]
    killed(f"{RUNS['mlp']} --out out", place, call=call, after=after)
    done(f"{RUNS['mlp']} --out out --resume")
    same_run("out", whole("mlp"))


@pytest.fixture
def saved(monkeypatch):
    """(run, epoch) of the checkpoints saved from here on."""
    found, save = [], Checkpoints.save

    def noted(self, epoch, state):
        found.append((self._path.name, epoch))
        save(self, epoch, state)

    monkeypatch.setattr(Checkpoints, "save", noted)
    return found


@pytest.mark.slow
def test_batch_statistics_augmentation_and_optimizer_are_resumed(here, whole, saved):
    whole("cnn")
    saved.clear()
    killed(f"{RUNS['cnn']} --out out", SAVE, call=3)
    done(f"{RUNS['cnn']} --out out --resume")
    # The second checkpoint may or may not have been whole when the process died; the first was.
    assert saved[-2:] == [("main", 3), ("main", 4)]
    assert saved[:-2] in ([], [("main", 2)])
    same_run("out", whole("cnn"))


@pytest.mark.slow
def test_killed_in_a_later_run(here, whole, saved):
    whole("three runs")
    saved.clear()
    killed(f"{RUNS['three runs']} --out out", SAVE, call=EPOCHS + 2)
    assert Path("out/checkpoints/threshold-a").exists()
    done(f"{RUNS['three runs']} --out out --resume")
    assert "main" not in dict(saved)
    assert saved[-1] == ("threshold-b", EPOCHS)
    same_run("out", whole("three runs"))


@pytest.mark.slow
def test_killed_again_and_again(here, whole):
    for call in (1, 2):
        killed(f"{RUNS['mlp']} --out out --resume", SAVE, call=call, after=True)
    done(f"{RUNS['mlp']} --out out --resume")
    same_run("out", whole("mlp"))


@pytest.mark.slow
def test_killed_from_outside(here, whole):
    killed_when(f"{RUNS['mlp']} --out out", Path("out/checkpoints/main/2").exists, SAVE, call=3)
    done(f"{RUNS['mlp']} --out out --resume")
    same_run("out", whole("mlp"))


def test_a_finished_run_resumed_stays_the_same(here, whole, saved):
    shutil.copytree(whole("mlp"), "out")
    saved.clear()
    done(f"{RUNS['mlp']} --out out --resume")
    assert not saved
    same_run("out", whole("mlp"))


def test_other_detectors_can_be_asked_of_a_finished_run(here, whole):
    shutil.copytree(whole("mlp"), "out")
    done(f"{RUNS['mlp']} --out out --resume --method confident-learning,el2n")
    same_arrays("out/trace.npz", whole("mlp") / "trace.npz")
    with np.load("out/detections.npz") as pack:
        assert "el2n/scores" in pack.files
        assert "aum/scores" not in pack.files


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--seed 4", ["seed", "3", "4"]),
        ("--epochs 9", ["epochs", str(EPOCHS), "9"]),
        ("--batch-size 7", ["batch_size", "7"]),
        ("--learning-rate 0.5", ["learning_rate", "0.5"]),
        ("--model linear", ["model", "'mlp'", "'linear'"]),
        ("--dtype bfloat16", ["dtype", "'bfloat16'"]),
        ("--record eval", ["record", "'eval'"]),
        ("--data npz:others.npz", ["data"]),
        ("--labels npy:labels.npy", ["data"]),
        ("--method aum", ["probabilities"]),
    ],
)
def test_another_run_is_not_resumed(here, whole, options, says):
    with np.load("digits.npz") as pack:
        x, y = pack["inputs"], pack["labels"]
    np.savez("others.npz", inputs=x + np.eye(203, 8, dtype=np.uint8)[:, :, None, None], labels=y)
    np.save("labels.npy", np.where(np.arange(203) == 100, (y + 1) % 10, y))
    shutil.copytree(whole("mlp"), "out")
    line = refused(f"{RUNS['mlp']} {options} --out out --resume")
    assert "holds another run" in line
    assert "choose another folder" in line
    assert all(text in line for text in says), line
    assert contents("out") == contents(whole("mlp"))
