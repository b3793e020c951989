"""Options that make no sense, and what else stops a command: one clear line, and nothing left behind."""

import os
from pathlib import Path

import numpy as np
import pytest
from cli_runs import FEATURES, LABELS, contents, done, refused, run

from jaxnoisy.report import FILES

DETECT = "detect --out out --method aum --model linear --epochs 2 --devices 1 --data"
SCORE = "score --out out"
NOISE = "noise --labels npy:y.npy --kind symmetric --rate 0.2 --seed 0 --out noisy.npz"


def with_value(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--method aums", ["'aums'", "aum-threshold"]),
        ("--method aum,,el2n", ["''", "aum-threshold"]),
        ("--method forgetting --epochs 1", ["forgetting", "at least 2", "1"]),
        ("--method dynacor --epochs 2", ["dynacor", "at least 3", "has 2"]),
        ("--method dynacor --corruption-rate 0", ["--corruption-rate", "'0'", "above 0 and up to 1"]),
        ("--method dynacor --corruption-rate 1.5", ["--corruption-rate", "'1.5'", "above 0 and up to 1"]),
        ("--method dynacor --alpha -1", ["--alpha", "'-1'", "auto, or a number from 0"]),
        ("--method dynacor --alpha big", ["--alpha", "'big'", "auto, or a number from 0"]),
        ("--corruption-rate 0.2", ["--corruption-rate is for dynacor", "leave it out"]),
        ("--alpha 0.5", ["--alpha is for dynacor", "leave it out"]),
        ("--model resnet19", ["'resnet19'", "model", "resnet18", "mlp"]),
        ("--model cnn", ["'cnn'", "(5,)", "linear, mlp"]),
        ("--model resnet18", ["'resnet18'", "(5,)", "linear, mlp"]),
        ("--flip", ["flip", "(60, 5)"]),
        ("--crop 2", ["crop", "(60, 5)"]),
        ("--epochs 0", ["--epochs", "'0'", ">= 1"]),
        ("--epochs -1", ["--epochs", "'-1'"]),
        ("--epochs 1.5", ["--epochs", "'1.5'", "whole number"]),
        ("--epochs many", ["--epochs", "'many'", "whole number"]),
        ("--batch-size 0", ["--batch-size", "'0'", ">= 1"]),
        ("--seed -1", ["--seed", "'-1'", "0 to 4294967295"]),
        ("--seed 4294967296", ["--seed", "'4294967296'", "0 to 4294967295"]),
        ("--learning-rate 0", ["--learning-rate", "'0'", "positive"]),
        ("--learning-rate nan", ["--learning-rate", "'nan'", "positive"]),
        ("--learning-rate inf", ["--learning-rate", "'inf'", "positive"]),
        ("--devices 0", ["--devices", "'0'", ">= 1"]),
        ("--devices 1000", ["1000 devices", "there are"]),
        ("--dtype float16", ["'float16'", "bfloat16"]),
        ("--out ''", ["--out", "''", "path"]),
        ("--out y.npy", ["'y.npy'", "not a folder"]),
        ("--out y.npy/below", ["'y.npy'", "not a folder"]),
        ("--out y.npy/far/below", ["'y.npy'", "not a folder"]),
    ],
)
def test_options_of_detect(here, options, says):
    line = refused(f"{DETECT} npz:ok.npz {options}")
    assert all(text in line for text in says), line


def test_a_batch_that_does_not_split_over_the_devices(here):
    import jax

    count = len(jax.devices())
    if count == 1:
        pytest.skip("needs several devices")
    line = refused(f"{DETECT} npz:ok.npz --devices {count} --batch-size {count + 1}")
    assert f"batch_size {count + 1}" in line
    assert f"{count} devices" in line


def test_threshold_examples_need_three_examples(here):
    np.savez("two.npz", inputs=FEATURES[:2], labels=LABELS[:2])
    assert "at least 3 examples" in refused(f"{DETECT} npz:two.npz --method aum-threshold")
    assert "at least 3 examples" in refused("detect --data npz:two.npz --method aum-threshold --out new/parents/out")


def test_dynacor_needs_two_classes(here):
    np.savez("one.npz", inputs=FEATURES, labels=np.zeros_like(LABELS))
    assert "one class only" in refused(f"{DETECT} npz:one.npz --method dynacor --epochs 3")


def test_resume_needs_the_folder(here):
    assert "--resume needs --out" in refused("detect --data npz:ok.npz --resume")


def test_training_that_diverges_leaves_nothing(here):
    line = refused(f"{DETECT} npz:ok.npz --learning-rate 1e30 --out new/parents/out", code=1)
    assert "diverged in epoch 1" in line
    assert "1e+30" in line
    assert "ower the learning rate" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
@pytest.mark.parametrize("command", ["demo", f"{DETECT} npz:ok.npz", f"{SCORE} --pred-probs probs.npy --labels y.npy"])
def test_a_folder_that_cannot_be_written_to(here, command):
    Path("locked").mkdir(mode=0o500)
    for out in ("locked", "locked/new"):
        line = refused(f"{command} --out {out}")
        assert "no permission" in line
        assert "'locked'" in line


@pytest.mark.parametrize(
    "command", ["demo", f"{DETECT} npz:ok.npz", f"{SCORE} --pred-probs probs.npy --labels y.npy", NOISE]
)
def test_permission_is_asked_for_before_any_work(here, monkeypatch, command):
    """As the superuser sees it too: the answer of the operating system is given here."""
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append((str(path), mode)))
    out = "noisy.npz" if command == NOISE else "new/folder"
    line = refused(f"{command} --out {out}")
    assert "no permission to write in '.'" in line
    assert asked == [(".", os.W_OK | os.X_OK)]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", ["demo", f"{DETECT} npz:ok.npz", f"{SCORE} --pred-probs probs.npy --labels y.npy"])
def test_a_folder_that_holds_another_run(here, command, name):
    Path("out").mkdir()
    Path("out", name).write_text("of another run")
    resumes = ["", " --resume"] if command.startswith("detect") else [""]
    for resume in resumes:
        line = refused(f"{command} --out out{resume}")
        assert "already holds a run" in line
        assert name in line
        assert "another folder" in line


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--rate 1.01", ["--rate", "'1.01'", "0 to 1"]),
        ("--rate -0.1", ["--rate", "'-0.1'", "0 to 1"]),
        ("--rate nan", ["--rate", "'nan'", "0 to 1"]),
        ("--rate half", ["--rate", "'half'", "0 to 1"]),
        ("--seed -1", ["--seed", "'-1'"]),
        ("--out ''", ["--out", "path"]),
    ],
)
@pytest.mark.parametrize("command", ["demo", NOISE])
def test_options_of_demo_and_noise(here, command, options, says):
    line = refused(f"{command} {options}")
    assert all(text in line for text in says), line


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--kind random", ["'random'", "symmetric, asymmetric, instance, superclass"]),
        ("--kind instance", ["instance", "--inputs npy:FILE"]),
        ("--kind superclass", ["superclass", "--groups npy:FILE"]),
        ("--inputs npy:probs.npy", ["symmetric", "--inputs", "leave it out"]),
        ("--kind asymmetric --groups npy:y.npy", ["asymmetric", "--groups", "leave it out"]),
        ("--kind instance --inputs npy:short.npy", ["50", "60"]),
        ("--kind instance --inputs npy:nan.npy", ["nan", "(2, 1)"]),
        ("--kind instance --inputs npy:probs.npy --features cubed", ["'cubed'", "raw, unit_norm"]),
        ("--kind superclass --groups npy:y.npy", ["60", "3"]),
        ("--num-classes 1", ["--num-classes", "'1'", ">= 2"]),
        ("--num-classes 2", ["labels[2] is 2", "2 classes"]),
        ("--labels npy:huge.npy", ["2000000000", "--num-classes"]),
        ("--labels npy:huge.npy --kind asymmetric", ["2000000000", "--num-classes"]),
        ("--labels npy:nowhere.npy", ["'nowhere.npy'", "does not exist"]),
        ("--labels npy:.", ["'.'", "directory"]),
        ("--labels npy:other.npz", ["'other.npz'", "'labels'", "truth"]),
        ("--out noisy.npy", ["--out", ".npz", "'noisy.npy'"]),
        ("--out .", ["--out", ".npz", "'.'"]),
        ("--out nowhere/noisy.npz", ["'nowhere'", "does not exist"]),
        ("--out y.npy/noisy.npz", ["'y.npy'", "not a folder"]),
        ("--out folder.npz", ["--out", "'folder.npz'"]),
    ],
)
def test_options_of_noise(here, options, says):
    probs = np.load("probs.npy")
    np.save("short.npy", probs[:50])
    np.save("nan.npy", with_value(probs, (2, 1), np.nan))
    np.save("huge.npy", LABELS * 1_000_000_000)
    np.savez("other.npz", truth=LABELS)
    Path("folder.npz").mkdir()
    line = refused(f"{NOISE} {options}")
    assert all(text in line for text in says), line


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("", ["--trace FILE", "--pred-probs FILE"]),
        ("--trace nowhere.npz", ["'nowhere.npz'", "does not exist"]),
        ("--trace y.npy", ["'y.npy'", ".npz"]),
        ("--trace ok.npz", ["ok.npz", "not a trace"]),
        ("--trace .", ["trace-header.npz", "no finished spilled trace"]),
        ("--trace t.npz --pred-probs probs.npy", ["either --trace", "--pred-probs"]),
        ("--pred-probs probs.npy", ["--labels FILE"]),
        ("--pred-probs nowhere.npy --labels y.npy", ["'nowhere.npy'", "does not exist"]),
        ("--pred-probs . --labels y.npy", ["'.'", "directory"]),
        ("--pred-probs ok.npz --labels y.npy", ["'pred_probs'", "inputs"]),
        ("--pred-probs y.npy --labels y.npy", ["(60,)", "shape (n, c)"]),
        ("--pred-probs nan.npy --labels y.npy", ["nan", "(2, 1)"]),
        ("--pred-probs logits.npy --labels y.npy", ["not a distribution", "softmax"]),
        ("--pred-probs negative.npy --labels y.npy", ["pred_probs[4]", "not a distribution", "-0.5"]),
        ("--pred-probs whole.npy --labels y.npy", ["int64", "floating point"]),
        ("--pred-probs objects.npy --labels y.npy", ["'objects.npy'", "pickled"]),
        ("--pred-probs short.npy --labels y.npy", ["60", "50"]),
        ("--pred-probs probs.npy --labels y.npy --method forgetting", ["forgetting", "at least 2"]),
        ("--pred-probs probs.npy --labels y.npy --method aums", ["'aums'", "confident-learning"]),
        ("--pred-probs probs.npy --labels y.npy --method aum-threshold", ["'aum-threshold'", "confident-learning"]),
        ("--pred-probs probs.npy --labels y.npy --clean-labels short-labels.npy", ["clean_labels", "50", "60"]),
        ("--pred-probs probs.npy --labels y.npy --clean-labels ok.npz --out y.npy", ["'y.npy'", "not a folder"]),
        ("--pred-probs probs.npy --labels y.npy --out y.npy/below", ["'y.npy'", "not a folder"]),
    ],
)
def test_options_of_score(here, options, says):
    probs = np.load("probs.npy")
    np.save("nan.npy", with_value(probs, (2, 1), np.nan))
    np.save("logits.npy", probs * 3)
    np.save("negative.npy", with_value(probs, 4, [-0.5, 0.5, 1.0]))
    np.save("whole.npy", np.eye(3, dtype=int)[LABELS])
    np.save("objects.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    np.save("short.npy", probs[:50])
    np.save("short-labels.npy", LABELS[:50])
    line = refused(f"{SCORE} {options}")
    assert all(text in line for text in says), line


def test_memory_that_runs_out_is_one_line(here, monkeypatch):
    import jax

    import jaxnoisy.audit

    for error in (MemoryError("no 9 GB"), jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no 9 GB\nat all")):

        def fails(*_args, error=error, **_options):
            raise error

        monkeypatch.setattr(jaxnoisy.audit, "audit", fails)
        assert "no 9 GB" in refused(f"{DETECT} npz:ok.npz", code=1)


def test_a_mistake_of_ours_is_not_hidden(here, monkeypatch):
    import jaxnoisy.audit

    def fails(*_args, **_options):
        raise RuntimeError("a bug")

    monkeypatch.setattr(jaxnoisy.audit, "audit", fails)
    with pytest.raises(RuntimeError, match="a bug"):
        run(f"{DETECT} npz:ok.npz")


def test_interrupting_says_how_to_go_on(here, monkeypatch):
    from jaxnoisy.training import checkpoint

    save = checkpoint.Checkpoints.save

    def interrupted(self, epoch, state):
        save(self, epoch, state)
        if epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Checkpoints, "save", interrupted)
        result = run("detect --data npz:ok.npz --model linear --epochs 3 --method aum --devices 1")
    assert result.code == 130
    assert result.err == (
        "jaxnoisy: error: interrupted; what was finished is kept: go on with --out jaxnoisy-detect --resume\n"
    )
    assert not set(FILES) & {p.name for p in Path("jaxnoisy-detect").iterdir()}
    done("detect --data npz:ok.npz --model linear --epochs 3 --method aum --devices 1 --out jaxnoisy-detect --resume")
    assert set(FILES) <= {p.name for p in Path("jaxnoisy-detect").iterdir()}


def test_a_run_in_the_folder_is_not_begun_again_unasked(here, monkeypatch):
    from jaxnoisy import report

    def fails(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(report, "write", fails)
        run(f"{DETECT} npz:ok.npz")
    before = contents("out")
    line = refused(f"{DETECT} npz:ok.npz")
    assert "holds a run" in line
    assert contents("out") == before
